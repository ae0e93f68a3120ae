"""What the workflow of a proposed prompt says to its activities, beside the proposal's id."""

from uuid import UUID

from schema.messages.base import Message, Tenant, TextRef


class WordUpdateInput(Message):
    """Takes the supervisor's wording of a proposal, if it will do.

    Attributes:
        response: what the supervisor answered, by reference; None: `fault` says why there is nothing.
        last: there is no other: if this won't do, the proposal is rejected.
    """

    update_id: UUID
    tenant: Tenant
    response: TextRef | None
    fault: str = ""
    last: bool = False
