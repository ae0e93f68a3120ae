"""Repairs the best candidate: remedies first, then a model with what is left, then nothing.

Each repair is a copy that is proven like any candidate, and kept only if it is better and nothing is worse.
"""

from collections.abc import Awaitable
from typing import Protocol

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.mending import MendingActivities
    from schema.engine import SANDBOX_QUEUE
    from schema.messages.steps import Admission, AskRoleInput, AskRoleResult, KeptFix, MendInput, MendResult, Proof
    from schema.messages.task import TaskState

from workflows.choosing import improves, mends, wants_model
from workflows.kinds import SANDBOX
from workflows.parking import Parks, StepDiscarded, Steps, always, never, unless_invalid
from workflows.steps import StepFailed
from workflows.telling import enter, model_sentence, tool_sentence

SEEN_STOPS = "a-candidate-seen-before-stops-repairs"
MENDS_IN_A_ROW = 3


class Ask(Protocol):
    def __call__(self, question: AskRoleInput, summary: str, parks: Parks = always) -> Awaitable[AskRoleResult]: ...


class Prove(Protocol):
    def __call__(
        self, candidate: str, step: str, state: TaskState, summary: str, parks: Parks = always
    ) -> Awaitable[Proof]: ...


class Repairs:
    """The repairs of one task. `run` once."""

    def __init__(
        self, steps: Steps, admission: Admission, plan: str | None, best: Proof, ask: Ask, prove: Prove
    ) -> None:
        self._steps = steps
        self._admission = admission
        self._plan = plan
        self._best = best
        self._ask = ask
        self._prove = prove
        self._seen = {best.candidate}
        self._fixes: list[KeptFix] = []
        self._mends = 0

    async def run(self) -> tuple[Proof, tuple[KeptFix, ...]]:
        """Until nothing is left to repair, the rounds are spent, or an answer comes again that was tried before."""
        await self._mend()
        for number in range(1, self._admission.repair_rounds + 1):
            if not wants_model(self._best, self._admission.auto_fix):
                break
            enter(TaskState.REPAIRING)
            candidate = await self._answer(number)
            if candidate is None or candidate == self._best.candidate:
                continue
            # It was tried and was no better: the developer turns in a circle.
            if candidate in self._seen and workflow.patched(SEEN_STOPS):
                break
            await self._try(candidate, number)
        return self._best, tuple(self._fixes)

    async def _mend(self) -> None:
        """Remedies, all at once; where they made something worse, only those after which the code does the same."""
        gentle = False
        for _ in range(MENDS_IN_A_ROW):
            if not (self._admission.auto_fix.tools and self._best.mendable):
                return
            enter(TaskState.REPAIRING)
            self._mends += 1
            kept = await self._try_mend(self._mends, gentle=gentle)
            if kept is None or (gentle and not kept):
                return
            gentle = not kept

    async def _try_mend(self, number: int, *, gentle: bool) -> bool | None:
        """Whether it was kept; None where there was nothing to try, or it could not be tried."""
        best, step = self._best, f"mend/{number}"
        mend = MendInput(
            ref=self._steps.ref(step),
            state=TaskState.REPAIRING,
            candidate=best.candidate,
            report=best.report,
            gentle=gentle,
        )
        try:
            mended: MendResult = await self._steps.run(
                SANDBOX,
                MendingActivities.mend,
                mend,
                step=step,
                summary=f"remedies, try {number}",
                parks=never,
                task_queue=SANDBOX_QUEUE,
            )
            if mended.candidate is None or mended.candidate in self._seen:
                return None
            self._seen.add(mended.candidate)
            proof = await self._prove(
                mended.candidate, f"prove-mend/{number}", TaskState.REPAIRING, f"tests of mend {number}", parks=never
            )
        except StepDiscarded:
            raise
        except StepFailed:
            return None
        if not mends(best, proof):
            return False
        self._keep(KeptFix(step=step, kind="deterministic", sentence=tool_sentence(mended)), proof)
        return True

    async def _answer(self, number: int) -> str | None:
        """The developer's repair; None if its answers were no use. What passed its tests is not parked for more."""
        best = self._best
        question = AskRoleInput(
            ref=self._steps.ref(f"repair/{number}"),
            state=TaskState.REPAIRING,
            role="developer",
            variant=number,
            plan=self._plan,
            candidate=best.candidate,
            report=best.report,
        )
        parks = never if best.passed else unless_invalid
        try:
            return (await self._ask(question, f"developer, repair {number}", parks=parks)).response
        except StepDiscarded:
            raise
        except StepFailed:
            return None

    async def _try(self, candidate: str, number: int) -> None:
        best = self._best
        self._seen.add(candidate)
        parks = never if best.passed else always
        try:
            proof = await self._prove(
                candidate, f"prove-repair/{number}", TaskState.REPAIRING, f"tests of repair {number}", parks=parks
            )
        except StepDiscarded:
            raise
        except StepFailed:
            return
        better = mends(best, proof) if best.passed else improves(best, proof)
        if better:
            self._keep(KeptFix(step=f"repair/{number}", kind="model", sentence=model_sentence(best, proof)), proof)
            await self._mend()

    def _keep(self, fix: KeptFix, proof: Proof) -> None:
        before = self._best
        references = {
            "before": before.candidate,
            "after": proof.candidate,
            "report_before": before.report,
            "report_after": proof.report,
        }
        self._fixes.append(fix.model_copy(update=references))
        self._best = proof
