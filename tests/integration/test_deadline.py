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
from schema.errors import BudgetExhausted, ModelUnavailable, NotAdmitted, NotYet, PriceUnknown, RouteClosed
from schema.messages.steps import (
    Admission,
    AgentTaskInput,
    AskRoleInput,
    AskRoleResult,
    ConsensusInput,
    EscalateInput,
    FinishInput,
    HumanDecision,
    LetterDecision,
    ParkInput,
    Proof,
    ProveInput,
    ReadDecisionInput,
    ReadRecordsInput,
    RecordedVote,
    RecordVoteInput,
    StepRef,
    StoredText,
    StoreObjectionsInput,
    VoterRecords,
)
from schema.messages.vote import Ballot, Choice, Evidence, Explanation, VotePolicy
from tests.support.histories import record
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
        self.slow: dict[str, int] = {}
        self.recorded: list[RecordVoteInput] = []
        self.first: RecordedVote | None = None
        self.kept_as = ""
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
        slow = self.slow.get(ask.ref.step, 0)
        if activity.info().attempt <= slow:
            # Time is only skipped while nothing runs.
            raise ModelUnavailable("slow", retry_after=60)
        ballot = Ballot(choice=self.choice, confidence=1, rationale="", evidence=("tests",)) if ask.evidence else None
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
    async def record_vote(self, vote: RecordVoteInput) -> RecordedVote:
        self.recorded.append(vote)
        return self.first or RecordedVote(text=TEXT)

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


def vote_of(**policy: Any) -> ConsensusInput:
    """A vote by itself on a candidate that passed its one test."""
    return ConsensusInput(
        task_id=TASK.task_id, tenant=TASK.tenant, number=1, policy=VotePolicy(**policy),
        evidence=Evidence(tests_passed=1, tests_failed=0), candidate=TEXT, report=TEXT,
    )  # fmt: skip


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


async def hold(environment: WorkflowEnvironment, world: World, vote: ConsensusInput) -> Explanation:
    """The explanation of a vote that was held in a world."""
    async with Worker(
        environment.client,
        task_queue=PEER_HUB_QUEUE,
        workflows=[ConsensusRound],
        activities=world.activities,
        interceptors=[FailureInterceptor()],
    ):
        handle = await environment.client.start_workflow(
            ConsensusRound.run, vote, id=f"vote/{uuid4()}", task_queue=PEER_HUB_QUEUE
        )
        # Only this skips time.
        await handle.result()
        if world.kept_as:
            await record(environment.client, handle.id, world.kept_as)
    return world.recorded[-1].explanation


def rows_of(world: World, voter: str) -> list[tuple[int, str, bool]]:
    return [(row.round, row.choice, row.late) for row in world.recorded[-1].ballots if row.voter == voter]


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


async def test_a_ballot_that_comes_a_second_after_the_count_is_kept_and_counts_for_nothing(
    environment: WorkflowEnvironment,
) -> None:
    world = World()
    world.slow = {"ballot/security/1": 1}
    explanation = await hold(environment, world, vote_of(deadline_seconds=59))
    choices = {account.role: (account.choice, account.effective_weight) for account in explanation.voters}
    assert choices["security"] == ("absent", 0)
    assert choices["reviewer"] == ("approve", 3000)
    assert [(late.voter, late.choice, late.round) for late in explanation.late] == [("security", "approve", 1)]
    assert rows_of(world, "security") == [(1, "approve", True)]
    assert len(world.recorded[-1].ballots) == 4


async def test_a_ballot_that_comes_a_second_before_the_deadline_counts(environment: WorkflowEnvironment) -> None:
    world = World()
    world.slow = {"ballot/security/1": 1}
    explanation = await hold(environment, world, vote_of(deadline_seconds=61))
    assert [account.choice for account in explanation.voters] == ["approve"] * 4
    assert explanation.late == ()


async def test_a_ballot_that_never_comes_holds_nothing_up_and_is_ended(environment: WorkflowEnvironment) -> None:
    world = World()
    world.slow = {"ballot/security/1": 4}
    explanation = await hold(environment, world, vote_of(deadline_seconds=30))
    assert explanation.outcome == "approved"
    assert explanation.late == ()
    assert rows_of(world, "security") == [(1, "absent", False)]
    assert [ask.ref.step for ask in world.asked].count("ballot/security/1") == 1


async def test_a_ballot_of_round_1_that_comes_in_round_2_is_late_and_both_are_rows(
    environment: WorkflowEnvironment,
) -> None:
    world = World(choice="abstain")
    # Round 1 ends at 50 seconds; round 2 waits until its own clock is at 50, as one of its ballots never comes.
    world.slow, world.kept_as = {"ballot/security/1": 1, "ballot/tester/2": 4}, "ConsensusRound-late"
    explanation = await hold(environment, world, vote_of(deadline_seconds=50))
    assert (explanation.round, explanation.round_one_outcome, explanation.outcome) == (2, "undecided", "undecided")
    assert [(late.voter, late.round) for late in explanation.late] == [("security", 1)]
    assert rows_of(world, "security") == [(1, "abstain", True), (2, "abstain", False)]
    assert rows_of(world, "tester") == [(1, "abstain", False), (2, "absent", False)]


async def test_what_was_recorded_of_a_vote_first_is_what_it_came_to(environment: WorkflowEnvironment) -> None:
    world = World()
    world.first = RecordedVote(text=TEXT, outcome="rejected", summary="as it was before the reset")
    async with Worker(
        environment.client, task_queue=PEER_HUB_QUEUE, workflows=[ConsensusRound], activities=world.activities
    ):
        result = await environment.client.execute_workflow(
            ConsensusRound.run, vote_of(), id=f"vote/{uuid4()}", task_queue=PEER_HUB_QUEUE
        )
    assert (result.outcome, result.summary) == ("rejected", "as it was before the reset")
