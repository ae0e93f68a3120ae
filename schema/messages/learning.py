"""A proposed change to how agents work, and what the workflow that sees it through says to its activities."""

from typing import Literal
from uuid import UUID

from schema.messages.base import Message, Tenant
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
    """

    state: UpdateState
    settled: bool
    expires_in_seconds: float = 0.0
    remind_in_seconds: float | None = None
