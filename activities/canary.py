"""Watches a version of a prompt on trial: what its tasks came to beside its parent's, and how the trial ends."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.canary_stats import CanaryRules, CanarySeen, decide
from activities.update_rows import ACTOR, read_row, standing_of
from schema.learning_settings import LearningSettings
from schema.messages.learning import LearningApprovalInput, UpdateStanding

if TYPE_CHECKING:
    from schema.database import Database

log = structlog.get_logger()

_BEGIN = text("SELECT begin_prompt_canary(:id)")
_FINISH = text("SELECT finish_prompt_canary(:id, :outcome, :actor, :reason)")
_POINTER = text("""
    SELECT canary, active, canary_share, canary_since, extract(epoch FROM now() - canary_since) / 3600 AS hours
      FROM prompt_pointers WHERE tenant = :tenant AND role = :role AND canary_update = :id
""")

# Of each task that was admitted since the trial began, and not cancelled, whether the role's first step did harm: a
# task with more candidates has more steps, and nearly always one that failed. A harm is known when its task ends, or
# when a later truth tells of it: in that order, since a test that is looked at all the time must not have its past
# changed.
_TASKS = text("""
    WITH first AS (
        SELECT DISTINCT ON (task_id) * FROM judged_outcomes
         WHERE tenant = :tenant AND role = :role AND at >= :since AND harmed IS NOT NULL
         ORDER BY task_id, step LIKE 'repair/%', length(step), step, epoch)
    SELECT t.prompts ->> :role = CAST(:canary AS text) AS in_canary, o.harmed AS failed,
           CASE WHEN NOT o.harmed OR ended.failed THEN o.at
                ELSE greatest(o.at, (SELECT max(k.at) FROM truths k
                                      WHERE k.task_id = o.task_id AND k.tenant = o.tenant)) END AS known_at
      FROM first o
      JOIN outcomes ended ON (ended.task_id, ended.step, ended.epoch) = (o.task_id, o.step, o.epoch)
      JOIN tasks t ON t.task_id = o.task_id
     WHERE t.kind <> 'learning' AND t.state <> 'cancelled'
       AND t.prompts ->> :role IN (CAST(:canary AS text), CAST(:parent AS text))
       AND (SELECT min(e.at) FROM ledger_entries e WHERE e.task_id = t.task_id AND e.kind = 'admit') >= :since
     ORDER BY known_at, t.task_id
""")


@dataclass(frozen=True)
class Trial:
    """A canary under way: its version, the one it is tried against, and what it has come to."""

    canary: UUID
    parent: UUID
    share: int
    seen: CanarySeen


class CanaryActivities:
    """The trials of new versions."""

    def __init__(self, database: "Database", settings: LearningSettings) -> None:
        self._database = database
        self._settings = settings

    @activity.defn(name="watch_canary")
    async def watch_canary(self, wanted: LearningApprovalInput) -> UpdateStanding:
        """Begin the trial of what was approved; end it where its tasks say enough, or its time is over.

        Raises:
            UpdateGone: the tenant has no such proposal.
        """
        async with self._database.tenant(wanted.tenant) as connection:
            await connection.execute(_BEGIN, {"id": wanted.update_id})
            row = await read_row(connection, wanted)
            trial = await read_trial(connection, row) if row.state == "canary" else None
            if trial is None:
                # Another update or a person ended it: the row says so.
                return standing_of(row, self._settings)
            await self._end(connection, row, trial)
            standing = standing_of(await read_row(connection, wanted), self._settings)
        return standing.model_copy(update={"judged": trial.seen.canary_done + trial.seen.parent_done})

    async def _end(self, connection: AsyncConnection, row: Row[Any], trial: Trial) -> None:
        """As the sequential test says, if it says anything yet."""
        rules = CanaryRules(
            share=trial.share / 100,
            alpha=self._settings.canary_false_alarms,
            tasks=self._settings.canary_tasks,
            margin=self._settings.evaluation_margin,
            hours=self._settings.canary_hours,
        )
        outcome, why = decide(trial.seen, rules)
        if outcome is None:
            return
        values = {"id": row.id, "outcome": outcome, "actor": ACTOR, "reason": why}
        await connection.execute(_FINISH, values)
        tell = log.info if outcome == "adopted" else log.warning
        tell("canary ended", update_id=str(row.id), tenant=row.tenant, role=row.role, outcome=outcome, why=why)


async def read_trial(connection: AsyncConnection, row: Row[Any]) -> Trial | None:
    """The trial of a proposal, or None where it is not the one under way."""
    named = {"tenant": row.tenant, "role": row.role}
    pointer = (await connection.execute(_POINTER, {**named, "id": row.id})).one_or_none()
    if pointer is None:
        return None
    asked = {**named, "canary": pointer.canary, "parent": pointer.active, "since": pointer.canary_since}
    ended = (await connection.execute(_TASKS, asked)).all()
    mine, others = [[each for each in ended if each.in_canary is side] for side in (True, False)]
    seen = CanarySeen(
        canary_done=len(mine),
        canary_failed=sum(each.failed for each in mine),
        parent_done=len(others),
        parent_failed=sum(each.failed for each in others),
        failures=[each.in_canary for each in ended if each.failed],
        hours=float(pointer.hours),
    )
    return Trial(pointer.canary, pointer.active, pointer.canary_share, seen)
