"""Writes a proposed change of a prompt down: its row, its guideline, and a task of its own that pays for it."""

from uuid import UUID

from sqlalchemy import insert, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from schema.messages.learning import LearningSpec, PromptDiff, PromptEvidence
from schema.messages.steps import Role
from schema.prompts import Guideline, Prompt, active_version, read_prompt, update_digest
from schema.tables import accounts, learning_updates, prompt_guidelines, tasks
from schema.texts import canonical_json, digest_of, put_text

LEARNING = "learning"
"""The kind of the task that pays for a proposal's wording and evaluation; it has the proposal's id."""

SUPERVISOR = "supervisor"
"""The proposer of what no person proposed."""


class NoPrompt(Exception):
    """No prompt is installed for the role, or it has no such guideline: `str` says which."""


async def write_proposal(
    connection: AsyncConnection,
    *,
    update_id: UUID,
    tenant: str,
    role: Role,
    diff: PromptDiff,
    evidence: PromptEvidence,
    proposer: str,
    budget_tokens: int,
    slots: int,
    pattern: str | None = None,
) -> bool:
    """False where the same pattern has an open proposal; then nothing is written.

    Args:
        diff: an addition without `after` is worded later (`set_guideline`).
        pattern: what the proposal answers, of which one is open at a time.
        slots: of the tenant's account, where it has none yet.

    Raises:
        NoPrompt: the role has no prompt, or that has no guideline `before`.
    """
    parent = await active_version(connection, tenant, role)
    if parent is None:
        raise NoPrompt(f"no prompt is installed for the role {role}: is a supervisor running?")
    prompt = await read_prompt(connection, parent)
    old = _replaced(prompt, diff)
    new = await _store(connection, tenant, role, diff.after)
    written = await connection.execute(
        postgresql.insert(learning_updates)
        .values(
            id=update_id,
            tenant=tenant,
            kind="prompt",
            role=role,
            op=diff.op,
            diff=diff.model_dump(mode="json"),
            evidence=[evidence.model_dump(mode="json")],
            parent=str(parent),
            parent_version=parent,
            old_guideline=old and old.id,
            new_guideline=new and new.id,
            digest=update_digest(tenant, role, diff.op, diff.before, diff.after, parent),
            proposer=proposer,
            pattern=pattern,
        )
        .on_conflict_do_nothing()
        .returning(learning_updates.c.id)
    )
    if written.scalar_one_or_none() is None:
        return False
    spec = LearningSpec(learning=evidence.pattern, role=role, guidelines=tuple(each.text for each in prompt.guidelines))
    await _write_task(connection, update_id, tenant, spec, proposer, budget_tokens, slots)
    return True


def _replaced(prompt: Prompt, diff: PromptDiff) -> Guideline | None:
    """The guideline that a diff changes or removes; None of an addition."""
    if diff.before is None:
        return None
    for each in prompt.guidelines:
        if each.text == diff.before:
            return each
    raise NoPrompt(f"the prompt of the {prompt.role} has no such guideline")


async def set_guideline(
    connection: AsyncConnection, *, update_id: UUID, tenant: str, role: Role, guideline: str, parent: UUID
) -> None:
    """Word an addition that was proposed without words; a second wording changes nothing."""
    stored = await _store(connection, tenant, role, guideline)
    await connection.execute(
        update(learning_updates)
        .where(learning_updates.c.id == update_id, learning_updates.c.new_guideline.is_(None))
        .values(
            new_guideline=stored and stored.id,
            diff=PromptDiff(op="add", after=guideline).model_dump(mode="json"),
            digest=update_digest(tenant, role, "add", None, guideline, parent),
        )
    )


async def _store(connection: AsyncConnection, tenant: str, role: Role, guideline: str | None) -> Guideline | None:
    if guideline is None:
        return None
    made = Guideline(uuid7(), guideline)
    values = {"id": made.id, "tenant": tenant, "role": role, "digest": digest_of(guideline), "guideline": guideline}
    await connection.execute(insert(prompt_guidelines).values(values))
    return made


async def _write_task(
    connection: AsyncConnection,
    task_id: UUID,
    tenant: str,
    spec: LearningSpec,
    proposer: str,
    budget_tokens: int,
    slots: int,
) -> None:
    account = postgresql.insert(accounts).values(tenant=tenant, slots=slots)
    await connection.execute(account.on_conflict_do_nothing())
    reference = await put_text(connection, tenant, canonical_json(spec.model_dump(mode="json")))
    await connection.execute(
        insert(tasks).values(
            task_id=task_id,
            tenant=tenant,
            title=f"Evaluate a change of the {spec.role}'s prompt",
            spec=reference,
            kind=LEARNING,
            submitted_by=proposer,
            budget_tokens=budget_tokens,
            event_sequence=0,
        )
    )
