"""A proposed change to how agents work, and what the workflow that sees it through says to its activities."""

from typing import Literal
from uuid import UUID

from schema.messages.base import Message, Tenant
from schema.messages.steps import Role
from schema.messages.vote import Voter, VoterRecord

UpdateKind = Literal["prompt", "weights"]
UpdateState = Literal[
    "proposed",
    "evaluating",
    "waiting",
    "pending",
    "approved",
    "rejected",
    "expired",
    "canary",
    "adopted",
    "rolled_back",
]
VOTERS = "voters"
"""In the place of a role, for what concerns all who vote."""


class WeightsDiff(Message):
    """New weights of the voters, in basis points, beside those that they replace."""

    before: dict[Voter, int]
    after: dict[Voter, int]


class WeightsEvidence(Message):
    """What the new weights were worked out from."""

    records: tuple[VoterRecord, ...]


PromptOp = Literal["add", "change", "remove"]
Verdict = Literal["better", "worse", "unclear"]


class PromptDiff(Message):
    """One guideline added, changed or removed; `before` and `after` are its text. Unworded, an addition has neither."""

    op: PromptOp
    before: str | None = None
    after: str | None = None


class Pattern(Message):
    """A rule that fails more often than chance would have it, with the numbers that say so.

    Attributes:
        rule: as `outcomes.rules` names it: `security/B602`, `tests/TypeError`, `ballot/false-accept`.
        tasks: different tasks of the window that this role worked on; `failing`, those in which the rule failed.
        base_rate: how often it would fail by chance.
        p_value: one-sided exact binomial; `q_value`, after Benjamini and Hochberg over all rules of the scan.
        task_ids: the failing ones, newest first: they have no part in the evaluation.
        messages: what the guards or tests said, a few, shortened; data, never orders.
    """

    rule: str
    role: Role
    tasks: int
    failing: int
    base_rate: float
    p_value: float
    q_value: float
    window_days: int
    task_ids: tuple[UUID, ...] = ()
    messages: tuple[str, ...] = ()


class PromptEvidence(Message):
    """What a change of a prompt was proposed for: a pattern, or what its proposer says."""

    pattern: Pattern | None = None
    said: str = ""


class LearningSpec(Message):
    """What the row of a proposal's own task holds: the supervisor words it from this, its budget pays for that and
    for the evaluation.

    Attributes:
        guidelines: those that the prompt has already.
    """

    learning: Pattern | None
    role: Role
    guidelines: tuple[str, ...] = ()


PairRun = tuple[UUID, int, bool, bool]
"""Task, seed, whether the old version did well, whether the new one did."""


class RuleReport(Message):
    """The same pairs, by nothing but the rule that a proposal is to mend: a pair did well where the rule did not fail.

    Attributes:
        runs: as those of the report.
    """

    rule: str
    better: int
    worse: int
    p_value: float
    p_tasks: float
    difference: float
    interval: tuple[float, float]
    runs: tuple[PairRun, ...] = ()


class EvaluationReport(Message):
    """Both versions on the same past tasks, with the same model and the same seeds.

    Attributes:
        pairs: runs of both; `tasks`, the different tasks among them.
        better, worse: pairs in which only the new, or only the old version did well.
        p_value: McNemar's exact test, two-sided, over pairs; `p_tasks`, with one vote for each task.
        difference: of the shares that did well, new less old; `interval` is its 95 % by cluster bootstrap over tasks.
        old, new: how many pairs did well with each.
        verdict: by `margin`; `why` says it in a sentence.
        tokens: spent on it.
        runs: every pair: the task, the seed, and whether the old and the new version did well. All else follows from
            them (docs/learning-statistics.md).
        rule: of a proposal that was made for a rule.
    """

    pairs: int
    tasks: int
    better: int
    worse: int
    old: int
    new: int
    p_value: float
    p_tasks: float = 1.0
    difference: float
    interval: tuple[float, float]
    margin: float
    verdict: Verdict
    why: str
    tokens: int = 0
    runs: tuple[PairRun, ...] = ()
    rule: RuleReport | None = None


class LearningApprovalInput(Message):
    """Starts `LearningApproval`. Everything else is in the row."""

    update_id: UUID
    tenant: Tenant


class UpdateStanding(Message):
    """Where a proposal is, from its row.

    Attributes:
        settled: nothing more will happen to it.
        expires_in_seconds: until it ends undecided.
        remind_in_seconds: until those who may decide are reminded; None if that was or will not be.
        escalate_in_seconds: until it is shown as overdue to whoever looks; None if that was or will not be.
        worded: it says what it would change.
        wait_seconds: of one that waits, until it is worth to look again.
        waits_for: what it waits for, in words.
        evaluated: the report is there that its verdict is made from.
        judged: of a canary, how many tasks tell something of it so far.
    """

    state: UpdateState
    settled: bool
    kind: UpdateKind = "weights"
    role: Role | None = None
    worded: bool = True
    wait_seconds: float = 0.0
    waits_for: str = ""
    evaluated: bool = False
    judged: int = 0
    escalate_in_seconds: float | None = None
    expires_in_seconds: float = 0.0
    remind_in_seconds: float | None = None
