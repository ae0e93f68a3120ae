"""What the database itself must refuse: looked up in its catalogue, since grants alone would hide a trigger's lack."""

from sqlalchemy import text

from deploy.prove.proof import Broken
from schema.database import Database

AUDIT = ("audit_records_stay", "audit_heads_stay", "audit_heads_advance")
LEARNING = ("learning_updates_keep_update", "learning_updates_keep_insert", "prompt_bases_stay",
            "prompt_guidelines_stay", "prompt_moves_stay", "prompt_versions_stay")  # fmt: skip

_TRIGGERS = text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')")
_UNWALLED = text(
    "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant' "
    "WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND NOT c.relrowsecurity "
    "AND has_table_privilege('golden_tenant', c.oid, 'SELECT') ORDER BY c.relname"
)


async def need_triggers(database: Database, names: tuple[str, ...]) -> None:
    """Raise Broken where one of these triggers is gone or switched off."""
    async with database.service() as connection:
        there = set((await connection.execute(_TRIGGERS)).scalars())
    missing = [name for name in names if name not in there]
    if missing:
        raise Broken(f"the trigger {missing[0]} is not in force")


async def need_walls(database: Database) -> None:
    """Raise Broken where the tenants' role may read a table of tenants that has no row-level security."""
    async with database.service() as connection:
        open_tables = (await connection.execute(_UNWALLED)).scalars().all()
    if open_tables:
        raise Broken(f"the tenants' role of the database sees every row of {open_tables[0]}")
