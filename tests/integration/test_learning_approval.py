"""`LearningApproval` under skipped time: a person decides, a Signal only wakes, silence expires."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from schema.engine import SUPERVISOR_QUEUE
from schema.messages.learning import LearningApprovalInput, UpdateStanding, UpdateState
from tests.support.world import environment
from workflows.learning_approval import LearningApproval

__all__ = ["environment"]

DAY = 86_400.0


class Book:
    """A proposal's row, as its activities show it."""

    def __init__(self) -> None:
        self.state: UpdateState = "pending"
        self.ended = False
        self.reminded = 0
        self.looks = 0

    @activity.defn(name="open_update")
    async def open_update(self, wanted: LearningApprovalInput) -> UpdateStanding:
        return UpdateStanding(state="pending", settled=False, expires_in_seconds=7 * DAY, remind_in_seconds=DAY)

    @activity.defn(name="remind_update")
    async def remind_update(self, wanted: LearningApprovalInput) -> None:
        self.reminded += 1

    @activity.defn(name="settle_update")
    async def settle_update(self, wanted: LearningApprovalInput) -> UpdateStanding:
        self.looks += 1
        if self.state == "approved":
            return UpdateStanding(state="adopted", settled=True)
        if self.ended:
            return UpdateStanding(state="expired", settled=True)
        return UpdateStanding(state="pending", settled=False)

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.open_update, self.remind_update, self.settle_update]


@asynccontextmanager
async def started(environment: WorkflowEnvironment, book: Book) -> AsyncIterator[WorkflowHandle[Any, str]]:
    worker = Worker(
        environment.client, task_queue=SUPERVISOR_QUEUE, workflows=[LearningApproval], activities=book.activities
    )
    async with worker:
        wanted = LearningApprovalInput(update_id=uuid4(), tenant="t")
        yield await environment.client.start_workflow(
            LearningApproval.run, wanted, id=f"approval/{wanted.update_id}", task_queue=SUPERVISOR_QUEUE
        )


async def test_a_decision_that_a_person_makes_after_days_is_done(environment: WorkflowEnvironment) -> None:
    book = Book()
    async with started(environment, book) as handle:
        await environment.sleep(timedelta(days=3))
        # A Signal without a row does nothing.
        await handle.signal("approval_decided")
        await environment.sleep(timedelta(days=1))
        book.state = "approved"
        await handle.signal("approval_decided")
        assert await handle.result() == "adopted"
    assert book.reminded == 1


async def test_silence_ends_when_the_row_says_so(environment: WorkflowEnvironment) -> None:
    book = Book()
    async with started(environment, book) as handle:
        # The workflow's clock may be ahead of the database's: then it looks again.
        await environment.sleep(timedelta(days=7, seconds=2))
        book.ended = True
        assert await handle.result() == "expired"
    assert book.looks < 8
