"""The steps of a task in one workflow: spent ones are parked until somebody decides, missing things are waited for.

A parked step is not lost: its dead letter is written, and the workflow waits for `golden dead-letters redrive` or
`discard`. A redrive begins a new epoch of that step alone; what was done before is neither repeated nor paid again.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Literal, TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.admission import AdmissionActivities
    from activities.llm import LlmActivities
    from activities.parking import ParkingActivities
    from activities.sandbox import SandboxActivities
    from schema.engine import ORCHESTRATOR_QUEUE, SANDBOX_QUEUE
    from schema.messages.base import Message
    from schema.messages.letters import LetterDecision, LetterKind, ParkInput
    from schema.messages.steps import AgentTaskInput, AskRoleInput, StepRef

from workflows.kinds import RECORD, WAIT, Kind
from workflows.steps import StepFailed, durable_step

Output = TypeVar("Output")

LETTER_KINDS: dict[str, LetterKind] = {
    "BudgetExhausted": "budget",
    "PriceUnknown": "price",
    "InvalidModelOutput": "model",
    "ModelUnavailable": "model",
    "AnswerTooLong": "model",
    "RouteUnknown": "model",
    "IsolationRequired": "sandbox",
    "HeartbeatTimeout": "poison",
    "StepTimeout": "poison",
    "ConsensusRoundFailed": "vote",
}
"""By the type of the last error; what isn't here is a fault of ours, `internal`."""

NEVER_PARKED = frozenset({"TaskGone", "StepDiscarded"})
TOLD_BEFORE = frozenset({"InvalidModelOutput", "BudgetExhausted", "PriceUnknown"})
"""The activity itself has closed the step."""

Standing = Literal["no", "waits", "parked"]
Hook = Callable[[Standing], Awaitable[None]]
Parks = Callable[[str], bool]


def always(_error_type: str) -> bool:
    return True


def never(_error_type: str) -> bool:
    return False


def unless_invalid(error_type: str) -> bool:
    """Answers that are no use cost one candidate or one repair, not the task."""
    return error_type != "InvalidModelOutput"


def if_unpaid(error_type: str) -> bool:
    """A voter may be absent for anything but money, or an operator's slip: the vote can't do without those."""
    return error_type in ("BudgetExhausted", "PriceUnknown", "RouteUnknown")


class StepDiscarded(StepFailed):
    """An operator gave a parked step up, and its task with it."""

    def __init__(self, step: str, told: str) -> None:
        super().__init__(step, "StepDiscarded", told=told)


