"""A proposed prompt beside its parent on past tasks: what `PromptEvaluation` and its activities say to each other."""

from typing import Literal
from uuid import UUID

from schema.messages.base import Message, Tenant, TextRef
from schema.messages.learning import PairRun
from schema.messages.sandbox import GuardName, GuardPolicy
from schema.messages.steps import Role
from schema.messages.vote import Evidence

EvaluationEnd = Literal["all", "budget", "price", "gone"]
"""What ended an evaluation: all pairs were tried, or before that its budget, a missing price, or that nobody needs it
any more."""


class EvaluationSoFar(Message):
    """What a run of the workflow hands on to the next, so that no history gets long.

    Attributes:
        parent: the version that the proposal would change.
        runs: pairs that came to an end; `lost`, how many did not. `rule_runs` are the same by the proposal's rule.
        begun: pairs that were tried, of those that were chosen.
        rule: what the proposal is to mend.
    """

    parent: UUID
    rule: str | None = None
    runs: tuple[PairRun, ...] = ()
    rule_runs: tuple[PairRun, ...] = ()
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
        spec: what was submitted; `guards`, the policy of the guards that holds for it now.
        plan: the architect's, where a developer or a voter is asked.
        candidate, report, evidence: what was voted on, where a voter is asked.
        good: whether that turned out well.
    """

    task_id: UUID
    spec: TextRef
    guards: dict[GuardName, GuardPolicy] = {}
    plan: TextRef | None = None
    candidate: TextRef | None = None
    report: TextRef | None = None
    evidence: Evidence | None = None
    good: bool | None = None


class Choice(Message):
    """What an evaluation is made on, chosen once.

    Attributes:
        parent: the version that the proposal would change.
        rule: what the proposal is to mend, as `outcomes.rules` names it.
        developer: the version of the developer that carries out an architect's plans.
        models: by role, the one model that is asked: two models would be no comparison.
        seeds: of each subject.
    """

    parent: UUID
    rule: str | None = None
    developer: UUID | None = None
    models: dict[Role, str] = {}
    seeds: int = 1
    subjects: tuple[Subject, ...] = ()


class ChooseSubjectsInput(Message):
    """Asks for the next pairs of an evaluation.

    Attributes:
        begin: the first of them, from 0; `most`, how many.
    """

    evaluation: EvaluationInput
    begin: int = 0
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


class Pairs(Message):
    """A part of the pairs of an evaluation, and what they are run with.

    Attributes:
        choice: without its subjects; None where the proposal is not evaluated any more.
        left: more pairs after these.
    """

    choice: Choice | None = None
    pairs: tuple[Pair, ...] = ()
    left: int = 0


class JudgeReportInput(Message):
    """Asks whether a rule failed in a stored report of a proof: a finding, or a test that failed in its way."""

    tenant: Tenant
    report: TextRef
    rule: str


class RecordEvaluationInput(Message):
    """Stores what an evaluation came to, for the version that it was made for."""

    evaluation: EvaluationInput
    so_far: EvaluationSoFar | None
    end: EvaluationEnd
    rule: str | None = None
