"""Opens a step that asks a model: what it did before and what it is about, in one transaction."""

from dataclasses import dataclass
from typing import Any

from activities.briefs import Material
from activities.ledger import Past, past_of
from activities.store import open_step
from activities.text_cache import cache_of
from schema.database import Database
from schema.messages.sandbox import SandboxRun
from schema.messages.steps import AskRoleInput


@dataclass(frozen=True)
class OpenedAsk:
    """`result` is what is stored of a step that is done; then the others are not read."""

    result: Any | None
    past: Past
    material: Material | None


async def open_ask(database: Database, ask: AskRoleInput) -> OpenedAsk:
    """Open the step, or find what is stored of it.

    Raises:
        TaskGone: the task is unknown or already final.
    """
    ref, cache = ask.ref, cache_of(database)
    async with database.tenant(ref.tenant) as connection:
        opened = await open_step(connection, ref, ask.state)
        if opened.result is not None:
            return OpenedAsk(opened.result, Past(), None)
        past = Past() if opened.fresh else await past_of(connection, ref)
        spec, plan, candidate, report, objections = await cache.texts(
            connection, ref.tenant, opened.spec, ask.plan, ask.candidate, ask.report, ask.objections
        )
    known = cache.spec(ref.tenant, opened.spec, spec or "")
    run = SandboxRun.model_validate_json(report) if report is not None else None
    return OpenedAsk(None, past, Material(known, plan, candidate, run, objections))
