"""Opens a step that asks a model: what it did before and what it is about, in one transaction."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.briefs import Material
from activities.ledger import Past, past_of
from activities.prompt_store import AskedPrompt, base_of, pinned, prompt_of
from activities.store import Opened, open_step
from activities.text_cache import cache_of
from activities.wording import Lesson
from schema.database import Database
from schema.messages.learning import LearningSpec
from schema.messages.sandbox import SandboxRun
from schema.messages.steps import AskRoleInput


@dataclass(frozen=True)
class OpenedAsk:
    """`result` is what is stored of a step that is done; then the others are not read."""

    result: Any | None
    past: Past
    material: Material | Lesson | None


async def open_ask(database: Database, ask: AskRoleInput) -> OpenedAsk:
    """Open the step, or find what is stored of it.

    Raises:
        TaskGone: the task is unknown or already final.
        SealBroken: a text or the prompt is not the one that was stored.
    """
    async with database.tenant(ask.ref.tenant) as connection:
        opened = await open_step(connection, ask.ref, ask.state)
        if opened.result is not None:
            return OpenedAsk(opened.result, Past(), None)
        past = Past() if opened.fresh else await past_of(connection, ask.ref)
        if ask.role == "supervisor":
            return OpenedAsk(None, past, await _lesson(connection, database, ask, opened))
        version = ask.prompt or pinned(opened.prompts, ask.role)
        prompt = await prompt_of(connection, database, ask.ref.tenant, ask.role, version, ask.change)
        return OpenedAsk(None, past, await _material(connection, database, ask, opened, prompt))


async def _material(
    connection: AsyncConnection, database: Database, ask: AskRoleInput, opened: Opened, prompt: AskedPrompt
) -> Material:
    cache, tenant, subject = cache_of(database), ask.ref.tenant, ask.subject or opened.spec
    spec, plan, candidate, report, objections = await cache.texts(
        connection, tenant, subject, ask.plan, ask.candidate, ask.report, ask.objections
    )
    known = cache.spec(tenant, subject, spec or "")
    run = SandboxRun.model_validate_json(report) if report is not None else None
    return Material(known, plan, candidate, run, objections, prompt)


async def _lesson(connection: AsyncConnection, database: Database, ask: AskRoleInput, opened: Opened) -> Lesson:
    (spec,) = await cache_of(database).texts(connection, ask.ref.tenant, opened.spec)
    return Lesson(LearningSpec.model_validate_json(spec or ""), base_of(ask.role))
