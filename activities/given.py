"""What a vote by itself begins with: the candidate that somebody gave, and what they state of it."""

import json
from typing import TYPE_CHECKING

from temporalio import activity

from schema.errors import TaskGone
from schema.messages.candidate import CandidateSpec, StatedEvidence
from schema.messages.sandbox import SandboxRun
from schema.messages.steps import Given, ReadGivenInput
from schema.messages.task import TaskState

if TYPE_CHECKING:
    from activities.store import TaskStore


class GivenActivities:
    """Reads candidates that nobody here developed."""

    def __init__(self, store: "TaskStore") -> None:
        self._store = store

    @activity.defn(name="read_given")
    async def read_given(self, read: ReadGivenInput) -> Given:
        """The candidate and its plan by reference; where its evidence is stated, that in place of a proof.

        Raises:
            TaskGone: the task is unknown or final, or brings no candidate.
        """
        from activities.answers import canonical_candidate

        ref = read.ref
        done = await self._store.begin_step(ref, TaskState.PROVING)
        if done is not None:
            return Given.model_validate(done)
        spec = await self._store.spec(ref.task_id, ref.tenant)
        if not isinstance(spec, CandidateSpec):
            raise TaskGone("the task brings no candidate")
        candidate = canonical_candidate(spec.candidate)
        # As the architect's answers are stored, so that voters are shown both in the same way.
        plan = None if spec.plan is None else json.dumps({"summary": spec.plan, "steps": []})
        given, texts = given_of(candidate, plan, spec)
        first = await self._store.finish_step(ref, given, texts=texts)
        return given if first is None else Given.model_validate(first)


def given_of(candidate: str, plan: str | None, spec: CandidateSpec) -> tuple[Given, list[str]]:
    """What the workflow is told, and the texts that its references stand for."""
    from activities.sandbox import proof_of
    from schema.texts import digest_of

    reference, texts, proof = digest_of(candidate), [candidate], None
    if plan is not None:
        texts.append(plan)
    if spec.evidence is not None:
        proof, report = proof_of(reference, spec.candidate, stated_run(spec.evidence))
        proof = proof.model_copy(update={"tests_failed": sum(test.outcome != "passed" for test in spec.evidence.tests)})
        texts.append(report)
    return Given(candidate=reference, plan=None if plan is None else digest_of(plan), proof=proof), texts


def stated_run(evidence: StatedEvidence) -> SandboxRun:
    """The evidence in the form of a run that nobody here made: it says no isolation."""
    failed = any(test.outcome != "passed" for test in evidence.tests)
    return SandboxRun(exit_code=int(failed), tests=evidence.tests, findings=evidence.findings, isolation=None)
