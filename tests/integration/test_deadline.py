"""The deadline's clock, under Temporal's time-skipping server: days go by in milliseconds."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.escalations import NOBODY
from activities.failures import FailureInterceptor
from schema.engine import ORCHESTRATOR_QUEUE, PEER_HUB_QUEUE, SANDBOX_QUEUE, SEARCH_ATTRIBUTES
from schema.errors import BudgetExhausted, NotAdmitted, NotYet, PriceUnknown, RouteClosed
from schema.messages.steps import (
    Admission,
    AgentTaskInput,
    AskRoleInput,
    AskRoleResult,
    EscalateInput,
    FinishInput,
    HumanDecision,
    LetterDecision,
    ParkInput,
    Proof,
    ProveInput,
    ReadDecisionInput,
    ReadRecordsInput,
    RecordVoteInput,
    StepRef,
    StoredText,
    StoreObjectionsInput,
    VoterRecords,
)
from schema.messages.vote import Ballot, Choice, VotePolicy
from tests.support.processes import until
from workers.provision import add_search_attributes
from workflows.agent_task import AgentTask
from workflows.consensus_round import ConsensusRound

TASK = AgentTaskInput(task_id=UUID(int=1), tenant="t")
TEXT = "0" * 64


class World:
    """Activities that do nothing, in no time, unless told otherwise."""

    def __init__(self, *, refusals: int = 0, choice: Choice = "approve", stuck: str = "") -> None:
        self.refusals = refusals
        self.choice = choice
        self.stuck = stuck
        self.deadline_seconds = 10
        self.unpriced = 0
        self.yielded = 0
        self.closed = 0
        self.reminded = 0
        self.spent = ""
        self.parked: list[ParkInput] = []
        self.asked: list[AskRoleInput] = []
        self.letter = LetterDecision()
        self.decision: HumanDecision = HumanDecision()
        self.finished: list[FinishInput] = []

    @activity.defn(name="admit")
    async def admit(self, task: AgentTaskInput) -> Admission:
        if self.refusals:
            self.refusals -= 1
            raise NotAdmitted("full", retry_after=60)
        if self.unpriced and self.parked:
            self.unpriced -= 1
            raise PriceUnknown("no price")
        return Admission(
            title="t", candidates=1, repair_rounds=0, deadline_seconds=self.deadline_seconds, policy=VotePolicy()
        )

    @activity.defn(name="ask_role")
    async def ask_role(self, ask: AskRoleInput) -> AskRoleResult:
        self.asked.append(ask)
        if self.stuck and ask.ref.step.startswith(self.stuck):
            raise NotAdmitted("not yet", retry_after=60)
        if self.spent and ask.ref.step.startswith(self.spent) and ask.ref.epoch == 1:
            raise BudgetExhausted("spent")
        if self.closed:
            raise RouteClosed("open")
        ballot = Ballot(choice=self.choice, confidence=1, rationale="") if ask.evidence else None
        return AskRoleResult(response=TEXT, ballot=ballot)

    @activity.defn(name="await_turn")
    async def await_turn(self, ask: AskRoleInput) -> None:
        if self.closed:
            self.closed -= 1
            raise NotYet("still open", retry_after=60)

    @activity.defn(name="park")
    async def park(self, letter: ParkInput) -> None:
        self.parked.append(letter)

    @activity.defn(name="read_letter")
    async def read_letter(self, ref: StepRef) -> LetterDecision:
        return self.letter

    @activity.defn(name="yield_slot")
    async def yield_slot(self, task: AgentTaskInput) -> None:
        self.yielded += 1

    @activity.defn(name="prove")
    async def prove(self, prove: ProveInput) -> Proof:
        return Proof(
            candidate=TEXT, report=TEXT, passed=True, tests_passed=1, tests_failed=0, isolation="gvisor",
            size_bytes=1, lines={},
        )  # fmt: skip

    @activity.defn(name="read_voter_records")
    async def read_voter_records(self, asked: ReadRecordsInput) -> VoterRecords:
        return VoterRecords()

    @activity.defn(name="record_vote")
    async def record_vote(self, vote: RecordVoteInput) -> StoredText:
        return StoredText(text=TEXT)

    @activity.defn(name="store_objections")
    async def store_objections(self, objections: StoreObjectionsInput) -> StoredText:
        return StoredText(text=TEXT)

    @activity.defn(name="escalate")
    async def escalate(self, question: EscalateInput) -> None:
        return None

    @activity.defn(name="read_decision")
    async def read_decision(self, task: ReadDecisionInput) -> HumanDecision:
        return self.decision

    @activity.defn(name="remind")
    async def remind(self, task: ReadDecisionInput) -> None:
        self.reminded += 1

    @activity.defn(name="expire_decision")
    async def expire_decision(self, task: ReadDecisionInput) -> HumanDecision:
        if self.decision.decision is None:
            self.decision = HumanDecision(decision="reject", actor=NOBODY)
        return self.decision

    @activity.defn(name="finish")
    async def finish(self, finish: FinishInput) -> None:
        self.finished.append(finish)

    @property
    def activities(self) -> list[Callable[..., Any]]:
        names = (
            "read_voter_records",
            "admit",
            "ask_role",
            "prove",
            "record_vote",
            "store_objections",
            "escalate",
            "read_decision",
            "finish",
        )
        waiting = ("await_turn", "park", "read_letter", "yield_slot")
        asking = ("remind", "expire_decision")
        return [getattr(self, name) for name in names + waiting + asking]


START_ATTEMPTS = 5


@pytest_asyncio.fixture(scope="module")
async def environment() -> AsyncIterator[WorkflowEnvironment]:
    async with await start_server() as environment:
        await add_search_attributes(environment.client, [key.name for key in SEARCH_ATTRIBUTES])
        yield environment


async def start_server() -> WorkflowEnvironment:
    """The SDK gives the server five seconds, which a busy machine may not: then it is asked again."""
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            return await WorkflowEnvironment.start_time_skipping(
                data_converter=pydantic_data_converter,
                test_server_existing_path=str(Path(sys.executable).parent / "temporal-test-server"),
            )
        except RuntimeError:
            if attempt == START_ATTEMPTS:
                raise
    raise AssertionError


@asynccontextmanager
async def started(
    environment: WorkflowEnvironment, world: World, *, task: type = AgentTask, again: str | None = None
) -> AsyncIterator[WorkflowHandle[Any, str]]:
    """`AgentTask`, or another class in its place, in a world; `again` is the id of one that was started before."""
    async with AsyncExitStack() as workers:
        for queue in (ORCHESTRATOR_QUEUE, PEER_HUB_QUEUE, SANDBOX_QUEUE):
            worker = Worker(
                environment.client,
                task_queue=queue,
                workflows=[task, ConsensusRound],
                activities=world.activities,
                interceptors=[FailureInterceptor()],
            )
            await workers.enter_async_context(worker)
        if again is not None:
            yield environment.client.get_workflow_handle_for(AgentTask.run, again)
            return
        yield await environment.client.start_workflow(
            AgentTask.run,
            TASK,
            id=f"task/{uuid4()}",
            task_queue=ORCHESTRATOR_QUEUE,
            execution_timeout=timedelta(days=30),
        )


async def test_time_in_the_queue_costs_nothing_of_a_deadline_of_seconds(environment: WorkflowEnvironment) -> None:
    world = World(refusals=10)
    async with started(environment, world) as handle:
        assert await handle.result() == "accepted"
    described = await handle.describe()
    assert described.close_time is not None
    assert described.close_time - described.start_time > timedelta(minutes=9)


@pytest.mark.parametrize("step", ["plan", "develop", "ballot"])
async def test_a_step_that_waits_too_long_runs_into_the_deadline(environment: WorkflowEnvironment, step: str) -> None:
    world = World(stuck=step)
    async with started(environment, world) as handle:
        assert await handle.result() == "failed"
    assert [(finish.state, finish.reason) for finish in world.finished] == [("failed", "deadline")]


async def test_a_provider_that_is_down_for_an_hour_costs_no_attempt_no_deadline_and_no_history(
    environment: WorkflowEnvironment,
) -> None:
    world = World()
    world.closed = 60
    async with started(environment, world) as handle:
        assert await handle.result() == "accepted"
    described = await handle.describe()
    assert described.close_time is not None
    assert described.close_time - described.start_time > timedelta(minutes=55)
    # One try that found the circuits open, one wait, one try that went through.
    assert [ask.ref.step for ask in world.asked].count("plan") == 2
    events = [event async for event in handle.fetch_history_events()]
    waits = [event for event in events if event.activity_task_scheduled_event_attributes.activity_id == "wait/plan"]
    assert len(waits) == 1
    assert len(events) < 120


@pytest.mark.parametrize("step", ["plan", "develop", "ballot"])
async def test_a_parked_step_takes_nothing_of_a_deadline_and_goes_on_in_a_new_epoch(
    environment: WorkflowEnvironment, step: str
) -> None:
    world = World()
    world.spent = step
    async with started(environment, world) as handle:
        await environment.sleep(timedelta(days=3))
        assert world.parked
        assert {(letter.kind, letter.cause) for letter in world.parked} == {("budget", "BudgetExhausted")}
        world.letter = LetterDecision(state="redriven", actor="ann", route=("openai:other",))
        for workflow_id in {letter.workflow_id for letter in world.parked}:
            await environment.client.get_workflow_handle(workflow_id).signal("dead_letter_decided")
        assert await handle.result() == "accepted"
    again = [ask for ask in world.asked if ask.ref.epoch == 2]
    assert {(ask.ref.step, ask.route) for ask in again} == {
        (letter.ref.step, ("openai:other",)) for letter in world.parked
    }
    first = {ask.ref.step: ask for ask in world.asked if ask.ref.epoch == 1}
    assert all(ask.model_copy(update={"ref": first[ask.ref.step].ref, "route": None}) == first[ask.ref.step]
               for ask in again)  # fmt: skip


async def test_a_redriven_task_that_cannot_be_admitted_again_is_parked_again(environment: WorkflowEnvironment) -> None:
    world = World()
    world.spent, world.unpriced = "plan", 1
    async with started(environment, world) as handle:
        await until(lambda: bool(world.yielded))
        world.letter = LetterDecision(state="redriven", actor="ann")
        await handle.signal("dead_letter_decided")
        assert await handle.result() == "accepted"
    assert [letter.kind for letter in world.parked] == ["budget", "price"]


async def test_a_redrive_at_a_pace_begins_when_its_turn_comes(environment: WorkflowEnvironment) -> None:
    world = World()
    world.spent = "plan"
    world.letter = LetterDecision(state="redriven", begin_in_seconds=3_600)
    async with started(environment, world) as handle:
        assert await handle.result() == "accepted"
    described = await handle.describe()
    assert described.close_time is not None
    assert described.close_time - described.start_time > timedelta(minutes=59)


@pytest.mark.parametrize("step", ["plan", "ballot"])
async def test_a_discarded_step_fails_its_task_with_the_reason(environment: WorkflowEnvironment, step: str) -> None:
    world = World()
    world.spent = step
    world.letter = LetterDecision(state="discarded", actor="ann")
    async with started(environment, world) as handle:
        assert await handle.result() == "failed"
    assert world.finished[0].reason is not None
    assert "was discarded by ann; it had failed with BudgetExhausted" in world.finished[0].reason
