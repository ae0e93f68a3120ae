"""Looks through the outcomes of the last days and makes a proposal of each pattern that is new."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from sqlalchemy import Boolean, DateTime, Integer, Text, Uuid, bindparam, column, func, select, table, text
from sqlalchemy.dialects.postgresql import ARRAY
from temporalio import activity
from temporalio.service import RPCError
from uuid_utils.compat import uuid7

from activities.pattern_messages import messages_of
from activities.patterns import Counted, Group, Thresholds, Window, Worked, find_patterns, judged
from schema.engine import start_approval
from schema.errors import KeyMissing, SealBroken
from schema.messages.learning import LearningApprovalInput, Pattern, PromptDiff, PromptEvidence
from schema.messages.scan import ScanResult
from schema.prompts import MAX_GUIDELINES, active_version, read_prompt
from schema.proposals import SUPERVISOR, NoPrompt, write_proposal
from schema.tables import learning_updates

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection
    from temporalio.client import Client

    from schema.database import Database
    from schema.settings import Settings

MOST_PROPOSED = 20
"""Proposals of one scan."""

MOST_OPEN = 3
"""Proposals of one tenant and role that nobody has settled yet."""

PAGE = 2_000
"""Outcomes that are in memory at once; of a window only counts are kept."""

MAX_PATTERN = 200

# Of what a person stopped nobody knows how it would have ended: it has no part.
_JUDGED = table(
    "judged_outcomes",
    *(column(name, Text) for name in ("tenant", "role", "spec", "ballot")),
    column("task_id", Uuid),
    column("rules", ARRAY(Text)),
    column("truth", Boolean),
    column("harmed", Boolean),
    column("at", DateTime(timezone=True)),
)
_WORKED = (
    select(*(_JUDGED.c[name] for name in ("tenant", "role", "spec", "ballot", "task_id", "rules", "truth", "at")))
    .where(
        _JUDGED.c.at > func.now() - func.make_interval(0, 0, 0, bindparam("days", type_=Integer)),
        _JUDGED.c.harmed.is_not(None),
    )
    .order_by(_JUDGED.c.tenant, _JUDGED.c.role)
)

log = structlog.get_logger()


class Said(StrEnum):
    """What became of a pattern."""

    PROPOSED = "proposed"
    KNOWN = "known"
    HELD_BACK = "held_back"


class ScanActivities:
    """One look over all tenants. To look again changes nothing: a pattern has one open proposal at a time."""

    def __init__(self, database: "Database", client: "Client", settings: "Settings") -> None:
        self._database = database
        self._client = client
        self._settings = settings

    @activity.defn(name="scan_outcomes")
    async def scan(self) -> ScanResult:
        """Propose what is new; the rest of what was found is found again."""
        settings = self._settings
        answered = await self._answered()
        outcomes, groups = 0, dict[Group, Mapping[str, Counted]]()
        async for group, window in self._windows():
            outcomes += window.outcomes
            # What was answered counts from its answer on: what came before speaks of another prompt.
            settled = {rule: answered.get((group, pattern_of(group, rule))) for rule in window.rules}
            groups[group] = window.counted(settled)
        held = Thresholds(
            fdr=settings.learning_fdr,
            min_tasks=settings.learning_min_tasks,
            base_rate=settings.learning_base_rate,
            window_days=settings.learning_window_days,
        )
        found = find_patterns(groups, held)
        said = dict.fromkeys(Said, 0)
        for group, pattern in found:
            _beat()
            full = said[Said.PROPOSED] >= MOST_PROPOSED
            said[Said.HELD_BACK if full else await self._propose(group, pattern)] += 1
        return ScanResult(
            outcomes=outcomes,
            rules=sum(len(rules) for rules in groups.values()),
            patterns=len(found),
            **{each.value: number for each, number in said.items()},
        )

    async def _answered(self) -> dict[tuple[Group, str], datetime]:
        """When the last proposal that answers the same was settled, whichever way."""
        each = learning_updates.c
        wanted = (
            select(each.tenant, each.role, each.pattern, func.max(each.settled_at).label("at"))
            .where(each.pattern.is_not(None), each.settled_at.is_not(None))
            .group_by(each.tenant, each.role, each.pattern)
        )
        async with self._database.service() as connection:
            rows = (await connection.execute(wanted)).all()
        return {(Group(row.tenant, row.role), row.pattern): row.at for row in rows}

    async def _windows(self) -> AsyncIterator[tuple[Group, Window]]:
        """Each tenant's and role's, one after the other, as PostgreSQL hands them out."""
        group, window = None, Window()
        days = {"days": self._settings.learning_window_days}
        async with self._database.service() as connection:
            rows = await connection.stream(_WORKED, days, execution_options={"yield_per": PAGE})
            async for page in rows.partitions():
                _beat()
                for row in page:
                    of = Group(row.tenant, row.role)
                    if of != group:
                        if group is not None:
                            yield group, window
                        group, window = of, Window()
                    window.add(Worked(row.task_id, row.spec, judged(row.rules, row.ballot, row.truth), row.at))
        if group is not None:
            yield group, window

    async def _propose(self, group: Group, pattern: Pattern) -> Said:
        update_id = UUID(str(uuid7()))
        async with self._database.tenant(group.tenant) as connection:
            said = await self._write(connection, group, pattern, update_id)
        if said is Said.PROPOSED:
            log.info("a pattern was found", update_id=str(update_id), tenant=group.tenant, role=group.role)
            await self._start(LearningApprovalInput(update_id=update_id, tenant=group.tenant))
        return said

    async def _write(self, connection: "AsyncConnection", group: Group, pattern: Pattern, update_id: UUID) -> Said:
        # Of two scans at once one counts what the other has written.
        name = {"name": f"golden scan {group.tenant} {group.role}"}
        await connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), name)
        answers = pattern_of(group, pattern.rule)
        standing = await self._standing(connection, group, answers)
        if standing is not None:
            return standing
        shown = pattern.model_copy(update={"messages": await messages_of(connection, group.tenant, pattern)})
        try:
            written = await write_proposal(
                connection,
                update_id=update_id,
                tenant=group.tenant,
                role=group.role,
                diff=PromptDiff(op="add"),
                evidence=PromptEvidence(pattern=shown),
                proposer=SUPERVISOR,
                pattern=answers,
                budget_tokens=self._settings.evaluation_tokens,
                slots=self._settings.tenant_slots,
            )
        except NoPrompt:
            return Said.HELD_BACK
        return Said.PROPOSED if written else Said.KNOWN

    async def _standing(self, connection: "AsyncConnection", group: Group, answers: str) -> Said | None:
        """Why nothing is to be proposed; None where it is."""
        each, again = learning_updates.c, timedelta(days=self._settings.learning_again_days)
        mine = (each.tenant == group.tenant, each.role == group.role, each.kind == "prompt")
        same, is_open = each.pattern == answers, each.settled_at.is_(None)
        rows = await connection.execute(
            select(
                func.count().filter(same, is_open).label("known"),
                func.count().filter(same, each.settled_at > func.now() - again).label("young"),
                func.count().filter(is_open, each.proposer == SUPERVISOR).label("learned"),
                func.count().filter(is_open, each.op == "add").label("additions"),
            ).where(*mine)
        )
        row = rows.one()
        if row.known:
            return Said.KNOWN
        if row.young or row.learned >= MOST_OPEN:
            return Said.HELD_BACK
        version = await active_version(connection, group.tenant, group.role)
        try:
            prompt = None if version is None else await read_prompt(connection, version)
        except (KeyMissing, SealBroken):
            # One that can't be read must not be in the way of all others.
            log.error("a prompt can't be read", tenant=group.tenant, role=group.role)
            prompt = None
        full = prompt is None or len(prompt.guidelines) + row.additions >= MAX_GUIDELINES
        return Said.HELD_BACK if full else None

    async def _start(self, wanted: LearningApprovalInput) -> None:
        try:
            await start_approval(self._client, wanted)
        except RPCError as error:
            # Its row is there: Reconcile starts it.
            log.warning("an approval could not be started", update_id=str(wanted.update_id), status=error.status.name)


def pattern_of(group: Group, rule: str) -> str:
    """What a proposal that answers a rule has as its `pattern`."""
    return f"{group.role}:{rule}"[:MAX_PATTERN]


def _beat() -> None:
    if activity.in_activity():
        activity.heartbeat()
