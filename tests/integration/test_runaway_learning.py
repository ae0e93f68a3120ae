"""A thousand patterns at all roles at once, pressed by processes that race and are killed: no limit is ever passed."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from datetime import timedelta

from uuid_utils.compat import uuid7

from schema.database import Database
from schema.messages.learning import PromptDiff, PromptEvidence
from schema.proposals import write_proposal
from schema.settings import Settings
from tests.integration.test_prompt_limits import LIMITS, within_limits
from tests.support.http import tenant_name
from tests.support.learning import applied, install_prompts

PATTERNS = 1_000
PROCESSES = 4
LIVES = 4
"""Of each process: it is killed and begun anew."""
ATTEMPTS = 50
"""Before it is killed."""
HOURS = 72


async def fire(database: Database, tenant: str) -> list[str]:
    """A proposal for each of a thousand patterns, as many for each role."""
    await install_prompts(database)
    roles, ids = list(LIMITS), [uuid7() for _ in range(PATTERNS)]
    async with database.tenant(tenant) as connection:
        for number, update_id in enumerate(ids):
            role = roles[number % len(roles)]
            assert await write_proposal(
                connection,
                update_id=update_id,
                tenant=tenant,
                role=role,
                diff=PromptDiff(op="add", after=f"Mind case {number}."),
                evidence=PromptEvidence(),
                proposer="supervisor",
                budget_tokens=1_000,
                slots=1,
                pattern=f"{role}:lint/X{number}",
            )
    return [str(each) for each in ids]


async def press(settings: Settings, seed: int, told: str) -> Counter[str]:
    """One life after the other, each ended by SIGKILL in the middle of an attempt; what was answered, counted."""
    outcomes: Counter[str] = Counter()
    environment = {**os.environ, "GOLDEN_HOME": str(settings.home)}
    for life in range(LIVES):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.runaway", str(seed * 100 + life)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(told.encode())
        process.stdin.close()
        for _ in range(ATTEMPTS):
            line = (await process.stdout.readline()).decode().strip()
            assert line, "it ended by itself"
            outcomes[line] += 1
        process.send_signal(signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            await process.wait()
    return outcomes


async def test_no_role_passes_its_limit_or_its_pause_in_any_window_by_any_path(
    settings: Settings, database: Database
) -> None:
    tenant = tenant_name()
    told = json.dumps({"tenant": tenant, "updates": await fire(database, tenant), "hours": HOURS})
    counted = await asyncio.gather(*(press(settings, seed, told) for seed in range(PROCESSES)))
    outcomes = sum(counted, Counter[str]())

    for role, (most, pause, _) in LIMITS.items():
        times = await applied(database, tenant, role)
        assert within_limits(times, most, timedelta(hours=pause)), role
        assert times, f"nothing got through for {role}: the test pressed nothing"
    # Limits were run into, and force was refused; nothing else went wrong.
    assert set(outcomes) <= {"approved", "GL001", "GL002", "GL004", "42501", "lost"}, outcomes
    assert outcomes["GL001"] > 10, outcomes
    assert outcomes["42501"] > 50
