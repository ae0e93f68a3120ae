"""A vote: policy, evidence, ballots and the explanation of its outcome (design §11)."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from schema.messages.base import Message, field_fault

Voter = Literal["reviewer", "security", "tester", "architect"]
Choice = Literal["approve", "reject", "abstain"]
VoteOutcome = Literal["approved", "rejected", "undecided"]
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]
Fraction = Annotated[float, Field(gt=0, le=1)]

DEFAULT_WEIGHTS: dict[Voter, int] = {"reviewer": 3000, "security": 2500, "tester": 2500, "architect": 2000}


class VotePolicy(Message):
    """How a vote is held. Every field is optional; what is left out is the tenant's default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    voters: dict[Voter, BasisPoints] = DEFAULT_WEIGHTS
    quorum: Annotated[int, Field(ge=1, le=4)] | None = None
    threshold: Fraction = 0.6
    reject_threshold: Fraction = 0.5
    deadline_seconds: Annotated[int, Field(ge=10, le=86_400)] = 600
    rounds: Annotated[int, Field(ge=1, le=2)] = 2
    veto: bool = True

    @field_validator("voters")
    @classmethod
    def _someone_votes(cls, voters: dict[Voter, int]) -> dict[Voter, int]:
        if not any(weight > 0 for weight in voters.values()):
            raise ValueError("at least one voter needs a weight above 0")
        return voters

    @model_validator(mode="after")
    def _quorum_can_be_met(self) -> "VotePolicy":
        if self.quorum is not None and self.quorum > self._able:
            raise field_fault("quorum", f"can never be met: {self._able} voters have a weight above 0")
        if self.threshold + self.reject_threshold <= 1:
            raise field_fault("threshold", "and reject_threshold together must be above 1, or both sides could win")
        return self

    @property
    def _able(self) -> int:
        return sum(weight > 0 for weight in self.voters.values())

    @property
    def quorum_needed(self) -> int:
        """Ballots of weight that a decision needs: as the policy says, else two, or one where one can vote."""
        return self.quorum if self.quorum is not None else min(2, self._able)


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
    """

    tests_passed: int
    tests_failed: int
    findings: dict[str, Literal["low", "medium", "high"]] = {}
    lines: dict[str, int] = {}
    has_plan: bool = True

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids that a ballot may cite."""
        return ("tests", "diff", *(("plan",) if self.has_plan else ()), *self.findings)


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


class CountedObjection(Message):
    """An objection and whether it survived the check against its evidence."""

    objection: Objection
    survives: bool
    reason: str = ""


class Explanation(Message):
    """Why a vote came out as it did, and what would have changed it."""

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
