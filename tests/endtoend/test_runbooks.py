"""Runbooks followed word by word: every command against a stack, and stacks broken on purpose to their cure."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.authorisation import Role
from tests.support.golden import Golden
from tests.support.provider import VOTERS, Fault, Provider, Script, ballot, files
from tests.support.runbooks import INDEX, blocks, distinct, pages
from tests.support.specs import GOOD, spec

ROOT = Path(__file__).parent.parent.parent
NONSENSE = ["no json"] * 3
pytestmark = pytest.mark.timeout(300)
"""Some forty commands, each a process of its own, on a machine that may be busy."""

SAFE = ("sh",)
ALL = ("sh", "sh changes")


async def follow(
    golden: Golden, names: Sequence[str], *, where: Sequence[str] = SAFE, role: Role = "admin", sub: str = "on-call"
) -> subprocess.CompletedProcess[str]:
    """The blocks of the index and then of these pages in one shell, which ends at the first command that fails."""
    scripts = [block.script for block in blocks(INDEX, "sh")]
    scripts.append(f"export GOLDEN_TOKEN={golden.token(role, sub=sub)}")
    told = [block.script for name in names for block in blocks(pages()[name], *where)]
    scripts += distinct(told) if len(names) > 1 else told
    settings = golden.settings
    environment = {
        **golden.environment,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TEMPORAL_ADDRESS": settings.temporal_target,
        "GATEWAY_METRICS": f"http://127.0.0.1:{settings.metrics_port}/metrics",
        "WORKER_METRICS": f"http://127.0.0.1:{settings.metrics_port + 1}/metrics",
        "COLUMNS": "160",
    }
    # The stack's Temporal is the stack's own: only the commands in the pages are told where it is.
    command = ["bash", "-euo", "pipefail", "-c", "\n".join(scripts)]
    return await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=280
    )


def worked(done: subprocess.CompletedProcess[str]) -> str:
    """What it printed, when every command did."""
    assert done.returncode == 0, f"{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}"
    return done.stdout


async def listed(golden: Golden, path: str, **query: Any) -> list[dict[str, Any]]:
    async with golden.client("admin") as client:
        items: list[dict[str, Any]] = (await client.get(path, params=query)).json()["items"]
    return items


@pytest.mark.parametrize("half", [0, 1])
async def test_every_command_of_every_page_works_on_a_healthy_stack(golden: Golden, half: int) -> None:
    said = worked(await follow(golden, list(pages())[half::2]))
    assert "golden_http_requests_total" in said or "golden_audit_records_total" in said
    assert "temporal_worker_task_slots_available" in said


async def test_a_dead_letter_is_found_and_redriven_by_its_page(golden: Golden, provider: Provider) -> None:
    provider.script("the page redrives", Script(developer=[*NONSENSE, files(work=GOOD)]))
    task_id = await golden.submit(spec("the page redrives"))
    await golden.until(task_id, lambda task: task["state"] == "parked")
    said = worked(await follow(golden, ["GoldenDeadLettersOpen"], where=ALL))
    assert "InvalidModelOutput" in said
    assert f"task/{task_id}" in said
    assert (await golden.final(task_id))["state"] == "accepted"
    assert await listed(golden, "/v1/dead-letters", state="open") == []


async def test_an_escalated_task_is_found_and_decided_by_its_page(golden: Golden, provider: Provider) -> None:
    split = {voter: [ballot("abstain")] for voter in VOTERS}
    provider.script("the page decides", Script(developer=[files(work=GOOD)], ballots=split))
    task_id = await golden.submit(spec("the page decides"))
    await golden.until(task_id, lambda task: task["state"] == "escalated")
    said = worked(await follow(golden, ["GoldenEscalationAge"], where=ALL, role="approver"))
    assert task_id in said
    assert (await golden.final(task_id))["state"] == "rejected"
    assert await listed(golden, "/v1/tasks", state="escalated") == []


async def test_an_account_that_drifted_is_named_and_stopped_by_its_page(golden: Golden) -> None:
    url = golden.settings.database("service").replace("+psycopg", "")
    change = "UPDATE accounts SET spent_tokens = spent_tokens + %s WHERE tenant = 'default'"
    with psycopg.connect(url) as connection:
        connection.execute(change, (7,))
    try:
        said = worked(await follow(golden, ["GoldenLedgerDrift"], where=ALL))
        assert "DOES NOT AGREE" in said
        async with golden.client("admin") as client:
            assert (await client.get("/v1/budgets/default")).json()["limit_tokens"] == 0
    finally:
        async with golden.client("admin") as client:
            await client.put("/v1/budgets/default", json={"limit_tokens": None})
        with psycopg.connect(url) as connection:
            connection.execute(change, (-7,))
    assert "default: agrees" in worked(await follow(golden, ["GoldenLedgerDrift"]))


async def test_a_broken_audit_chain_is_named_and_kept_by_its_page(golden: Golden) -> None:
    url = golden.settings.database("migrator").replace("+psycopg", "")
    forge = "UPDATE audit_records SET outcome = %s WHERE tenant = 'default' AND sequence = 1"
    async with golden.client() as client:
        await client.get("/v1/tasks")

    def write(outcome: str) -> str:
        with psycopg.connect(url) as connection:
            connection.execute("ALTER TABLE audit_records DISABLE TRIGGER USER")
            row = connection.execute("SELECT outcome FROM audit_records WHERE tenant = 'default' AND sequence = 1")
            before = str((row.fetchone() or ("",))[0])
            connection.execute(forge, (outcome,))
            connection.execute("ALTER TABLE audit_records ENABLE TRIGGER USER")
        return before

    before = write("denied")
    try:
        said = worked(await follow(golden, ["GoldenAuditChainBroken"]))
        assert "default: BAD" in said
        assert "a chain is broken: keep this output" in said
    finally:
        write(before)
    assert "a chain is broken" not in worked(await follow(golden, ["GoldenAuditChainBroken"]))


async def test_an_open_circuit_is_named_by_its_page_and_closes_by_itself(golden: Golden, provider: Provider) -> None:
    provider.script("the circuit opens", Script(developer=[files(work=GOOD)]))
    provider.down = Fault(500)
    try:
        task_id = await golden.submit(spec("the circuit opens"))
        async with golden.client("admin") as client:
            async with asyncio.timeout(60):
                while True:
                    circuits = (await client.get("/v1/circuits")).json()["items"]
                    if any(each["opened_total"] and each["state"] in ("open", "half-open") for each in circuits):
                        break
                    await asyncio.sleep(0.2)
        said = worked(await follow(golden, ["GoldenCircuitOpen"]))
        assert "scripted" in said
        assert re.search(r"closed\s+open\s", said), "the history tells when it opened"
    finally:
        provider.down = None
    task = await golden.until(task_id, lambda task: task["state"] in ("accepted", "parked"), within=150)
    if task["state"] == "parked":
        worked(await follow(golden, ["GoldenDeadLettersOpen"], where=ALL))
    assert (await golden.final(task_id))["state"] == "accepted"
    circuits = await listed(golden, "/v1/circuits")
    assert {each["state"] for each in circuits} == {"closed"}
