"""A vote: policy, evidence, ballots and the explanation of its outcome (design §11)."""

from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from schema.messages.base import Message, field_fault
from schema.messages.sandbox import GuardName, GuardPolicy

Voter = Literal["reviewer", "security", "tester", "architect"]
Choice = Literal["approve", "reject", "abstain"]
VoteOutcome = Literal["approved", "rejected", "undecided"]
Rule = Literal["contradicted", "unsupported", "no-evidence", "confidence", "agreement"]
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]
Fraction = Annotated[float, Field(gt=0, le=1)]

DEFAULT_WEIGHTS: dict[Voter, int] = {"reviewer": 3000, "security": 2500, "tester": 2500, "architect": 2000}


class VotePolicy(Message):
    """How a vote is held. Every field is optional; what is left out is the tenant's default.

    Attributes:
        decide_within_seconds: a person's time to decide where the vote does not; then the answer is reject.
        remind_after_seconds: the people who may decide are reminded after this time.
        guards: `off`, `on`, or for each of a guard's rules `off` or the severity of what it finds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    voters: dict[Voter, BasisPoints] = DEFAULT_WEIGHTS
    quorum: Annotated[int, Field(ge=1, le=4)] | None = None
    threshold: Fraction = 0.6
    reject_threshold: Fraction = 0.5
    deadline_seconds: Annotated[int, Field(ge=10, le=86_400)] = 600
    rounds: Annotated[int, Field(ge=1, le=2)] = 2
    veto: bool = True
    decide_within_seconds: Annotated[int, Field(ge=60, le=2_592_000)] = 259_200
    remind_after_seconds: Annotated[int, Field(ge=30, le=2_592_000)] = 86_400
    guards: dict[GuardName, GuardPolicy] = {}

    @field_validator("voters")
    @classmethod
    def _someone_votes(cls, voters: dict[Voter, int]) -> dict[Voter, int]:
        if not any(weight > 0 for weight in voters.values()):
            raise ValueError("at least one voter needs a weight above 0")
        return voters

    @field_validator("guards", mode="before")
    @classmethod
    def _switches_of_yaml(cls, unverified: Any) -> Any:
        """YAML reads `on` and `off` as true and false."""
        return _unswitched(unverified, depth=2)

    @model_validator(mode="after")
    def _quorum_can_be_met(self) -> "VotePolicy":
        if self.quorum is not None and self.quorum > self._able:
            raise field_fault("quorum", f"can never be met: {self._able} voters have a weight above 0")
        if self.threshold + self.reject_threshold <= 1:
            raise field_fault("threshold", "and reject_threshold together must be above 1, or both sides could win")
        return self

    @model_serializer(mode="wrap")
    def _only_what_is_named(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What was left out stays left out on every way, so that a default of the tenant's still has its say.
        return {field: value for field, value in dump(self).items() if field in self.model_fields_set}

    @property
    def _able(self) -> int:
        return sum(weight > 0 for weight in self.voters.values())

    @property
    def quorum_needed(self) -> int:
        """Ballots of weight that a decision needs: as the policy says, else two, or one where one can vote."""
        return self.quorum if self.quorum is not None else min(2, self._able)


def _unswitched(unverified: Any, depth: int) -> Any:
    if isinstance(unverified, bool):
        return "on" if unverified else "off"
    if isinstance(unverified, dict) and depth:
        return {name: _unswitched(value, depth - 1) for name, value in unverified.items()}
    return unverified


class Objection(Message):
    """What a voter holds against a candidate. `where` is `path:line` for a claim about the code."""

    category: Literal["correctness", "tests", "security", "requirements", "maintainability"]
    severity: Literal["low", "medium", "high"]
    where: Annotated[str, Field(max_length=300)] = ""
    evidence: Annotated[tuple[str, ...], Field(max_length=8)] = ()


class Ballot(Message):
    """A voter's answer."""

    choice: Choice
    confidence: Annotated[float, Field(ge=0, le=1)]
    rationale: Annotated[str, Field(max_length=2_000)]
    evidence: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    objections: Annotated[tuple[Objection, ...], Field(max_length=8)] = ()


class Evidence(Message):
    """What the voters are shown, and what their claims are checked against.

    Attributes:
        tests_passed, tests_failed: of the test report.
        findings: severity by id of finding.
        lines: number of lines by path of the candidate's files.
        has_plan: whether there is a plan to cite.
        stated: it is what the submitter says; nobody here proved it.
    """

    tests_passed: int
    tests_failed: int
    findings: dict[str, Literal["low", "medium", "high"]] = {}
    lines: dict[str, int] = {}
    has_plan: bool = True
    stated: bool = False

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids that a ballot may cite."""
        reported = self.tests_passed + self.tests_failed > 0
        return (*(("tests",) if reported else ()), "diff", *(("plan",) if self.has_plan else ()), *self.findings)


class VoterRecord(Message):
    """How a voter did in the votes of its tenant whose truth became known later.

    Attributes:
        judged: ballots that took a side and whose truth is known.
        agreed: those of them that agreed with the truth.
        brier: the mean squared distance between the stated confidence in the choice and whether it was right
            (Brier, "Verification of forecasts expressed in terms of probability", 1950); 0 is best; None without any.
        shared, same: by other voter, the votes in which both took a side, and those in which it was the same.
    """

    voter: Voter
    judged: int = 0
    agreed: int = 0
    brier: float | None = None
    shared: dict[Voter, int] = {}
    same: dict[Voter, int] = {}


class Reduction(Message):
    """What one rule took from a ballot's weight: what is left is `factor` times what was there, from 0 to 1."""

    rule: Rule
    factor: float
    reason: str


class LateBallot(Message):
    """A ballot that came after the count: kept, never counted."""

    voter: Voter
    round: int
    choice: Choice
    confidence: float


class VoterAccount(Message):
    """What one voter said, what it counted for, and why."""

    role: Voter
    choice: Literal["approve", "reject", "abstain", "absent"]
    weight: int
    effective_weight: int
    reasons: tuple[str, ...] = ()
    rationale: str = ""
    confidence: float | None = None
    pivotal: bool = False
    outcome_without: VoteOutcome
    banzhaf: float = 0.0
    shapley_shubik: float = 0.0
    reductions: tuple[Reduction, ...] = ()
    record: VoterRecord | None = None


class CountedObjection(Message):
    """An objection and whether it survived the check against its evidence."""

    objection: Objection
    survives: bool
    reason: str = ""


class Explanation(Message):
    """Why a vote came out as it did, and what would have changed it.

    Attributes:
        flip: the least change of choices that changes the outcome; None where none does.
        flip_outcome: the outcome that it would be then.
        flip_cost: the weight, in basis points, of the voters that would have to change.
        effective_votes: how many independent votes the counted ballots amount to (docs/consensus.md).
        late: ballots that came after the count.
        question: what a person is asked, where the vote did not decide.
    """

    outcome: VoteOutcome
    threshold: float
    reject_threshold: float
    quorum: int
    round: int
    round_one_outcome: VoteOutcome
    voters: tuple[VoterAccount, ...]
    veto: str | None = None
    flip: tuple[str, ...] | None = None
    objections: tuple[CountedObjection, ...] = ()
    summary: str
    flip_cost: int | None = None
    flip_outcome: VoteOutcome | None = None
    effective_votes: float | None = None
    late: tuple[LateBallot, ...] = ()
    question: str | None = None
