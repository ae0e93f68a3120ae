"""Tasks and votes under Temporal's time-skipping server, in a world whose activities do nothing unless told."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

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
from schema.messages.consensus import (
    ConsensusInput,
    ReadRecordsInput,
    RecordedVote,
    RecordVoteInput,
    StoreObjectionsInput,
    VoterRecords,
)
from schema.messages.letters import LetterDecision, ParkInput
from schema.messages.steps import (
    Admission,
    AgentTaskInput,
    AskRoleInput,
    AskRoleResult,
    EscalateInput,
    FinishInput,
    HumanDecision,
    Proof,
    ProveInput,
    ReadDecisionInput,
    StepRef,
    StoredText,
)
from schema.messages.vote import Ballot, Choice, Evidence, Explanation, VotePolicy
from tests.support.histories import record
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
