"""A vote by itself, from the command line to a person's decision, through every layer."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import select

from schema.database import Database
from schema.tables import truths
from tests.support.golden import Golden
from tests.support.provider import VOTERS, Fault, Provider, Script, ballot
from tests.support.specs import GOOD, TESTS

CANDIDATE = {
    "title": "a candidate of somebody's",
    "instructions": "Write double(number).",
    "given": {"work.py": "def double(number): ...\n"},
    "files": {"work.py": GOOD},
    "budget_tokens": 50_000,
}
STATED = {"tests": [{"id": "test_work.py::test_it_doubles", "outcome": "passed"}]}


async def run(golden: Golden, *arguments: str) -> tuple[int, str]:
    """A command as a person gives it: its exit code and what it printed."""
    command = [sys.executable, "-m", "gateway.cli", *arguments]
    environment = {**golden.environment, "GOLDEN_TOKEN": golden.token(), "GOLDEN_URL": golden.settings.gateway_url}
    ended = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout


def vote_file(folder: Path, **fields: Any) -> str:
    path = folder / "vote.json"
    path.write_text(json.dumps({**CANDIDATE, **fields}))
    return str(path)


async def test_a_candidate_that_passes_its_tests_here_is_accepted_by_the_vote(
    golden: Golden, provider: Provider, tmp_path: Path
) -> None:
    provider.script("a proven candidate", Script())
    file = vote_file(tmp_path, title="a proven candidate", tests={"test_work.py": TESTS})

    code, told = await run(golden, "vote", file, "--json")
    result = await golden.result(json.loads(told)["task_id"])

    assert (code, result["state"], result["files"]) == (0, "accepted", {"work.py": GOOD})
    assert [test["outcome"] for test in result["tests"]] == ["passed", "passed"]
    assert {asked.role for asked in provider.asked if asked.title == "a proven candidate"} == set(VOTERS)


async def test_what_the_vote_leaves_open_is_explained_to_whoever_decides(
    golden: Golden, provider: Provider, tmp_path: Path
) -> None:
    sides = {"reviewer": [ballot()], "security": [ballot("abstain")]}
    away = {"tester": [Fault(status=400)], "architect": [Fault(status=400)]}
    provider.script("a stated candidate", Script(ballots={**sides, **away}))
    file = vote_file(tmp_path, title="a stated candidate", evidence=STATED, policy={"rounds": 1})

    task_id = (await run(golden, "vote", file))[1].split()[-1]
    task = await golden.until(task_id, lambda task: task["state"] == "escalated")
    code, told = await run(golden, "consensus", task_id)
    async with golden.client("approver", sub="pat") as http:
        await http.post(f"/v1/tasks/{task_id}/decision", json={"decision": "accept", "reason": "seen"})
    result = await golden.result(task_id)

    assert (code, told.splitlines()[0]) == (0, f"vote on task {task_id}: undecided")
    assert "Decide by" in task["reason"]
    assert (task["kind"], result["state"], result["isolation"]) == ("vote", "accepted", None)
    database = Database.from_settings(golden.settings)
    async with database.tenant("default") as connection:
        found = await connection.execute(select(truths.c.source, truths.c.good).where(truths.c.task_id == task_id))
        assert found.all() == [("human", True)]
    await database.close()
