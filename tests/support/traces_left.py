"""Looks for a word in all that PostgreSQL holds, also in what is sealed there, and for runs in Temporal."""

import json
from typing import Any

from sqlalchemy import create_engine, text
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from deploy.local import postgres
from schema.columns import MARK, unseal
from schema.keyring import KeyRing
from schema.settings import Settings

_TABLES = """
SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
"""


def places_of(settings: Settings, word: str) -> set[str]:
    """The columns of every table that hold the word, in clear, in hexadecimal or sealed, whoever may see them."""
    ring, found = KeyRing.from_settings(settings), set()
    engine = create_engine(postgres.superuser_url(settings))
    try:
        with engine.connect() as connection:
            for table in connection.scalars(text(_TABLES)).all():
                quoted = engine.dialect.identifier_preparer.quote(table)
                rows = connection.scalars(text(f"SELECT to_jsonb(t) FROM {quoted} t")).all()  # noqa: S608
                for row in rows:
                    found |= {f"{table}.{name}" for name, value in row.items() if _has(ring, table, name, value, word)}
    finally:
        engine.dispose()
    return found


def _has(ring: KeyRing, table: str, name: str, value: Any, word: str) -> bool:
    stored = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    clear = unseal(ring, stored, f"{table}.{name}") if stored.startswith(MARK) and table != "audit_records" else stored
    return word in clear or word.encode().hex() in clear


async def has_history(client: Client, workflow_id: str) -> bool:
    """Whether Temporal has a run of a workflow."""
    try:
        await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True
