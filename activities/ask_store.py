"""Opens a step that asks a model: what it did before and what it is about, in one transaction."""

from dataclasses import dataclass
from typing import Any

from activities.briefs import Material
from activities.ledger import Past, past_of
from activities.store import open_step
from schema.database import Database
from schema.messages.sandbox import SandboxRun
from schema.messages.steps import AskRoleInput
from schema.messages.task import TaskSpec
from schema.texts import get_texts


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
    ref = ask.ref
    async with database.tenant(ref.tenant) as connection:
        opened = await open_step(connection, ref, ask.state)
        if opened.result is not None:
            return OpenedAsk(opened.result, Past(), None)
        past = Past() if opened.fresh else await past_of(connection, ref)
        spec, plan, candidate, report, objections = await get_texts(
            connection, ref.tenant, opened.spec, ask.plan, ask.candidate, ask.report, ask.objections
        )
    run = SandboxRun.model_validate_json(report) if report is not None else None
    return OpenedAsk(None, past, Material(TaskSpec.model_validate_json(spec or ""), plan, candidate, run, objections))