class Steps:
    """Runs, waits and parks. While `standing` is not `no`, the deadline's clock is to stand still."""

    def __init__(self, task: AgentTaskInput, on_standing: Hook | None = None) -> None:
        self._task = task
        self._on_standing = on_standing
        self._epochs: dict[str, int] = {}
        self._routes: dict[str, tuple[str, ...]] = {}
        self._running = 0
        self._waiting = 0
        self._parked = 0
        self._yielded = False
        self._wakes = 0

    @property
    def standing(self) -> Standing:
        if self._parked:
            return "parked"
        return "waits" if self._waiting else "no"

    def wake(self) -> None:
        """Something was decided on a dead letter: the row says what."""
        self._wakes += 1

    def ref(self, step: str) -> StepRef:
        """Names a step in its present epoch."""
        task = self._task
        return StepRef(task_id=task.task_id, tenant=task.tenant, step=step, epoch=self._epochs.get(step, 1))

    async def run(
        self,
        kind: Kind,
        activity: Callable[[Any, Any], Awaitable[Output]],
        argument: Message,
        *,
        step: str,
        summary: str,
        parks: Parks = always,
        task_queue: str | None = None,
        within: timedelta | None = None,
    ) -> Output:
        """Run one step to its end, through any number of redrives.

        Args:
            parks: given the type of the last error, whether a spent step is parked.

        Raises:
            StepFailed: it is spent and not of those that are parked.
            StepDiscarded: it was parked, and discarded.
        """
        while True:
            try:
                return await self._attempt(
                    kind, activity, self._current(argument, step), step, summary, task_queue, within
                )
            except StepFailed as failed:
                if failed.error_type in NEVER_PARKED:
                    raise
                if not parks(failed.error_type):
                    await self._abandon(failed)
                    raise
                await self.park(failed, argument)

    async def park(self, failed: StepFailed, argument: Message | None = None) -> None:
        """Park a spent step, and return when it is redriven.

        Raises:
            StepDiscarded: it was discarded instead.
        """
        step, ref = failed.step, self.ref(failed.step)
        letter = ParkInput(
            ref=ref,
            kind=LETTER_KINDS.get(failed.error_type, "internal"),
            cause=failed.error_type,
            detail=failed.detail,
            attempts=failed.attempts,
            workflow_id=workflow.info().workflow_id,
            input=None if argument is None else argument.model_dump(mode="json"),
        )
        await self._stand(parked=1)
        try:
            await durable_step(
                RECORD,
                ParkingActivities.park,
                letter,
                step=f"park/{step}/{ref.epoch}",
                summary=f"parked: {failed.error_type}",
                task_queue=ORCHESTRATOR_QUEUE,
            )
            decision = await self._decision(ref)
            if decision.begin_in_seconds:
                await workflow.sleep(decision.begin_in_seconds)
            if decision.state == "discarded":
                told = f"step {step} was discarded by {decision.actor}; it had failed with {failed.error_type}"
                raise StepDiscarded(step, told)
            await self._readmit(step)
        finally:
            await self._stand(parked=-1)
        self._epochs[step] = ref.epoch + 1
        if decision.route is not None:
            self._routes[step] = decision.route

    async def _attempt(
        self,
        kind: Kind,
        activity: Callable[[Any, Any], Awaitable[Output]],
        argument: Message,
        step: str,
        summary: str,
        task_queue: str | None,
        within: timedelta | None,
    ) -> Output:
        """As long as something is missing: wait for it, and begin anew."""
        while True:
            self._running += 1
            try:
                return await durable_step(
                    kind, activity, argument, step=step, summary=summary, task_queue=task_queue, within=within
                )
            except StepFailed as failed:
                if failed.error_type not in kind.waits_for:
                    raise
                await self._await(argument, step)
            finally:
                self._running -= 1

    async def _await(self, argument: Message, step: str) -> None:
        """Wait without limit, in one activity that writes no events while it waits."""
        await self._stand(waiting=1)
        try:
            if isinstance(argument, AskRoleInput):
                await durable_step(
                    WAIT, LlmActivities.await_turn, argument, step=f"wait/{step}", summary="wait for a model or budget"
                )
            else:
                await durable_step(
                    WAIT,
                    SandboxActivities.await_sandbox,
                    self._task,
                    step=f"wait/{step}",
                    summary="wait for a sandbox",
                    task_queue=SANDBOX_QUEUE,
                )
        finally:
            await self._stand(waiting=-1)

    async def _decision(self, ref: StepRef) -> LetterDecision:
        """Wait, as long as it takes, for a decision whose row is there. Meanwhile others have the slot."""
        seen, looked = -1, False
        while True:
            if not looked or self._wakes > seen:
                seen, looked = self._wakes, True
                decision = await durable_step(
                    RECORD,
                    ParkingActivities.read_letter,
                    ref,
                    step=f"letter/{ref.step}/{ref.epoch}/{seen}",
                    summary="read what was decided",
                    task_queue=ORCHESTRATOR_QUEUE,
                )
                if decision.state != "open":
                    return decision
            await workflow.wait_condition(lambda: self._wakes > seen or self._idle)  # noqa: B023 (read at once)
            if self._idle:
                self._yielded = True
                await durable_step(
                    RECORD,
                    ParkingActivities.yield_slot,
                    self._task,
                    step=f"yield/{ref.step}/{ref.epoch}",
                    summary="give the slot to others",
                    task_queue=ORCHESTRATOR_QUEUE,
                )

    @property
    def _idle(self) -> bool:
        return self._running == 0 and not self._yielded

    async def _readmit(self, step: str) -> None:
        """Stand in line again for a slot, if it was given away; an early arrival stands before the later ones."""
        if self._yielded:
            # May be parked in its turn, as where a price is missing now.
            await self.run(
                WAIT,
                AdmissionActivities.admit,
                self._task,
                step=f"admit/{step}",
                summary="wait for a slot and the budget",
                task_queue=ORCHESTRATOR_QUEUE,
            )
            self._yielded = False

    async def _abandon(self, failed: StepFailed) -> None:
        if failed.error_type not in TOLD_BEFORE:
            await durable_step(
                RECORD,
                ParkingActivities.abandon,
                self.ref(failed.step),
                step=f"abandon/{failed.step}",
                summary=f"lost: {failed.error_type}",
                task_queue=ORCHESTRATOR_QUEUE,
            )

    async def _stand(self, *, waiting: int = 0, parked: int = 0) -> None:
        was = self.standing
        self._waiting += waiting
        self._parked += parked
        if self._on_standing is not None and self.standing != was:
            await self._on_standing(self.standing)

    def _current(self, argument: Message, step: str) -> Message:
        """The input in the step's present epoch, with the route that its redrive named."""
        if "ref" not in type(argument).model_fields:
            return argument
        changed: dict[str, Any] = {"ref": self.ref(step)}
        if step in self._routes and isinstance(argument, AskRoleInput):
            changed["route"] = self._routes[step]
        return argument.model_copy(update=changed)
