"""Names the gap that a restore leaves in the audit chains: a record in each, and a signed line beside the anchors."""

from datetime import datetime

from schema.anchor import AnchorFile, read_anchors
from schema.audit import EPOCH, GENESIS, AuditRecord, Head, append, read_heads
from schema.database import Database
from schema.errors import SettingsError
from schema.settings import Settings

ACTOR = "golden restore"


async def begin_epoch(
    settings: Settings, database: Database, name: str, digest: str, book_at: datetime
) -> dict[str, int]:
    """Begin an epoch in every chain that there is or was; by tenant, how many anchored records are lost.

    Raises:
        SettingsError: a head is of no record: the chain was bad before.
    """
    anchors, file = read_anchors(settings), AnchorFile(settings)
    file.prepare()
    async with database.service() as connection:
        heads = await read_heads(connection)
    if heads.false:
        raise SettingsError(f"the audit chain of {heads.false[0]} is bad in this backup: restore another")
    known = {head.tenant: head for head in heads.true}
    lost = {}
    for tenant in sorted({*known, *anchors.heads, "*"}):
        head = known.get(tenant) or Head(tenant=tenant, sequence=0, hash=GENESIS)
        longest = max(anchors.heads.get(tenant, {}), default=0)
        lost[tenant] = max(0, longest - head.sequence)
        record = AuditRecord(
            actor=ACTOR,
            action=EPOCH,
            object=name,
            outcome="restored",
            reason=_told(head, longest, book_at),
            digest=digest,
        )
        # The signed line first: a crash leaves one that the next restore's line takes the place of.
        file.append_epoch(name, head, max(longest, head.sequence), digest)
        async with database.service() as connection:
            await append(connection, tenant, [record])
    async with database.service() as connection:
        file.append((await read_heads(connection)).true)
    return lost


def _told(head: Head, longest: int, book_at: datetime) -> str:
    upto = f"the book is as of {book_at.isoformat(timespec='milliseconds')}"
    if longest > head.sequence:
        return f"{upto}; records {head.sequence + 1} to {longest} are lost"
    return f"{upto}; no record is lost that an anchor knows"
