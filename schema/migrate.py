"""Brings the database to the newest version. Forward only: a release never needs to go back."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

_LOCK = 4_207_202_611
"""Advisory lock: two processes that upgrade at once go one after the other."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(url: str) -> None:
    """Run every migration that `url` (the migrator role) hasn't seen yet."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
            connection.commit()
            try:
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                connection.commit()
            finally:
                connection.rollback()
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
                connection.commit()
    finally:
        engine.dispose()


def newest() -> str | None:
    """The newest version that this release brings."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def known() -> frozenset[str]:
    """Every version that this release brings or comes from."""
    return frozenset(each.revision for each in ScriptDirectory.from_config(_config()).walk_revisions())


async def upgrade_async(url: str) -> None:
    """`upgrade` for callers that run an event loop."""
    await asyncio.to_thread(upgrade, url)
