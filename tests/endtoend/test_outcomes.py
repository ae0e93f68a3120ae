"""What each step of a whole task came to is there when it ends, and says what the ledger says."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from schema.database import Database
from schema.tables import model_calls, outcomes, tasks
from tests.support.golden import Golden
from tests.support.provider import VOTERS, Provider, Script, ballot, files
from tests.support.specs import BAD, GOOD, spec


async def test_every_step_of_a_task_says_what_it_came_to(golden: Golden, provider: Provider) -> None:
    against = ballot("reject", {"category": "correctness", "severity": "low", "where": "", "evidence": ["tests"]})
    provider.script(
        "what it came to",
        Script(developer=["prose", files(work=BAD), files(work=GOOD)], ballots={"tester": [against]}),
    )
    task_id = await golden.submit(spec("what it came to", repair_rounds=1))
    result = await golden.result(task_id)
    database = Database.from_settings(golden.settings)
    try:
        rows, pinned, charged = await read(database, UUID(task_id))
    finally:
        await database.close()

    assert result["state"] == "accepted"
    assert set(rows) == {"plan", "develop/1", "repair/1", *(f"ballot/{voter}/1" for voter in VOTERS)}
    assert {step: row.failed for step, row in rows.items() if row.failed} == {
        "develop/1": True,
        "ballot/tester/1": True,
    }
    assert rows["develop/1"].rules == ["tests/AssertionError"]
    assert rows["develop/1"].findings == {"tests/AssertionError": 2}
    assert rows["repair/1"].rules == []
    assert rows["ballot/tester/1"].rules == ["ballot/false-reject"]
    assert {row.repair_rounds for row in rows.values()} == {1}
    assert {row.model for row in rows.values()} == {"openai:scripted"}
    assert {row.role: str(row.prompt_version) for row in rows.values()} == pinned == result["prompts"]
    assert {step: (row.input_tokens, row.output_tokens) for step, row in rows.items()} == charged
    # Its first answer was prose, and was paid for.
    assert charged["develop/1"] == (200, 40)


async def read(database: Database, task_id: UUID) -> tuple[dict[str, Any], dict[str, str], dict[str, tuple[int, int]]]:
    """The outcomes by step, the versions that the task is pinned to, and tokens by step as the ledger has them."""
    call = model_calls.c
    async with database.service() as connection:
        found = await connection.execute(select(outcomes).where(outcomes.c.task_id == task_id))
        rows = {row.step: row for row in found}
        pinned = await connection.scalar(select(tasks.c.prompts).where(tasks.c.task_id == task_id))
        charges = select(call.step, func.sum(call.input_tokens), func.sum(call.output_tokens))
        counted = await connection.execute(charges.where(call.task_id == task_id).group_by(call.step))
        return rows, dict(pinned or {}), {step: (int(read), int(written)) for step, read, written in counted}
