"""A proposed prompt beside its parent on past tasks: what `PromptEvaluation` and its activities say to each other."""

from typing import Literal
from uuid import UUID

from schema.messages.base import Message, Tenant, TextRef
from schema.messages.learning import PairRun
from schema.messages.steps import Role
from schema.messages.vote import Evidence

EvaluationEnd = Literal["all", "budget", "price", "gone"]
"""What ended an evaluation: all pairs were tried, or its budget, a missing price or its task's end ended it before."""


class EvaluationSoFar(Message):
    """What a run of the workflow hands on to the next, so that no history gets long.

    Attributes:
        runs: pairs that came to an end; `lost`, how many did not.
        begun: pairs that were tried, of those that were chosen.
    """

    runs: tuple[PairRun, ...] = ()
    lost: int = 0
    begun: int = 0


class EvaluationInput(Message):
    """Starts `PromptEvaluation`.

    Attributes:
        number: of the evaluation of this proposal: one whose parent changed is evaluated anew.
        so_far: of one that goes on; its slot is taken.
    """

    update_id: UUID
    tenant: Tenant
    role: Role
    number: int
    so_far: EvaluationSoFar | None = None


class Subject(Message):
    """A past task that both versions are asked about. Texts go by reference.

    Attributes:
        spec: what was submitted.
        plan: the architect's, where a developer or a voter is asked.
        candidate, report, evidence: what was voted on, where a voter is asked.
        good: whether that turned out well.
    """

    task_id: UUID
    spec: TextRef
    plan: TextRef | None = None
    candidate: TextRef | None = None
    report: TextRef | None = None
    evidence: Evidence | None = None
    good: bool | None = None


class ChooseSubjectsInput(Message):
    """Asks for the next pairs of an evaluation.

    Attributes:
        begin: the first of them; `most`, how many.
    """

    evaluation: EvaluationInput
    begin: int
    most: int


class Pair(Message):
    """One subject with one seed, to be asked in both versions.

    Attributes:
        place: of the subject among those that were chosen, from 1.
        seed: from 0.
    """

    place: int
    seed: int
    subject: Subject


class Subjects(Message):
    """A part of the pairs of an evaluation, and what they are run with.

    Attributes:
        parent: the version that the proposal would change.
        rule: what the proposal is to mend, as `outcomes.rules` names it.
        developer: the version of the developer that carries out an architect's plans.
        models: by role, the one model that is asked: two models would be no comparison.
        left: more pairs after these.
    """

    parent: UUID
    rule: str | None = None
    developer: UUID | None = None
    models: dict[Role, str] = {}
    pairs: tuple[Pair, ...] = ()
    left: int = 0


class JudgeReportInput(Message):
    """Asks whether a stored report of a proof has a finding of a rule."""

    tenant: Tenant
    report: TextRef
    rule: str


class RecordEvaluationInput(Message):
    """Stores what an evaluation came to, for the version that it was made for."""

    evaluation: EvaluationInput
    parent: UUID | None
    so_far: EvaluationSoFar
    end: EvaluationEnd
