"""What the ledger should do, in plain Python: one tenant, its tasks and their calls. No SQL, no locks, no clocks."""

from dataclasses import dataclass, field
from uuid import UUID

FINAL = ("accepted", "rejected", "failed", "cancelled")


@dataclass
class ModelCall:
    """One dispatch: open until something ends it."""

    step: str
    ask: int
    dispatch: int
    tokens: int
    micro_usd: int | None
    is_open: bool = True
    answered: bool = False
    invalid: bool = False


@dataclass
class ModelTask:
    """A task, its own account, and what it has of the tenant's."""

    task_id: UUID
    budget: int
    state: str = "submitted"
    budget_usd: int | None = None
    spent: int = 0
    spent_usd: int = 0
    charged: int = 0
    charged_usd: int = 0
    hold: int = 0
    hold_usd: int = 0
    admitted: bool = False
    letters: int = 0
    has_open_letter: bool = False
    calls: list[ModelCall] = field(default_factory=list)

    @property
    def final(self) -> bool:
        return self.state in FINAL

    @property
    def waits(self) -> bool:
        return self.state == "queued" and not self.admitted

    @property
    def held(self) -> int:
        return sum(call.tokens for call in self.calls if call.is_open)

    @property
    def held_usd(self) -> int:
        return sum(call.micro_usd or 0 for call in self.calls if call.is_open)

    def past(self, step: str) -> tuple[bool, int, int]:
        """Whether a step has its answer; asks that were answered invalidly; dispatches of the ask that is open."""
        answered, asks, dispatches = False, 0, 0
        for call in (call for call in self.calls if call.step == step):
            if call.answered and not call.invalid:
                answered = True
            elif call.answered:
                asks, dispatches = call.ask, 0
            else:
                dispatches = call.dispatch
        return answered, asks, dispatches


class ModelTenant:
    """The tenant's account. Tasks are in their order of arrival."""

    def __init__(self, slots: int) -> None:
        self.limit: int | None = None
        self.limit_usd: int | None = None
        self.slots = slots
        self.spent = 0
        self.spent_usd = 0
        self.price: int | None = 2
        self.tasks: list[ModelTask] = []

    @property
    def admitted(self) -> list[ModelTask]:
        return [task for task in self.tasks if task.admitted]

    @property
    def held(self) -> int:
        return sum(task.hold for task in self.tasks)

    @property
    def held_usd(self) -> int:
        return sum(task.hold_usd for task in self.tasks)

    def admit(self, task: ModelTask) -> str:
        """`admitted`, `queued`, `gone` or `unpriced`."""
        if task.final:
            return "gone"
        if task.admitted or task.state == "escalated":
            return "admitted"
        if self.limit_usd is not None and self.price is None:
            return "unpriced"
        earlier = any(other.waits for other in self.tasks[: self.tasks.index(task)])
        if not earlier and self._hold(task):
            return "admitted"
        task.state = "queued"
        self._admit_waiting()
        return "admitted" if task.admitted else "queued"

    def reserve(self, task: ModelTask, call: ModelCall) -> str:
        """`held`, or why not."""
        if self.limit_usd is not None and call.micro_usd is None:
            return "unpriced"
        if task.final:
            return "gone"
        if task.budget_usd is not None and call.micro_usd is None:
            return "unpriced"
        usd = call.micro_usd or 0
        limited = task.budget_usd is not None
        if task.spent + call.tokens > task.budget or (limited and task.spent_usd + usd > (task.budget_usd or 0)):
            return "spent"
        is_over = limited and task.spent_usd + task.held_usd + usd > (task.budget_usd or 0)
        if task.spent + task.held + call.tokens > task.budget or is_over:
            return "busy"
        task.calls.append(call)
        return "held"

    def end(self, task: ModelTask, call: ModelCall, tokens: int | None, micro_usd: int | None) -> bool:
        """Charge an open call, None of tokens at what it held; False if it was ended before."""
        if not call.is_open:
            return False
        call.is_open = False
        task.spent += call.tokens if tokens is None else tokens
        task.spent_usd += (call.micro_usd or 0) if tokens is None else (micro_usd or 0)
        return True

    def give_up(self, task: ModelTask, step: str | None = None) -> None:
        """Charge what is open of a task, or of a step, at its estimate."""
        for call in task.calls:
            if step is None or call.step == step:
                self.end(task, call, None, None)

    def give_back(self, task: ModelTask) -> None:
        """The slot and the hold, and what was newly spent; whoever waits may have them."""
        spent, spent_usd = task.spent - task.charged, task.spent_usd - task.charged_usd
        if not task.admitted and not spent and not spent_usd:
            return
        self.spent += spent
        self.spent_usd += spent_usd
        task.charged, task.charged_usd = task.spent, task.spent_usd
        task.hold, task.hold_usd, task.admitted = 0, 0, False
        self._admit_waiting()

    def finish(self, task: ModelTask, state: str) -> bool:
        if task.final:
            return False
        self.give_up(task)
        task.state, task.has_open_letter = state, False
        self.give_back(task)
        return True

    def top_up(self, task: ModelTask, tokens: int, micro_usd: int) -> bool:
        if task.final or (micro_usd and task.budget_usd is None):
            return False
        if task.admitted:
            if not _fits(self.limit, self.spent + self.held, tokens):
                return False
            if micro_usd and not _fits(self.limit_usd, self.spent_usd + self.held_usd, micro_usd):
                return False
            task.hold += tokens
            task.hold_usd += micro_usd
        task.budget += tokens
        if task.budget_usd is not None:
            task.budget_usd += micro_usd
        return True

    def _admit_waiting(self) -> None:
        for task in self.tasks:
            if task.waits and not self._hold(task):
                return

    def _hold(self, task: ModelTask) -> bool:
        worst: int | None = None
        if self.limit_usd is not None:
            if self.price is None:
                return False
            worst = max(self.price * task.budget, task.budget_usd or 0)
        tokens = max(0, task.budget - task.charged)
        micro_usd = max(0, (worst or 0) - task.charged_usd)
        if len(self.admitted) >= self.slots:
            return False
        if not _fits(self.limit, self.spent + self.held, tokens):
            return False
        if not _fits(self.limit_usd, self.spent_usd + self.held_usd, micro_usd):
            return False
        task.budget_usd, task.admitted, task.hold, task.hold_usd = worst, True, tokens, micro_usd
        return True


def _fits(limit: int | None, used: int, more: int) -> bool:
    return limit is None or used + more <= limit
