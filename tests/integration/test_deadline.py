"""The deadline's clock, under Temporal's time-skipping server: days go by in milliseconds."""

from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from schema.engine import PEER_HUB_QUEUE
from schema.messages.consensus import (
    RecordedVote,
)
from schema.messages.letters import LetterDecision
from tests.support.processes import until
from tests.support.world import TEXT, World, environment, hold, rows_of, started, vote_of
from workflows.consensus_round import ConsensusRound

__all__ = ["environment"]


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
