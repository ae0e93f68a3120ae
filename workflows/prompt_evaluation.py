"""`PromptEvaluation`: a proposed prompt beside its parent, on the same past tasks with the same model and seeds.

It takes a slot and a budget of its own, in line like any task, and runs at the lowest priority, which its parent gives
it. One long evaluation is several runs, so that no history gets long.
"""

import asyncio
from dataclasses import dataclass
from typing import cast

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.evaluation import EvaluationActivities, steps_prefix
    from activities.llm import LlmActivities
    from activities.sandbox import SandboxActivities
    from schema.engine import SANDBOX_QUEUE
    from schema.messages.evaluation import (
        Choice,
        ChooseSubjectsInput,
        EvaluationEnd,
        EvaluationInput,
        EvaluationSoFar,
        JudgeReportInput,
        Pair,
        Pairs,
        RecordEvaluationInput,
    )
    from schema.messages.learning import EvaluationReport, PairRun
    from schema.messages.steps import AgentTaskInput, AskRoleInput, AskRoleResult, Proof, ProveInput, Role
    from schema.messages.task import TaskState

from workflows.kinds import MODEL, RECORD, SANDBOX, WAIT
from workflows.parking import Steps, never
from workflows.steps import StepFailed, durable_step

AT_ONCE = 4
"""Pairs under way: whoever waits for a task has more of models and sandboxes than this."""

STEPS_A_RUN = 32
STEPS_OF_PAIR: dict[Role, int] = {"developer": 4, "architect": 6}
"""Of a voter's there are two."""

NO_USE = frozenset({"InvalidModelOutput", "AnswerTooLong"})
"""What a version was asked and did not bring is its own failure; any other spent step is nobody's, and a lost pair."""

ENDS: dict[str, EvaluationEnd] = {"BudgetExhausted": "budget", "PriceUnknown": "price", "TaskGone": "gone"}
"""Errors after which no other pair can do better."""


