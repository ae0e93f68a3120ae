"""The errors of Golden, one tree, one class for each remedy.

    GoldenError
    ├── RetryableError                 try again, the same call may succeed
    │   ├── NotAdmitted                no slot or no budget yet: wait, in order of arrival
    │   ├── NotYet                     what a step waits for is not there yet: look again
    │   ├── BudgetBusy                 other calls of the task hold what this one needs: wait until they are settled
    │   ├── Overtaken                  another attempt of the step has its calls now: begin again, and find them
    │   ├── RouteClosed                every circuit of the route is open: wait until one lets a call through
    │   ├── SandboxBusy                every sandbox is taken: wait a little
    │   ├── SandboxUnavailable         the container engine does not answer: wait longer
    │   ├── ModelUnavailable           the provider failed, was slow or said 429
    │   │   └── AnswerTooLong          it answered more than anybody can need, which says nothing of its health
    │   └── KeyMissing                 the key ring lacks the key of what is to be read: put it back
    └── FinalError                     the same call will fail again
        ├── IsolationRequired          the required isolation is not there
        ├── InvalidModelOutput         three answers in a row were not of the type asked for
        ├── BudgetExhausted            the task's own budget is spent: top it up
        ├── PriceUnknown               money is limited and a model has no price: say it in GOLDEN_MODELS
        ├── RouteUnknown               a redrive names a model that the settings don't: name one of theirs
        ├── TaskGone                   the task is final or unknown
        ├── UpdateGone                 the proposal is unknown
        ├── TextLost                   a text is gone, as after a restore to before it was written: discard the step
        ├── SealBroken                 what is encrypted was changed, or was put elsewhere
        ├── SettingsError              a setting is missing, unsafe or contradictory
        └── InvalidSubmission          what a client sent, with the field and the remedy

`type` is stable: workflows, dashboards and clients may depend on it. It never holds user text.
"""

from typing import ClassVar


class GoldenError(Exception):
    """Base of all; `type` is its name on the wire, `retryable` tells Temporal whether to try again."""

    type: ClassVar[str] = "GoldenError"
    retryable: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        cls.type = cls.__name__


class RetryableError(GoldenError):
    """The same call may succeed later. `retry_after` is in seconds; None leaves it to the policy."""

    retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotAdmitted(RetryableError):
    """The tenant has no free slot or no budget for this task yet."""


class NotYet(RetryableError):
    """What a step waits for, a circuit, a budget, an engine, is not there yet."""


class BudgetBusy(RetryableError):
    """Calls of the same task that are under way hold what this one may need."""


class Overtaken(RetryableError):
    """Another attempt of the same step made this call, or gave it up: what it came to is in the ledger."""


class RouteClosed(RetryableError):
    """No model of the route may be called now: their circuits are open, or paused by their providers."""


class SandboxBusy(RetryableError):
    """Every sandbox of this worker is taken."""


class SandboxUnavailable(RetryableError):
    """The container engine does not answer, or could not make a sandbox."""


class ModelUnavailable(RetryableError):
    """The provider failed, was too slow, or asked for a pause."""


class AnswerTooLong(ModelUnavailable):
    """The provider's answer has no end. What was asked may be the cause: its circuit learns nothing from it."""


class KeyMissing(RetryableError):
    """The key ring lacks the key that opens this; the message names the key's id."""


class FinalError(GoldenError):
    """The same call will fail again."""


class IsolationRequired(FinalError):
    """The runtime that the settings require is not there; nothing weaker is used in its place."""


class InvalidModelOutput(FinalError):
    """The model's answers were not of the type asked for, as often as an epoch allows."""


class BudgetExhausted(FinalError):
    """The task has too few tokens or too little money left for the call."""


class PriceUnknown(FinalError):
    """The tenant's money is limited, and nobody has said what a model of the route costs."""


class RouteUnknown(FinalError):
    """A redrive asks for a model that no route of the settings names."""


class TaskGone(FinalError):
    """The task is unknown, or already final."""


class UpdateGone(FinalError):
    """The tenant has no such proposal."""


class TextLost(FinalError, LookupError):
    """The tenant has no text under a reference: it was lost, or erased."""


class SealBroken(FinalError):
    """What is encrypted does not open: it was changed, or taken from elsewhere."""


class SettingsError(FinalError):
    """A setting is missing, unsafe or contradicts another; the message names it and the remedy."""


class InvalidSubmission(FinalError):
    """What a client sent cannot be taken. `errors` holds one (field, message) for each fault."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in errors))
        self.errors = errors
