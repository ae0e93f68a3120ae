"""A process that presses as many changes of prompts as it can, by every path it has, until it is killed.

`python -m tests.support.runaway SEED` with `{"tenant", "updates", "hours"}` on stdin. Prints a line for each attempt:
`approved`, or the SQLSTATE of the refusal. It believes in no limit and keeps no pause: what holds is the database's.
"""

import asyncio
import json
import random
import sys
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from schema.database import Database
from schema.settings import Settings
from schema.tables import learning_updates
from tests.support.learning import BETTER, START, row_of

ADMIT = text("SELECT admit_prompt_update(:id, :at)")
APPROVE = text("SELECT approve_prompt_update(:id, :actor, 'now', :digest, :at)")
FINISH = text("SELECT finish_prompt_canary(:id, :outcome, 'golden', 'pressed', :at)")
PUT = "UPDATE learning_updates SET state = 'pending' WHERE id = %s AND state IN ('proposed', 'waiting', 'evaluating')"
FORCE = (
    "UPDATE learning_updates SET version = gen_random_uuid() WHERE id = %s",
    "UPDATE prompt_pointers SET active = canary WHERE canary_update = %s",
    "INSERT INTO prompt_versions (tenant, role, base, digest, kind, update_id, proposer, approver, at) "
    "SELECT tenant, role, repeat('0', 64), digest, 'update', id, 'a', 'b', now() FROM learning_updates WHERE id = %s",
)


class Presser:
    """One attempt after the other, each at a moment of its own choosing."""

    def __init__(self, settings: Settings, seed: int, told: dict[str, Any]) -> None:
        self._settings = settings
        self._database = Database.from_settings(settings)
        self._random = random.Random(seed)  # noqa: S311 (so that a run can be repeated)
        self._updates = [UUID(each) for each in told["updates"]]
        self._hours: float = told["hours"]

    async def run(self) -> None:
        while True:
            at = START + timedelta(hours=self._random.uniform(0, self._hours))
            update_id = self._random.choice(self._updates)
            path = self._random.choice((self._through_the_code, self._through_the_code, self._as_psql, self._by_force))
            try:
                outcome = await path(update_id, at)
            except DBAPIError as error:
                outcome = getattr(error.orig, "sqlstate", None) or "lost"
            except psycopg.Error as error:
                outcome = error.sqlstate or "lost"
            print(outcome, flush=True)

    async def _through_the_code(self, update_id: UUID, at: datetime) -> str:
        async with self._database.service() as connection:
            if self._random.random() < 0.5:
                await connection.execute(ADMIT, {"id": update_id, "at": at})
            # Whether or not it was its turn.
            await connection.execute(
                update(learning_updates)
                .where(learning_updates.c.id == update_id, learning_updates.c.state.in_(("proposed", "evaluating")))
                .values(state="pending", evaluation=BETTER)
            )
        digest = (await row_of(self._database, update_id)).digest
        actor = self._random.choice(("golden", "bob", "carl"))
        async with self._database.service() as connection:
            await connection.execute(APPROVE, {"id": update_id, "actor": actor, "digest": digest, "at": at})
        outcome = self._random.choice(("undecided", "undecided", "undecided", "harm", "adopted"))
        async with self._database.service() as connection:
            await connection.execute(FINISH, {"id": update_id, "outcome": outcome, "at": at})
        return "approved"

    async def _as_psql(self, update_id: UUID, at: datetime) -> str:
        said = "SELECT approve_prompt_update(id, 'dora', 'now', digest, %s) FROM learning_updates WHERE id = %s"
        async with await self._connect() as connection:
            await connection.execute(PUT, (update_id,))
            await connection.execute(said, (at, update_id))
        return "approved"

    async def _by_force(self, update_id: UUID, _at: datetime) -> str:
        async with await self._connect() as connection:
            await connection.execute(self._random.choice(FORCE).encode(), (update_id,))
        return "forced"

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        url = self._settings.database("service").replace("postgresql+psycopg", "postgresql")
        return await psycopg.AsyncConnection.connect(url, autocommit=True)


if __name__ == "__main__":
    asyncio.run(Presser(Settings(), int(sys.argv[1]), json.load(sys.stdin)).run())
