"""The hunt for clear text: markers go down every path, and then every file of the stack is searched for them."""

import asyncio
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.service import RPCError

from deploy.local import postgres
from tests.support.golden import Golden, running_golden
from tests.support.processes import until
from tests.support.provider import VOTERS, Answer, Fault, Provider, Script, ballot, files
from tests.support.specs import TESTS, spec

MARK = f"marker{secrets.token_hex(8)}"
"""Part of everything that users and models say here."""
SEEN = f"somebody-{secrets.token_hex(8)}"
"""A user's name, which may be seen: the hunt must find it, or it is blind."""

pytestmark = [pytest.mark.sandbox, pytest.mark.stack]


def marked(what: str) -> str:
    """A title; the provider knows the task by it."""
    return f"{what} {MARK}-title"


def task(what: str, **fields: Any) -> dict[str, Any]:
    """A task of which every field that holds text holds the marker."""
    return spec(
        marked(what),
        instructions=f"Write double(number). {MARK}-instructions",
        files={"work.py": f"# {MARK}-file\ndef double(number): ...\n", f"{MARK}_path.txt": f"{MARK}-other"},
        tests={"test_work.py": f"# {MARK}-test\n{TESTS}"},
        labels={f"{MARK}-label": f"{MARK}-value"},
        **fields,
    )


def code(body: str) -> dict[str, Any]:
    return files(work=f"# {MARK}-code\ndef double(number):\n    print('{MARK}-output')\n    {body}\n")


def votes(*choices: str) -> dict[str, list[Any]]:
    """Ballots with the marker in what the voters may write."""
    said = [{**ballot(choice), "rationale": f"{MARK}-rationale"} for choice in choices]
    return dict(zip(VOTERS, ([each] for each in said), strict=True))


