"""The gateway against its own description: schemathesis asks as several roles whatever the description allows or not.

What it may find: an answer of 500, a status, header, type or body that the description doesn't have, data that the
description forbids and the gateway takes, a method that is answered, a route that lets in who has no token.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from schema.database import Database
from schema.settings import Settings
from tests.integration.conftest import running_gateway
from tests.support.http import client, set_task, submit, tenant_name
from tests.support.parts import free_port

Token = Callable[..., str]

SECONDS = 3
"""For each run; what has begun by then is finished."""

REFUSALS = [*map(str, (400, 401, 403, 404, 405, 406, 409, 413, 414, 415, 422, 429, 431)), "5xx"]
"""What may be the answer to invalid data."""

UNSAYABLE = "positive_data_acceptance"
"""Rules such as "the tests are Python" are in no JSON schema: what it allows may still be refused, with 422."""


async def fuzz(
    url: str,
    folder: Path,
    *options: str,
    holder: str | None = None,
    task_id: str | None = None,
    tenant: str | None = None,
) -> str:
    """Run schemathesis; its whole report where it has found something, else nothing."""
    lines = [f'headers = {{ Authorization = "Bearer {holder}" }}'] if holder else []
    known = {"task_id": task_id, "tenant": tenant}
    lines += ["[parameters]", *(f'{name} = "{value}"' for name, value in known.items() if value)]
    lines += ["[checks]", f"negative_data_rejection.expected-statuses = {json.dumps(REFUSALS)}"]
    (folder / "schemathesis.toml").write_text("\n".join(lines))
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json"),
        *("--checks", "all", "--exclude-checks", UNSAYABLE, "--no-color", "--seed", "1"),
        *("--max-time", str(SECONDS), "--max-examples", "20", "--request-timeout", "30", *options),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return "" if process.returncode == 0 else output.decode()


@pytest.mark.parametrize(
    ("role", "left_out"),
    [
        # Without a worker its programs would wait for a sandbox, and the stories of its tasks would have no end.
        ("admin", ["--exclude-operation-id", "execute", "--exclude-operation-id", "stream_events"]),
        ("approver", []),
    ],
)
async def test_nothing_is_answered_that_is_not_described(
    role: str, left_out: list[str], gateway_url: str, token: Token, database: Database, tmp_path: Path
) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("developer", tenant)) as http:
        task = await submit(http)
    await set_task(database, task, state="rejected", reason="no candidate passed")
    known = {"task_id": task["task_id"], "tenant": tenant}
    found = await fuzz(gateway_url, tmp_path, *left_out, holder=token(role, tenant), **known)

    assert not found, found


async def test_nor_to_a_viewer_who_guesses(gateway_url: str, token: Token, tmp_path: Path) -> None:
    found = await fuzz(gateway_url, tmp_path, holder=token("viewer", tenant_name()))

    assert not found, found


async def test_nor_to_somebody_without_a_token(gateway_url: str, tmp_path: Path) -> None:
    found = await fuzz(gateway_url, tmp_path)

    assert not found, found


async def test_nor_where_programs_are_sent_to_the_sandbox(settings: Settings, token: Token, tmp_path: Path) -> None:
    # No program names this gateway's only image, so that each is judged and none is run.
    changes = {"gateway_port": free_port(), "sandbox_images": {"unnamed": "golden-sandbox:1"}}
    other = settings.model_copy(update={**changes, "sandbox_per_minute": 5_000})
    async with running_gateway(other):
        holder = token("developer", tenant_name())
        found = await fuzz(other.gateway_url, tmp_path, "--include-operation-id", "execute", holder=holder)

    assert not found, found
