"""A change of a role's prompt that a person proposes: what is asked for, checked, and written down."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field, StrictInt, StrictStr
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.guideline_checks import check_guideline
from gateway.problems import NOT_FOUND, PROPOSAL_OPEN, TOO_MANY_PROPOSALS, Problem, invalid
from gateway.services import Call
from schema.characters import clean
from schema.messages.base import Message
from schema.messages.learning import PromptDiff, PromptEvidence
from schema.messages.steps import Role
from schema.prompts import MAX_GUIDELINES, Prompt, active_version, read_prompt, update_digest
from schema.proposals import NoPrompt, write_proposal
from schema.tables import learning_updates as updates

MAX_TEXT = 300
MAX_OPEN = 20
"""Proposals of one person for prompts that nobody has decided on."""
NO_PROMPT = "no prompt is installed for this role yet: a supervisor's worker does that when it starts"

Which = Annotated[StrictInt | StrictStr, Field(description="A guideline's number, from 1, or its text.")]


class GuidelineChange(Message):
    """One guideline in the place of another."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    replaced: Which = Field(alias="from")
    to: str


@dataclass(frozen=True)
class PromptChange:
    """Which guideline of which role: one of the three."""

    role: Role
    add: str | None = None
    change: GuidelineChange | None = None
    remove: Which | None = None
    reason: str = ""

    @property
    def wanted(self) -> str | None:
        """The new words, on one line; none where a guideline is removed."""
        said = self.change.to if self.change is not None else self.add
        return None if said is None else said.strip()


async def check_change(call: Call, change: PromptChange) -> None:
    """422 for what no prompt may be taught. With connections of its own: outside of every transaction."""
    words = change.wanted
    place = "change.to" if change.change is not None else "add"
    faults = [] if words is None else _form_faults(words)
    if not faults and words is not None:
        async with call.services.database.tenant(call.tenant) as connection:
            _, diff = await _read_change(connection, call.tenant, change)
        faults = await check_guideline(
            call.services.database, call.tenant, change.role, words, (), replaces=diff.before
        )
    if faults:
        raise invalid([(place, fault) for fault in faults])


async def write_prompt_proposal(connection: AsyncConnection, call: Call, update_id: UUID, change: PromptChange) -> None:
    """Write the proposal, its guideline and its task down.

    Raises:
        Problem: 404 without a prompt, 409 where it or too many of the caller's wait already, 422 for what can't be.
    """
    version, diff = await _read_change(connection, call.tenant, change)
    digest = update_digest(call.tenant, change.role, diff.op, diff.before, diff.after, version)
    await _require_room(connection, call, digest)
    settings = call.services.settings
    try:
        await write_proposal(
            connection,
            update_id=update_id,
            tenant=call.tenant,
            role=change.role,
            diff=diff,
            evidence=PromptEvidence(said=change.reason),
            proposer=call.principal.sub,
            budget_tokens=settings.evaluation_tokens,
            slots=settings.tenant_slots,
        )
    except NoPrompt as error:
        raise Problem(NOT_FOUND, str(error)) from error


async def _read_change(connection: AsyncConnection, tenant: str, change: PromptChange) -> tuple[UUID, PromptDiff]:
    """What is proposed, of the version that is active."""
    version = await active_version(connection, tenant, change.role)
    if version is None:
        raise Problem(NOT_FOUND, NO_PROMPT)
    return version, _diff_of(await read_prompt(connection, version), change)


def _form_faults(words: str) -> list[str]:
    if not words:
        return ["must not be blank"]
    if len(words) > MAX_TEXT:
        return [f"must be at most {MAX_TEXT} characters: one guideline says one thing"]
    if len(words.splitlines()) > 1 or clean(words) != words or "\t" in words:
        return ["must be one line of characters that can be seen"]
    return []


def _diff_of(prompt: Prompt, change: PromptChange) -> PromptDiff:
    after = change.wanted
    texts = [each.text for each in prompt.guidelines]
    if after is not None and after in texts:
        field = "change.to" if change.change is not None else "add"
        raise invalid([(field, f"says what guideline {texts.index(after) + 1} says already")])
    if change.change is not None:
        return PromptDiff(op="change", before=_find(texts, change.change.replaced, "change.from"), after=after)
    if change.remove is not None:
        return PromptDiff(op="remove", before=_find(texts, change.remove, "remove"))
    if len(texts) >= MAX_GUIDELINES:
        raise invalid([("add", f"the prompt has {len(texts)} guidelines, and no more fit: change or remove one")])
    return PromptDiff(op="add", after=after)


def _find(texts: list[str], which: int | str, field: str) -> str:
    """The guideline of a number, or of exactly this text."""
    if isinstance(which, int) and 1 <= which <= len(texts):
        return texts[which - 1]
    if isinstance(which, str) and which.strip() in texts:
        return which.strip()
    there = f"1 to {len(texts)}, or its exact text" if texts else "it has none"
    raise invalid([(field, f"is no guideline of the active prompt: {there}; `golden prompts show` has them")])


async def _require_room(connection: AsyncConnection, call: Call, digest: str) -> None:
    """409 where the same waits already, or too many of the same person."""
    # Of one person at a time, so that none of those that race is forgotten.
    person = f"golden proposals {call.tenant} {call.principal.sub}"
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(person, 0))))
    unsettled = (updates.c.tenant == call.tenant, updates.c.kind == "prompt", updates.c.settled_at.is_(None))
    undecided = (*unsettled, updates.c.decided_at.is_(None))
    same = await connection.scalar(select(updates.c.id).where(*undecided, updates.c.digest == digest).limit(1))
    if same is not None:
        raise Problem(PROPOSAL_OPEN, f"the same was proposed: decide on that first: `golden approvals show {same}`")
    mine = (*undecided, updates.c.proposer == call.principal.sub)
    if (await connection.scalar(select(func.count()).select_from(updates).where(*mine)) or 0) >= MAX_OPEN:
        remedy = "wait until some are decided on: `golden approvals list`"
        raise Problem(TOO_MANY_PROPOSALS, f"{MAX_OPEN} of yours wait for a decision: {remedy}")
