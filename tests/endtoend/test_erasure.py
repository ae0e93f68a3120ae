"""A task that a whole stack worked on is erased, by the command that an operator has."""

import json
import secrets
import subprocess
import sys

import pytest
from temporalio.client import Client

from gateway.evidence_check import verify
from tests.support.golden import Golden
from tests.support.processes import until
from tests.support.provider import VOTERS, Provider, Script, ballot, files
from tests.support.specs import TESTS, spec
from tests.support.traces_left import has_history, places_of

pytestmark = [pytest.mark.sandbox, pytest.mark.stack]

MARK = f"mark{secrets.token_hex(8)}"


def command(golden: Golden, *words: str) -> subprocess.CompletedProcess[str]:
    """`golden` as an admin of the tenant runs it."""
    environment = {**golden.environment, "GOLDEN_TOKEN": golden.token("admin", sub="ann")}
    called = [sys.executable, "-m", "gateway.cli", *words]
    return subprocess.run(
        called, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


async def test_what_a_stack_wrote_of_a_task_is_gone_and_its_evidence_of_before_still_holds(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    title = f"erase {MARK}"
    said = {**ballot("approve"), "rationale": f"Fine, {MARK}."}
    code = files(work=f"# {MARK}\ndef double(number):\n    print('{MARK}')\n    return number * 2\n")
    provider.script(title, Script(developer=[code], ballots={voter: [said] for voter in VOTERS}))
    told = {"instructions": f"Write double(number). {MARK}", "tests": {"test_work.py": f"# {MARK}\n{TESTS}"}}
    task_id = await golden.submit(spec(title, **told))
    assert (await golden.result(task_id))["state"] == "accepted"
    async with golden.client("admin", sub="ann") as http:
        kept = (await http.get(f"/v1/tasks/{task_id}/evidence")).content
    workflows = [f"task/{task_id}", f"vote/{task_id}/1"]
    assert {"tasks.title", "texts.body"} <= places_of(golden.settings, MARK)
    assert [await has_history(temporal, each) for each in workflows] == [True, True]

    erased = command(golden, "erase", "--task", task_id, "--reason", "ticket 42")
    shown = command(golden, "result", task_id)

    assert erased.returncode == 0, erased.stderr
    assert erased.stdout.startswith(f"task {task_id} erased at ")
    assert places_of(golden.settings, MARK) == set()
    assert (shown.returncode, len(shown.stderr.splitlines())) == (2, 1)
    assert shown.stderr.startswith("golden: the task was erased at ")
    signer = frozenset({str(json.loads(kept)["signature"]["kid"])})
    assert {check.name for check in verify(kept, signer).checks if check.faults} == set()
    async with golden.client("admin", sub="ann") as http:
        assert (await http.get(f"/v1/tasks/{task_id}/evidence")).status_code == 410
        assert (await http.get("/v1/audit/verify")).json()["intact"]
        assert (await http.get("/v1/budgets/default/check")).json()["findings"] == []

    async def forgotten() -> bool:
        return not any([await has_history(temporal, each) for each in workflows])

    # Temporal deletes by its queues, and waits longer before each try of what is not ready.
    await until(forgotten, 120)
