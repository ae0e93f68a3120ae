"""Payloads, and a gateway, under a key ring that changes while work goes on."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from schema import engine, keyring
from schema.database import Database
from schema.errors import KeyMissing
from schema.keyring import KeyRing
from schema.settings import Settings
from schema.tables import tasks
from tests.integration.conftest import Token, running_gateway
from tests.support.http import client, problem, submit, tenant_name
from tests.support.parts import free_port

MARKER = "a-marker-that-only-this-file-writes"


@activity.defn(name="echo")
async def echo(word: str) -> str:
    return word


@workflow.defn(name="Held", sandboxed=False)
class Held:
    """Uses a payload of every kind, and waits in the middle."""

    def __init__(self) -> None:
        self._words: list[str] = []

    @workflow.run
    async def run(self, word: str) -> list[str]:
        await self._say(word)
        await workflow.wait_condition(lambda: len(self._words) > 1)
        await self._say("end")
        return self._words

    @workflow.signal
    async def add(self, word: str) -> None:
        await self._say(word)

    @workflow.update
    async def fail(self, word: str) -> None:
        raise ApplicationError(word, {"detail": word}, type="Asked")

    @workflow.query
    def words(self) -> list[str]:
        return self._words

    async def _say(self, word: str) -> None:
        policy = RetryPolicy(initial_interval=timedelta(milliseconds=50), maximum_interval=timedelta(milliseconds=200))
        self._words.append(
            await workflow.execute_activity(
                echo, word, start_to_close_timeout=timedelta(seconds=10), retry_policy=policy, summary=f"say {word}"
            )
        )


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Settings:
    """The settings with a key ring that only this test has."""
    keyring.rotate(tmp_path / "ring.json")
    return settings.model_copy(update={"keys_file": tmp_path / "ring.json"})


@asynccontextmanager
async def worker(settings: Settings, queue: str) -> AsyncIterator[None]:
    async with Worker(await engine.connect(settings), task_queue=queue, workflows=[Held], activities=[echo]):
        yield


async def start(temporal: Client, queue: str) -> WorkflowHandle[Held, list[str]]:
    return await temporal.start_workflow(
        Held.run, MARKER, id=queue, task_queue=queue, static_summary=MARKER, static_details=MARKER, memo={"m": MARKER}
    )


async def events_of(handle: WorkflowHandle[Held, list[str]]) -> bytes:
    return b"".join([event.SerializeToString() async for event in handle.fetch_history_events()])


async def until_seen(handle: WorkflowHandle[Held, list[str]], event_type: EventType.ValueType) -> None:
    """Return when the history has an event of a type."""
    async with asyncio.timeout(30):
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.event_type == event_type:
                return


async def test_keys_are_rotated_while_a_workflow_runs(own: Settings) -> None:
    temporal, queue = await engine.connect(own), f"held-{uuid4()}"
    old = KeyRing(own.keyring_file).keys[-1].key_id
    async with worker(own, queue):
        handle = await start(temporal, queue)
        await until_seen(handle, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
        assert old.encode() in await events_of(handle)
        new = keyring.rotate(own.keyring_file)
        assert new.encode() not in await events_of(handle)
        await handle.signal(Held.add, "middle")
        assert await handle.result() == [MARKER, "middle", "end"]
        # A worker that has the workflow not in its cache reads it from the beginning, under both keys.
        assert await handle.query(Held.words) == [MARKER, "middle", "end"]
    history = await events_of(handle)
    assert new.encode() in history
    assert old.encode() in history
    described = await handle.describe()
    assert (await described.static_summary(), await described.static_details()) == (MARKER, MARKER)
    assert await described.memo_value("m") == MARKER
    for seen in (history, described.raw_description.SerializeToString()):
        assert MARKER.encode() not in seen


async def test_what_an_update_says_in_its_failure_is_sealed(own: Settings) -> None:
    temporal, queue = await engine.connect(own), f"held-{uuid4()}"
    async with worker(own, queue):
        handle = await start(temporal, queue)
        with pytest.raises(WorkflowUpdateFailedError) as told:
            await handle.execute_update(Held.fail, MARKER)
        cause = told.value.cause
        assert isinstance(cause, ApplicationError)
        assert (cause.message, cause.details, cause.type) == (MARKER, ({"detail": MARKER},), "Asked")
        await handle.signal(Held.add, "on")
        await handle.result()
    assert MARKER.encode() not in await events_of(handle)


async def test_a_worker_without_the_key_names_it_and_goes_on_when_it_is_back(own: Settings, tmp_path: Path) -> None:
    temporal, queue = await engine.connect(own), f"held-{uuid4()}"
    without = own.model_copy(update={"keys_file": tmp_path / "other.json"})
    keyring.rotate(without.keyring_file)
    handle = await start(temporal, queue)
    async with worker(without, queue):
        await until_seen(handle, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
        _merge(own.keyring_file, without.keyring_file)
        _merge(without.keyring_file, own.keyring_file)
        await handle.signal(Held.add, "on")
        # The signal may be there before the first task that can be done.
        assert sorted(await handle.result()) == [MARKER, "end", "on"]
    assert KeyRing(own.keyring_file).keys[0].key_id in str([event async for event in _failures(handle, temporal)])


async def test_an_activity_without_the_key_is_tried_again(own: Settings, tmp_path: Path) -> None:
    temporal, queue = await engine.connect(own), f"held-{uuid4()}"
    kept = shutil.copy(own.keyring_file, tmp_path / "kept.json")
    async with worker(own, queue):
        handle = await start(temporal, queue)
        await until_seen(handle, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    # Two workers now: one for workflows with all keys, one for activities that lacks the first.
    lacking = own.model_copy(update={"keys_file": tmp_path / "lacking.json"})
    keyring.rotate(lacking.keyring_file)
    async with (
        Worker(await engine.connect(own), task_queue=queue, workflows=[Held]),
        Worker(await engine.connect(lacking), task_queue=queue, activities=[echo]),
    ):
        await handle.signal(Held.add, "on")
        await _until_retried(handle)
        _merge(kept, lacking.keyring_file)
        _merge(lacking.keyring_file, own.keyring_file)
        assert await handle.result() == [MARKER, "on", "end"]


async def test_a_gateway_without_a_key_says_which_and_answers_again_when_it_is_back(
    own: Settings, settings: Settings, token: Token, tmp_path: Path
) -> None:
    lacking = own.model_copy(update={"keys_file": tmp_path / "lacking.json", "gateway_port": free_port()})
    keyring.rotate(lacking.keyring_file)
    tenant = tenant_name()
    database = Database.from_settings(own)
    try:
        async with running_gateway(lacking), client(lacking.gateway_url, token("developer", tenant)) as http:
            task = await submit(http, title="under one key")
            key_id = KeyRing(lacking.keyring_file).keys[0].key_id
            kept = shutil.copy(lacking.keyring_file, tmp_path / "kept.json")
            keyring.rotate(lacking.keyring_file)
            _remove(lacking.keyring_file, key_id)
            refused = await http.get(f"/v1/tasks/{task['task_id']}")
            assert (refused.status_code, problem(refused)) == (503, "key-missing")
            assert key_id in refused.json()["detail"]
            assert refused.headers["retry-after"]
            _merge(kept, lacking.keyring_file)
            assert (await http.get(f"/v1/tasks/{task['task_id']}")).json()["title"] == "under one key"
        async with database.tenant(tenant) as connection:
            with pytest.raises(KeyMissing, match=key_id):
                await connection.scalar(select(tasks.c.title))
    finally:
        # Open, it would be in the way of whoever looks at all open tasks without its key.
        async with database.service() as connection:
            await connection.execute(update(tasks).where(tasks.c.tenant == tenant).values(state="cancelled"))
        await database.close()


def _merge(source: Path | str, target: Path) -> None:
    """Put the keys of one ring into another, which keeps its active one."""
    document = json.loads(target.read_text())
    document["keys"] = {**json.loads(Path(source).read_text())["keys"], **document["keys"]}
    target.write_text(json.dumps(document))


def _remove(path: Path, key_id: str) -> None:
    document = json.loads(path.read_text())
    del document["keys"][key_id]
    path.write_text(json.dumps(document))


async def _failures(handle: WorkflowHandle[Held, list[str]], temporal: Client) -> AsyncIterator[str]:
    async for event in handle.fetch_history_events():
        if event.HasField("workflow_task_failed_event_attributes"):
            failure = event.workflow_task_failed_event_attributes.failure
            error = await temporal.data_converter.decode_failure(failure)
            yield f"{error} {error.__cause__}"


async def _until_retried(handle: WorkflowHandle[Held, list[str]]) -> None:
    async with asyncio.timeout(30):
        while True:
            pending = (await handle.describe()).raw_description.pending_activities
            if any(each.attempt > 1 for each in pending):
                return
            await asyncio.sleep(0.05)
