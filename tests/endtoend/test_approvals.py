"""Weights that the records speak for, approved on the command line, also while the supervisor's worker is gone."""

import asyncio
import os
import signal
import subprocess
import sys

from temporalio.client import Client

from schema.database import Database
from schema.engine import approval_workflow_id
from tests.support.approvals import policy_of, vote_often
from tests.support.golden import Golden
from tests.support.histories import record
from tests.support.http import tenant_name
from tests.support.processes import until


async def command(golden: Golden, role: str, sub: str, tenant: str, *arguments: str) -> str:
    """What `golden …` prints to a person of this role."""
    token = golden.token(role, tenant, sub)  # type: ignore[arg-type]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "gateway.cli", *arguments],
        env={**golden.environment, "GOLDEN_TOKEN": token, "GOLDEN_URL": golden.settings.gateway_url, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_new_weights_are_proposed_shown_approved_and_in_force_after_a_crash(
    golden: Golden, temporal: Client
) -> None:
    tenant, database = tenant_name(), Database.from_settings(golden.settings)
    await vote_often(database, tenant)
    told = await command(golden, "developer", "ann", tenant, "learn", "weights")
    update_id, digest = (next(line.split()[1] for line in told.splitlines() if line.startswith(word))
                         for word in ("proposal", "digest"))  # fmt: skip
    assert ["architect", "20.0", "%"] in [line.split()[:3] for line in told.splitlines()]
    assert update_id in await command(golden, "approver", "bob", tenant, "approvals", "list", "--state", "pending")

    for pid in golden.pids("worker"):
        os.kill(pid, signal.SIGKILL)
    done = await command(
        golden, "approver", "bob", tenant, "approvals", "approve", update_id, "--digest", digest, "--reason", "fine"
    )
    assert done.startswith("approved by bob")

    handle = temporal.get_workflow_handle(approval_workflow_id(update_id), result_type=str)  # type: ignore[arg-type]
    await until(lambda: closed(handle))
    assert await handle.result() == "adopted"
    voters = (await policy_of(database, tenant) or {})["voters"]
    assert voters["architect"] < 2_000
    await record(temporal, handle.id, "LearningApproval-adopted")
    await database.close()


async def closed(handle: object) -> bool:
    description = await handle.describe()  # type: ignore[attr-defined]
    return description.close_time is not None