@pytest_asyncio.fixture(scope="module")
async def hunted(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Any:
    """A stack of its own that says as much as it ever does."""
    home = tmp_path_factory.mktemp("hunted")
    values = {"models": provider.models, "trusted_proxies": "127.0.0.1", "reconcile_seconds": 2, "log_level": "debug"}
    async with running_golden(home, **values) as golden:
        yield golden


async def test_nothing_that_users_or_models_said_is_in_any_file(hunted: Golden, provider: Provider) -> None:
    await asyncio.gather(
        accepted(hunted, provider),
        rejected(hunted, provider),
        unusable(hunted, provider),
        unavailable(hunted, provider),
        escalated(hunted, provider),
        cancelled(hunted, provider),
        executed(hunted),
    )
    await control(hunted)
    _assert_columns_are_sealed(hunted)
    await asyncio.to_thread(_assert_files_are_clean, hunted.settings.home)
    _assert_no_argument_is_a_secret(hunted)
    # What was in memory is written when the parts end.
    await asyncio.to_thread(hunted.stop)
    await asyncio.to_thread(_assert_files_are_clean, hunted.settings.home)


async def accepted(golden: Golden, provider: Provider) -> None:
    plan = {"summary": f"{MARK}-plan", "steps": [f"{MARK}-step"]}
    ballots = votes("approve", "approve", "approve", "reject")
    objection = {"category": "tests", "severity": "low", "where": f"{MARK}:1", "evidence": ["tests"]}
    ballots[VOTERS[3]][0]["objections"] = [objection]
    provider.script(marked("accepted"), Script(plan=[plan], developer=[code("return number * 2")], ballots=ballots))
    result = await golden.result(await submit(golden, task("accepted")))
    assert result["state"] == "accepted"
    assert MARK in str(result["files"])


async def rejected(golden: Golden, provider: Provider) -> None:
    wrong = code(f"raise ValueError('{MARK}-raised')")
    provider.script(marked("rejected"), Script(developer=[wrong]))
    result = await golden.result(await submit(golden, task("rejected", repair_rounds=1)))
    assert result["state"] == "rejected"
    assert f"{MARK}-raised" in str(result["tests"])


async def unusable(golden: Golden, provider: Provider) -> None:
    """No answer is of the type asked for; what was said is part of what is told back to the model."""
    odd = {"files": [{"path": f"../{MARK}-climbs", "content": f"{MARK}-content"}], f"{MARK}-field": 1}
    provider.script(marked("unusable"), Script(developer=[odd, f"{MARK}-prose", json.dumps([MARK])]))
    task_id = await submit(golden, task("unusable"))
    await golden.until(task_id, lambda task: task["state"] == "parked")
    async with golden.client("operator") as http:
        body = {"filter": {"task": task_id}, "reason": f"{MARK}-reason"}
        assert (await http.post("/v1/dead-letters/discard", json=body)).json()["matched"] == 1
    assert (await golden.final(task_id))["state"] == "failed"


async def unavailable(golden: Golden, provider: Provider) -> None:
    """The provider answers with errors that quote the request, as they do."""
    faults = [Fault(500, message=f"{MARK}-500"), Fault(400, message=f"{MARK}-400"), Fault(401, message=f"{MARK}-401")]
    plan: list[Answer] = [*faults, Fault(429, 1, f"{MARK}-429"), {"summary": "Write it.", "steps": []}]
    provider.script(marked("unavailable"), Script(plan=plan, developer=[code("return number * 2")]))
    assert (await golden.final(await submit(golden, task("unavailable"))))["state"] == "accepted"


async def escalated(golden: Golden, provider: Provider) -> None:
    ballots = votes(*["abstain"] * 4)
    provider.script(marked("escalated"), Script(developer=[code("return number * 2")], ballots=ballots))
    task_id = await submit(golden, task("escalated"))
    await golden.until(task_id, lambda task: task["state"] == "escalated")
    async with golden.client("approver", sub="approver") as http:
        decided = await http.post(
            f"/v1/tasks/{task_id}/decision", json={"decision": "accept", "reason": f"{MARK}-reason"}
        )
        assert decided.status_code == 200, decided.text
    assert (await golden.final(task_id))["state"] == "accepted"


async def cancelled(golden: Golden, provider: Provider) -> None:
    provider.script(marked("cancelled"), Script(developer=[code("while True: pass")]))
    task_id = await submit(golden, task("cancelled"))
    await golden.until(task_id, lambda task: task["state"] == "proving")
    async with golden.client("developer", sub=SEEN) as http:
        assert (await http.post(f"/v1/tasks/{task_id}/cancel")).status_code == 202
    assert (await golden.final(task_id))["state"] == "cancelled"


async def executed(golden: Golden) -> None:
    body = {"files": {"main.py": f"# {MARK}\nprint('{MARK}-printed')\nraise ValueError('{MARK}-trace')"}}
    async with golden.client("developer", sub=SEEN) as http:
        http.timeout = 120
        ran = await http.post("/v1/sandbox/executions", json={**body, "command": ["python", "main.py", MARK]})
        refused = await http.post("/v1/sandbox/executions", json={**body, "command": 5, f"{MARK}-field": MARK})
        strayed = await http.get(f"/v1/tasks/{MARK}?{MARK}={MARK}", headers={"X-Odd": MARK})
    assert f"{MARK}-printed" in ran.text, ran.text
    assert (refused.status_code, strayed.status_code) == (422, 404) or strayed.status_code == 422


async def control(golden: Golden) -> None:
    """Without the codec the hunt would find it: a workflow is started by a client that has none."""
    plain = await Client.connect(golden.settings.temporal_target, namespace=golden.settings.temporal_namespace)
    await plain.start_workflow("Nobody", f"{SEEN}-payload", id="control", task_queue="nobody")
    await until(lambda: f"{SEEN}-payload".encode() in _content(golden.settings.home / "temporal"))
    try:
        await plain.get_workflow_handle("control").terminate()
    except RPCError:
        pytest.fail("the control workflow was not there")


async def submit(golden: Golden, body: dict[str, Any]) -> str:
    async with golden.client("developer", sub=SEEN) as http:
        answer = await http.post("/v1/tasks", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def _assert_columns_are_sealed(golden: Golden) -> None:
    """As somebody sees it who may read every row; PostgreSQL compresses what is long, so files alone prove little."""
    url = postgres.superuser_url(golden.settings).replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = "".join(
            str(connection.execute(f"SELECT to_jsonb(t)::text FROM {name} t".encode()).fetchall())  # noqa: S608
            for (name,) in tables
        )
    assert MARK not in rows
    assert SEEN in rows


def _assert_files_are_clean(home: Path) -> None:
    found = {str(path.relative_to(home)) for path in _files(home) if MARK.encode() in path.read_bytes()}
    assert found == set()
    assert SEEN.encode() in _content(home / "postgres")
    assert SEEN.encode() in _content(home / "temporal")
    assert _content(home / "logs")


def _assert_no_argument_is_a_secret(golden: Golden) -> None:
    token = golden.settings.token_file.read_text().strip()
    ring = json.loads(golden.settings.keyring_file.read_text())["keys"].values()
    hidden = [token, *(key["key"] for key in ring)]
    for pid in golden.pids():
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        assert not [secret for secret in hidden if secret in arguments]
    logs = _content(golden.settings.logs_folder).decode(errors="replace")
    assert not [secret for secret in hidden if secret in logs]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in _files(folder))
