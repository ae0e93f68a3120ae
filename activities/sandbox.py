"""Runs in the sandbox: a task's acceptance tests against a candidate, and what a client runs by itself."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from temporalio import activity

from activities.events import Event
from activities.judging import judge
from activities.tracing import in_sandbox_span
from schema.messages.execution import SandboxExecutionInput, SandboxExecutionResult
from schema.messages.sandbox import SandboxJob, SandboxRun
from schema.messages.steps import AgentTaskInput, Proof, ProveInput

if TYPE_CHECKING:
    from activities.sandbox_pool import SandboxPool
    from activities.store import TaskStore

HEARTBEAT_SECONDS = 0.5
MAX_CITED = 60
"""Findings whose ids a ballot may cite: each voter is asked with all of them, and so often they are in a history."""


class SandboxActivities:
    """Runs in the sandbox pool of this worker."""

    def __init__(self, store: "TaskStore", pool: "SandboxPool") -> None:
        self._store = store
        self._pool = pool

    @activity.defn(name="prove")
    async def prove(self, prove: ProveInput) -> Proof:
        """Run the task's tests against a candidate.

        Raises:
            SandboxBusy, SandboxUnavailable: try again later.
            IsolationRequired: the required isolation is not there.
        """
        from activities.answers import read_candidate

        opened = await self._store.begin_proof(prove.ref, prove.state, prove.candidate, prove.subject)
        spec = opened.spec
        if spec is None:
            return Proof.model_validate(opened.result)
        files = read_candidate(opened.candidate)
        job = SandboxJob(
            files=files,
            tests=spec.tests,
            command=spec.command,
            image=spec.image,
            guards=spec.policy.guards if prove.guards is None else prove.guards,
            given=spec.files,
        )
        run = await with_heartbeat(in_sandbox_span(job, judge(self._pool, job)))
        proof, report = proof_of(prove.candidate, files, run)
        number = int(prove.ref.step.rsplit("/", 1)[1])
        told = proof.model_dump(include={"passed", "tests_passed", "tests_failed", "limit", "size_bytes"})
        event = Event("candidate", {"number": number, "step": prove.ref.step, **told})
        first = await self._store.finish_step(prove.ref, proof, events=[event], texts=[report])
        return proof if first is None else Proof.model_validate(first)

    @activity.defn(name="await_sandbox")
    async def await_sandbox(self, task: AgentTaskInput) -> None:
        """Returns when a sandbox could be had, and the database answers.

        Raises:
            SandboxUnavailable: it is tried again without limit; that writes no events.
            TaskGone: the task is unknown.
        """
        await self._store.knows(task.task_id, task.tenant)
        await self._pool.ready()

    @activity.defn(name="run_in_sandbox")
    async def run_in_sandbox(self, execution: SandboxExecutionInput) -> SandboxExecutionResult:
        """Run a client's program, and record how it ended.

        Raises:
            SandboxBusy, SandboxUnavailable: try again later.
            IsolationRequired: the required isolation is not there.
        """
        from activities.executions import read_job, record_run

        job = await read_job(self._store.database, execution)
        run = await with_heartbeat(in_sandbox_span(job, judge(self._pool, job)))
        return await record_run(self._store.database, execution, run)


def proof_of(candidate: str, files: dict[str, str], run: SandboxRun) -> tuple[Proof, str]:
    """A run's proof and the text of its report."""
    from schema.texts import digest_of

    report = run.model_dump_json()
    passed = sum(test.outcome == "passed" for test in run.tests)
    proof = Proof(
        candidate=candidate,
        report=digest_of(report),
        passed=run.passed,
        tests_passed=passed,
        # A run that told nothing, or hit a limit, failed: it must not look as if it had no failing test.
        tests_failed=len(run.tests) - passed or (0 if run.passed else 1),
        limit=run.limit,
        isolation=run.isolation,
        size_bytes=sum(len(text.encode()) for text in files.values()),
        lines={path: len(text.splitlines()) for path, text in files.items()},
        findings={finding.id: finding.severity for finding in run.findings[:MAX_CITED]},
        weights=run.weights,
        mendable=sum(finding.fix == "deterministic" for finding in run.findings),
        repairable=sum(
            finding.fix != "none" and finding.severity != "low" and finding.guard != "tests" for finding in run.findings
        ),
    )
    return proof, report


async def with_heartbeat(run: Coroutine[Any, Any, SandboxRun]) -> SandboxRun:
    """Cancelling the activity cancels the run, and the pool ends its container before that is told."""
    work = asyncio.create_task(run)
    try:
        while not work.done():
            activity.heartbeat()
            await asyncio.wait([work], timeout=HEARTBEAT_SECONDS)
        return work.result()
    finally:
        if not work.done():
            work.cancel()
            # Whatever it ends with, being cancelled is what is told.
            with suppress(asyncio.CancelledError, Exception):
                await work
