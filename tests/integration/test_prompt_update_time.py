"""`LearningApproval` of a prompt under skipped time: what it waits for, how long, and what it does then."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError
from temporalio.testing import WorkflowEnvironment

from tests.support.histories import record
from tests.support.processes import until
from tests.support.prompt_books import DAY, HOUR, PENDING, FailingEvaluation, PromptBook, seen_through, standing
from tests.support.world import environment
from workflows import prompt_update

__all__ = ["environment"]

EVALUATING = standing("evaluating")
CANARY = standing("canary", wait_seconds=60, expires_in_seconds=7 * DAY)


async def took(handle: WorkflowHandle[Any, str]) -> float:
    """Seconds from its start to its end."""
    told = await handle.describe()
    assert told.close_time is not None
    return (told.close_time - told.start_time).total_seconds()


async def passes(environment: WorkflowEnvironment, book: PromptBook, act: str) -> None:
    """Time goes on until something was done."""
    while act not in book.acts:
        await environment.sleep(timedelta(hours=1))


async def test_a_proposal_is_worded_waits_is_evaluated_decided_on_tried_and_adopted(
    environment: WorkflowEnvironment,
) -> None:
    book = PromptBook(
        standing("proposed", worded=False),
        word=[standing("proposed", worded=False), standing("proposed")],
        admit=[standing("waiting", wait_seconds=2 * HOUR, waits_for="within 2 hours of an update"), EVALUATING],
        judge=[PENDING],
        watch=[CANARY, CANARY, standing("adopted", judged=20)],
    )
    async with seen_through(environment, book) as handle:
        await passes(environment, book, "judge")
        # A Signal without a row does nothing.
        await handle.signal("approval_decided")
        await passes(environment, book, "remind")
        book.now = standing("approved", wait_seconds=60)
        await handle.signal("approval_decided")
        assert await handle.result() == "adopted"
        await record(environment.client, handle.id, "LearningApproval-prompt-adopted")

    told = [act for act in book.acts if act != "look"]
    line = ["word", "word", "admit", "admit", "evaluation 1", "judge", "remind", "watch", "watch", "watch", "close"]
    assert told == line
    assert [(ask.ref.step, ask.role, ask.variant) for ask in book.asked] == [
        ("word/1", "supervisor", 0),
        ("word/2", "supervisor", 1),
    ]


async def test_a_trial_is_looked_at_more_seldom_while_nothing_is_new_and_ends_with_the_proposal(
    environment: WorkflowEnvironment,
) -> None:
    news = CANARY.model_copy(update={"judged": 1})
    book = PromptBook(
        EVALUATING,
        judge=[standing("approved", wait_seconds=60)],
        watch=[CANARY, *[CANARY] * 7, news, standing("rolled_back", judged=1)],
    )
    async with seen_through(environment, book) as handle:
        assert await handle.result() == "rolled_back"
        await record(environment.client, handle.id, "LearningApproval-prompt-rolled-back")
    # An hour of evaluation, then pauses of 1, 2, 4 and 8 minutes, four of a quarter of an hour, and again a minute.
    assert await took(handle) == pytest.approx(HOUR + 60 * (1 + 2 + 4 + 8 + 4 * 15 + 1), abs=30)
    assert book.acts[-1] == "close"


async def test_people_are_reminded_once_and_called_once_and_silence_is_never_a_yes(
    environment: WorkflowEnvironment,
) -> None:
    later = PENDING.model_copy(update={"remind_in_seconds": None, "expires_in_seconds": 4 * DAY})
    book = PromptBook(
        PENDING,
        # The database's clock may be behind: it is looked at again, and nobody is reminded twice.
        remind=[PENDING.model_copy(update={"remind_in_seconds": 0.5, "escalate_in_seconds": 2 * DAY})],
        escalate=[later.model_copy(update={"escalate_in_seconds": None})],
        look=[PENDING],
    )
    async with seen_through(environment, book) as handle:
        await passes(environment, book, "escalate")
        book.script["look"] = [standing("expired")]
        assert await handle.result() == "expired"
    assert [act for act in book.acts if act != "look"] == ["remind", "escalate", "close"]


async def test_what_is_settled_while_it_is_evaluated_is_evaluated_no_longer(environment: WorkflowEnvironment) -> None:
    book = PromptBook(EVALUATING)
    async with seen_through(environment, book) as handle:
        await until(lambda: "evaluation 1" in book.acts)
        book.now = standing("rejected")
        await handle.signal("approval_decided")
        assert await handle.result() == "rejected"
        evaluation = environment.client.get_workflow_handle(handle.id.replace("approval/", "evaluation/") + "/1")
        with pytest.raises(WorkflowFailureError) as failure:
            await evaluation.result()
    assert isinstance(failure.value.cause, CancelledError)
    assert "judge" not in book.acts


async def test_what_was_evaluated_for_another_prompt_is_evaluated_anew_and_what_has_its_report_is_not(
    environment: WorkflowEnvironment,
) -> None:
    book = PromptBook(EVALUATING, judge=[EVALUATING, standing("evaluating", evaluated=True), standing("rejected")])
    async with seen_through(environment, book) as handle:
        assert await handle.result() == "rejected"
    assert book.acts == ["look", "evaluation 1", "judge", "evaluation 2", "judge", "judge", "close"]


async def test_an_evaluation_that_fails_is_judged_without_a_report(environment: WorkflowEnvironment) -> None:
    book = PromptBook(EVALUATING, judge=[standing("rejected")])
    async with seen_through(environment, book, FailingEvaluation) as handle:
        assert await handle.result() == "rejected"
    assert book.acts == ["look", "judge", "close"]


async def test_a_supervisor_without_words_has_three_tries(environment: WorkflowEnvironment) -> None:
    unworded = standing("proposed", worded=False)
    book = PromptBook(unworded, word=[unworded, unworded, standing("rejected")])
    book.speechless = 3
    async with seen_through(environment, book) as handle:
        assert await handle.result() == "rejected"
    fault = "the supervisor's model gave none (InvalidModelOutput)"
    told = [(each.response, each.fault, each.last) for each in book.wordings]
    assert told == [(None, fault, False), (None, fault, False), (None, fault, True)]


async def test_a_cancelled_one_gives_back_what_it_holds(environment: WorkflowEnvironment) -> None:
    book = PromptBook(PENDING)
    async with seen_through(environment, book) as handle:
        await until(lambda: "look" in book.acts)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert book.acts == ["look", "close"]


async def test_a_long_one_goes_on_in_a_new_run_where_its_row_is(
    environment: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_update, "LOOKS", 3)
    waits = standing("waiting", wait_seconds=60, waits_for="a canary is under way")
    book = PromptBook(waits, admit=[waits] * 5 + [standing("rejected")])
    async with seen_through(environment, book) as handle:
        assert await handle.result() == "rejected"
    assert book.acts == ["look", "admit", "admit"] * 3 + ["close"]
