"""A step has one result, whichever of its attempts comes first."""

from activities.store import TaskStore
from schema.database import Database
from schema.messages.steps import StepRef, StoredText
from schema.messages.task import TaskState
from tests.integration.test_ledger import open_task


async def test_an_attempt_that_comes_second_is_told_the_result_of_the_first(database: Database) -> None:
    store, task_id = TaskStore(database), await open_task(database, "twice")
    ref = StepRef(task_id=task_id, tenant="twice", step="prove/1")
    # Both began before either had ended, as after a heartbeat that was lost.
    assert [await store.begin_step(ref, TaskState.PROVING) for _ in range(2)] == [None, None]
    first, second = StoredText(text="1" * 64), StoredText(text="2" * 64)
    assert await store.finish_step(ref, first) is None
    assert await store.finish_step(ref, second) == first.model_dump(mode="json")
    assert await store.begin_step(ref, TaskState.PROVING) == first.model_dump(mode="json")