@workflow.defn(name="PromptEvaluation")
class PromptEvaluation:
    """Asks both versions, judges what they bring, and records what it comes to."""

    @workflow.init
    def __init__(self, wanted: EvaluationInput) -> None:
        self._wanted = wanted
        self._task = AgentTaskInput(task_id=wanted.update_id, tenant=wanted.tenant)
        self._steps = Steps(self._task)
        self._so_far = wanted.so_far
        self._end: EvaluationEnd = "all"

    @workflow.run
    async def run(self, wanted: EvaluationInput) -> EvaluationReport:  # noqa: ARG002 (the init has it)
        """Returns the report, which is with the proposal too."""
        pairs = await self._choose()
        if pairs.choice is None or not pairs.pairs:
            return await self._close(pairs)
        try:
            await self._begin(pairs.choice)
            if self._end == "all":
                await self._run_pairs(pairs.choice, pairs.pairs)
        except (asyncio.CancelledError, FailureError):
            await self._release()
            raise
        if self._end == "all" and pairs.left:
            workflow.continue_as_new(self._wanted.model_copy(update={"so_far": self._so_far}))
        await self._release()
        return await self._record()

    async def _choose(self) -> Pairs:
        begun = self._so_far.begun if self._so_far is not None else 0
        most = max(AT_ONCE, STEPS_A_RUN // STEPS_OF_PAIR.get(self._wanted.role, 2))
        asked = ChooseSubjectsInput(evaluation=self._wanted, begin=begun, most=most)
        try:
            return await durable_step(
                RECORD, EvaluationActivities.choose_subjects, asked, step="choose", summary="past tasks, by hash"
            )
        except StepFailed as failed:
            if failed.error_type not in ENDS:
                raise
            return Pairs()

    async def _close(self, pairs: Pairs) -> EvaluationReport:
        """There is nothing to run, or nobody needs it any more."""
        if pairs.choice is None:
            self._end = "gone"
        if self._so_far is not None:
            await self._release()
        elif pairs.choice is not None:
            self._so_far = EvaluationSoFar(parent=pairs.choice.parent, rule=pairs.choice.rule)
        return await self._record()

    async def _begin(self, choice: Choice) -> None:
        """Stand in line, once for all runs of one evaluation."""
        if self._so_far is not None:
            return
        self._so_far = EvaluationSoFar(parent=choice.parent, rule=choice.rule)
        try:
            await self._steps.run(
                WAIT,
                EvaluationActivities.admit_learning,
                self._task,
                step="admit",
                summary="wait for a slot and the budget",
                parks=never,
            )
        except StepFailed as failed:
            self._end = ENDS.get(failed.error_type, "gone")

    async def _run_pairs(self, choice: Choice, pairs: tuple[Pair, ...]) -> None:
        """A few at once, in order; none is begun any more once something ends them all."""
        room = asyncio.Semaphore(AT_ONCE)

        async def tried(pair: Pair) -> Tried | None:
            async with room:
                return await self._tried(choice, pair) if self._end == "all" else None

        tasks = [asyncio.create_task(tried(pair)) for pair in pairs]
        try:
            told = await asyncio.gather(*tasks)
        except (asyncio.CancelledError, FailureError):
            # Nothing is under way any more when the slot goes back.
            await _end(tasks)
            raise
        so_far = cast("EvaluationSoFar", self._so_far)
        runs = [run for run in told if run is not None]
        self._so_far = so_far.model_copy(
            update={
                "runs": (*so_far.runs, *(whole for whole, _ in runs)),
                "rule_runs": (*so_far.rule_runs, *(own for _, own in runs if choice.rule is not None)),
                "lost": so_far.lost + len(pairs) - len(runs),
                "begun": so_far.begun + len(pairs),
            }
        )

    async def _tried(self, choice: Choice, pair: Pair) -> "Tried | None":
        """One pair; None where one of its steps was spent through no fault of a version."""
        try:
            old, new = [await self._judged(Arm(self._steps, self._wanted, choice, pair, name)) for name in ARMS]
        except StepFailed as failed:
            self._end = ENDS.get(failed.error_type, self._end)
            return None
        named = (pair.subject.task_id, pair.seed)
        return (*named, old.well, new.well), (*named, old.rule_held, new.rule_held)

    async def _judged(self, arm: "Arm") -> "Judged":
        try:
            return await arm.judged()
        except StepFailed as failed:
            if failed.error_type in NO_USE:
                # It says nothing of a rule that is about what was brought.
                return Judged(well=False, rule_held=not (arm.rule or "").startswith("step/"))
            raise

    async def _release(self) -> None:
        """However many cancels come meanwhile, the slot goes back first."""
        released = asyncio.create_task(
            durable_step(
                RECORD, EvaluationActivities.release_learning, self._task, step="release", summary="give the slot back"
            )
        )
        cancelled: asyncio.CancelledError | None = None
        while not released.done():
            try:
                await asyncio.shield(released)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def _record(self) -> EvaluationReport:
        evaluation = self._wanted.model_copy(update={"so_far": None})
        made = RecordEvaluationInput(
            evaluation=evaluation, so_far=self._so_far, end=self._end, rule=self._so_far and self._so_far.rule
        )
        return await durable_step(
            RECORD, EvaluationActivities.record_evaluation, made, step="record", summary="what it came to"
        )


Tried = tuple[PairRun, PairRun]
"""A pair by all that it has to do well, and by the rule alone that the proposal is to mend."""


@dataclass(frozen=True)
class Judged:
    """What one version brought: whether it did well, and whether the rule held that the proposal is to mend."""

    well: bool
    rule_held: bool


async def _end(tasks: list[asyncio.Task[Tried | None]]) -> None:
    for task in tasks:
        if not task.done() and not task.cancelling():
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


ARMS = ("old", "new")

WRONG_BALLOTS = {"ballot/false-accept": ("approve", False), "ballot/false-reject": ("reject", True)}
"""By rule, what was said and what was true."""


class Arm:
    """One version on one subject with one seed."""

    def __init__(self, steps: Steps, wanted: EvaluationInput, choice: Choice, pair: Pair, name: str) -> None:
        self._steps = steps
        self._wanted = wanted
        self.rule = choice.rule
        self._choice = choice
        self._pair = pair
        self._name = name

    async def judged(self) -> Judged:
        """A vote agrees with what is known; a candidate passes, and nothing of weight is found in it.

        Raises:
            StepFailed: a step is spent.
        """
        role, subject = self._wanted.role, self._pair.subject
        if subject.evidence is not None:
            answer = await self._ask(role, role, plan=subject.plan, candidate=subject.candidate, report=subject.report,
                                     evidence=subject.evidence)  # fmt: skip
            choice = answer.ballot.choice if answer.ballot is not None else "abstain"
            well = choice == ("approve" if subject.good else "reject")
            return Judged(well, WRONG_BALLOTS.get(self.rule or "") != (choice, subject.good))
        plan = subject.plan
        if role == "architect":
            plan = (await self._ask("architect", "plan")).response
        candidate = (await self._ask("developer", "develop", plan=plan)).response
        proof = await self._prove(candidate)
        held = await self._rule_held(proof)
        heavy = any(severity != "low" for severity in proof.findings.values())
        return Judged(well=proof.passed and held and not heavy, rule_held=held)

    async def _ask(self, role: Role, verb: str, **known: object) -> AskRoleResult:
        step = self._step(verb)
        mine = role == self._wanted.role
        question = AskRoleInput.model_validate(
            {
                "ref": self._steps.ref(step),
                "state": TaskState.PROVING,
                "role": role,
                "variant": self._pair.seed,
                "route": (self._choice.models[role],),
                "prompt": self._choice.parent if mine else self._choice.developer,
                "change": self._wanted.update_id if mine and self._name == "new" else None,
                "subject": self._pair.subject.spec,
                **known,
            }
        )
        summary = f"{role}, {self._name} version, task {self._pair.place}"
        return await self._steps.run(MODEL, LlmActivities.ask_role, question, step=step, summary=summary, parks=never)

    async def _prove(self, candidate: str) -> Proof:
        step, subject = self._step("prove"), self._pair.subject
        prove = ProveInput(
            ref=self._steps.ref(step),
            state=TaskState.PROVING,
            candidate=candidate,
            guards=subject.guards,
            subject=subject.spec,
        )
        summary = f"tests of the {self._name} version, task {self._pair.place}"
        return await self._steps.run(
            SANDBOX, SandboxActivities.prove, prove, step=step, summary=summary, parks=never, task_queue=SANDBOX_QUEUE
        )

    async def _rule_held(self, proof: Proof) -> bool:
        """Which rule a finding was of, and how a test failed, the report alone says; most need no look at it."""
        rule = self.rule
        if rule is None:
            return True
        guard = rule.split("/")[0]
        if guard == "task":
            return proof.passed
        found = any(name.startswith(f"{guard}-") for name in proof.findings)
        if not found and (guard not in ("tests", "limit") or proof.passed):
            return True
        asked = JudgeReportInput(tenant=self._wanted.tenant, report=proof.report, rule=rule)
        return not await durable_step(
            RECORD, EvaluationActivities.judge_report, asked, step=self._step("judge"), summary=f"looks for {rule}"
        )

    def _step(self, verb: str) -> str:
        """Three parts, the last a number: as the activities expect it of ballots and of proofs."""
        prefix = f"{steps_prefix(self._choice.parent)}-{self._name}-{self._pair.place}"
        return f"{prefix}/{verb}/{self._pair.seed + 1}"
