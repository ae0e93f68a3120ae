"""What became known of a vote later, and what it makes of the voters' records."""

from typing import Literal
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.messages.vote import VoterRecord
from schema.tables import tasks, truths

Source = Literal["human", "tests", "rollback"]

RECENT_BALLOTS = 800
"""So many of a tenant's last ballots tell who votes alike: at least a hundred votes of four voters."""


async def record_truth(
    connection: AsyncConnection, task_id: UUID, tenant: str, source: Source, *, good: bool, actor: str
) -> bool:
    """Write down whether what was voted on turned out good, in the caller's transaction. The last word of a source
    stands; a rollback is above tests, and these above a person's decision.

    Returns False, and writes nothing, where the tenant has no such task.
    """
    known = select(tasks.c.task_id).where(tasks.c.task_id == task_id, tasks.c.tenant == tenant)
    if await connection.scalar(known) is None:
        return False
    values = {"task_id": task_id, "source": source, "tenant": tenant, "good": good, "actor": actor}
    told = insert(truths).values(values)
    await connection.execute(
        told.on_conflict_do_update(
            index_elements=[truths.c.task_id, truths.c.source],
            set_={"good": told.excluded.good, "actor": told.excluded.actor, "at": func.now()},
        )
    )
    return True


async def read_records(connection: AsyncConnection, tenant: str) -> tuple[VoterRecord, ...]:
    """How the tenant's voters did, by name; empty before the first vote."""
    rows = {row.voter: row._asdict() for row in await connection.execute(_RECORDS, {"tenant": tenant})}
    found = {name: {"voter": name, **row, "shared": {}, "same": {}} for name, row in rows.items()}
    for pair in await connection.execute(_PAIRS, {"tenant": tenant, "ballots": RECENT_BALLOTS}):
        record = found.setdefault(pair.voter, {"voter": pair.voter, "shared": {}, "same": {}})
        record["shared"][pair.other] = pair.shared
        record["same"][pair.other] = pair.same
    return tuple(VoterRecord.model_validate(found[name]) for name in sorted(found))


_RECORDS = text("SELECT voter, judged, agreed, brier FROM voter_records WHERE tenant = :tenant")

# Of each pair of voters, the votes in which both took a side, and those in which it was the same.
_PAIRS = text("""
WITH recent AS MATERIALIZED (
    SELECT DISTINCT task_id, vote FROM (
        SELECT task_id, vote FROM ballots WHERE tenant = :tenant ORDER BY at DESC LIMIT :ballots) last),
sides AS MATERIALIZED (
    SELECT DISTINCT ON (b.task_id, b.vote, b.voter) b.task_id, b.vote, b.voter, b.choice
      FROM ballots b JOIN recent USING (task_id, vote)
     WHERE b.tenant = :tenant AND NOT b.late AND b.choice IN ('approve', 'reject')
     ORDER BY b.task_id, b.vote, b.voter, b.round DESC)
SELECT a.voter, b.voter AS other, count(*) AS shared, count(*) FILTER (WHERE a.choice = b.choice) AS same
  FROM sides a JOIN sides b ON (a.task_id, a.vote) = (b.task_id, b.vote) AND a.voter <> b.voter
 GROUP BY a.voter, b.voter
""")
