"""The states of what has states, and the names on the wire."""

from typing import get_args

from deploy.reference.markdown import code, head, table
from schema.engine import SEARCH_ATTRIBUTES
from schema.errors import GoldenError
from schema.messages.circuit import CircuitState
from schema.messages.learning import UpdateState
from schema.messages.letters import LetterKind
from schema.messages.sandbox import Limit, Outcome
from schema.messages.task import FINAL_STATES, StepView, TaskState
from schema.messages.vote import Choice, VoteOutcome
from workers.kinds import KINDS

ABOUT = "What a task, a step, a vote and the rest can be at; Temporal's names; and the stable names of errors."


def page() -> str:
    """States, names on the wire, errors."""
    states = [
        ("task (`GoldenState`)", _listed([each.value for each in TaskState if each not in FINAL_STATES])),
        ("task, final", _listed([each.value for each in TaskState if each in FINAL_STATES])),
        ("step", _listed(get_args(StepView.model_fields["state"].annotation))),
        ("test of a run", _listed(get_args(Outcome))),
        ("limit that ended a run", _listed(get_args(Limit))),
        ("ballot", _listed(get_args(Choice))),
        ("vote", _listed(get_args(VoteOutcome))),
        ("dead letter, by kind", _listed(get_args(LetterKind))),
        ("proposal", _listed(get_args(UpdateState))),
        ("circuit", _listed([each.value for each in CircuitState])),
    ]
    workers = [
        (code(name), code(kind.queue), ", ".join(code(each.__name__) for each in kind.workflows) or "none")
        for name, kind in KINDS.items()
    ]
    attributes = ", ".join(code(key.name) for key in SEARCH_ATTRIBUTES)
    return "\n".join(
        [
            head("States and names", ABOUT),
            f"## States\n\n{table(('of', 'one of'), states)}",
            f"## Workers\n\n{table(('kind', 'Task Queue', 'workflows'), workers)}\nSearch Attributes: {attributes}.\n",
            f"## Errors\n\nThe `type` of an error in Temporal.\n\n{table(('type', 'tried again', ''), _errors())}",
        ]
    )


def _listed(values: object) -> str:
    assert isinstance(values, tuple | list)  # noqa: S101 - for the type checker
    return " ".join(map(code, values))


def _errors() -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    todo: list[type[GoldenError]] = [GoldenError]
    while todo:
        kind = todo.pop(0)
        subclasses = [each for each in kind.__subclasses__() if each.__module__ == GoldenError.__module__]
        todo += subclasses
        if not subclasses:
            about = (kind.__doc__ or "").strip().partition("\n\n")[0]
            found.append((code(kind.__name__), "yes" if kind.retryable else "no", about))
    return sorted(found)
