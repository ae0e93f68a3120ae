"""Dead letters, as the workflows write them and read what was decided."""

from typing import Literal

from pydantic import JsonValue

from schema.messages.base import Message
from schema.messages.steps import StepRef

LetterKind = Literal["model", "sandbox", "budget", "price", "vote", "poison", "internal"]


class ParkInput(Message):
    """Parks a step whose attempts are spent: a dead letter is written, the task is `parked`.

    Attributes:
        cause: the stable type of the last error; `detail` is what it said.
        workflow_id: who waits for the decision.
        input: the step's input, by reference; None where it has none of its own.
    """

    ref: StepRef
    kind: LetterKind
    cause: str
    detail: str = ""
    attempts: int
    workflow_id: str
    input: dict[str, JsonValue] | None = None


class LetterDecision(Message):
    """What was decided on a dead letter; its row says, not the Signal.

    Attributes:
        route: the models to ask now, in their order; None leaves the route as it is.
        begin_in_seconds: a throttled redrive begins so much later.
    """

    state: Literal["open", "redriven", "discarded"] = "open"
    actor: str = ""
    route: tuple[str, ...] | None = None
    begin_in_seconds: float = 0.0
