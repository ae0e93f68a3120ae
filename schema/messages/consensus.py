"""What a vote says to its activities: the ballots of its rounds, and what is written down of them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from schema.messages.base import Message, Tenant, TextRef
from schema.messages.steps import StepRef
from schema.messages.vote import (
    Ballot,
    Choice,
    Evidence,
    Explanation,
    VoteOutcome,
    VotePolicy,
    Voter,
    VoterRecord,
)


class ConsensusInput(Message):
    """Starts `ConsensusRound`: one vote on one candidate.

    Attributes:
        records: how the voters did before; where none are given, the vote reads them.
    """

    task_id: UUID
    tenant: Tenant
    number: int
    policy: VotePolicy
    evidence: Evidence
    candidate: TextRef
    report: TextRef
    plan: TextRef | None = None
    records: tuple[VoterRecord, ...] = ()


class ConsensusResult(Message):
    """How a vote ended; the explanation is behind the reference. `question` is a person's, where it did not decide."""

    outcome: VoteOutcome
    explanation: TextRef
    summary: str
    question: str | None = None


class CastBallot(Message):
    """One voter's ballot in one round; `ballot` is None for an absent voter."""

    voter: Voter
    ballot: Ballot | None


class ReadRecordsInput(Message):
    """Asks how a tenant's voters did."""

    tenant: Tenant


class VoterRecords(Message):
    """How a tenant's voters did, as far as it is known."""

    records: tuple[VoterRecord, ...] = ()


class RoundBallot(Message):
    """One voter's ballot in one round, as its row says it: without a word of what the voter wrote."""

    round: int
    voter: Voter
    choice: Choice | Literal["absent"]
    confidence: float | None = None
    weight: int
    effective_weight: int
    late: bool = False


class RecordVoteInput(Message):
    """Stores the explanation of a vote, and its ballots of every round.

    Attributes:
        number: of the vote on its task.
        began: when the vote's workflow was started, by Temporal's clock; None of a vote from before that was told.
    """

    ref: StepRef
    explanation: Explanation
    number: int = 1
    began: datetime | None = None
    ballots: tuple[RoundBallot, ...] = ()


class RecordedVote(Message):
    """What is on record of a vote: of one that was held twice, as after a reset, the first."""

    text: TextRef
    outcome: VoteOutcome | None = None
    summary: str = ""
    question: str | None = None


class StoreObjectionsInput(Message):
    """Stores the surviving objections of round 1, without names, for round 2."""

    ref: StepRef
    lines: tuple[str, ...]
