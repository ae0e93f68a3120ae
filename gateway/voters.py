"""`GET /v1/governance/voters`: how the tenant's voters did, and which weights their records would propose."""

from starlette.responses import Response

from gateway.operations import answer
from gateway.services import Call
from schema.messages.base import Message
from schema.messages.vote import VotePolicy, Voter, VoterRecord
from schema.policies import default_policy, merged, read_tenant_policy
from schema.truths import read_records
from schema.weights import MIN_JUDGED, proposed_weights


class VoterStanding(Message):
    """A voter's record beside what its ballot weighs.

    Attributes:
        weight: in basis points, as the tenant's policy has it now; 0 has no vote.
        proposed_weight: what the records would propose; None where nothing is proposed.
    """

    record: VoterRecord
    weight: int
    proposed_weight: int | None = None


class VoterPage(Message):
    """All voters.

    Attributes:
        judged_needed: votes whose truth is known that each voter needs before anything is proposed.
    """

    items: tuple[VoterStanding, ...]
    judged_needed: int = MIN_JUDGED
    next_cursor: None = None


async def show_voters(call: Call) -> Response:
    """The records, and the proposal that they would make. Reading it changes nothing."""
    async with call.services.database.tenant(call.tenant) as connection:
        tenant_policy = await read_tenant_policy(connection, call.tenant)
        found = await read_records(connection, call.tenant)
    policy = merged(default_policy(call.services.settings), tenant_policy, VotePolicy())
    return answer(VoterPage(items=standings(policy, {record.voter: record for record in found})))


def standings(policy: VotePolicy, records: dict[Voter, VoterRecord]) -> tuple[VoterStanding, ...]:
    """The voters of the policy in its order, then others who have a record."""
    proposed = proposed_weights(tuple(records.values()), policy) or {}
    return tuple(
        VoterStanding(
            record=records.get(voter, VoterRecord(voter=voter)),
            weight=policy.voters.get(voter, 0),
            proposed_weight=proposed.get(voter),
        )
        for voter in dict.fromkeys((*policy.voters, *records))
    )
