"""The checks of the storm can fail: books that are good pass them, and each way to spoil the books is found."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from tests.support.storm_books import (
    AccountRow,
    Books,
    CallRow,
    EntryRow,
    EventRow,
    KeyRow,
    LetterRow,
    StepRow,
    TaskRow,
)
from tests.support.storm_checks import Promised, findings

DONE, PARKED, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
Spoil = Callable[[Books], Books]


def task(task_id: UUID, state: str, **values: Any) -> TaskRow:
    usual = {
        "told": True, "admitted": False, "event_sequence": 3, "budget_tokens": 5_000, "budget_micro_usd": None,
        "held_tokens": 0, "held_micro_usd": 0, "spent_tokens": 1_120, "spent_micro_usd": 2_240,
        "charged_tokens": 1_120, "charged_micro_usd": 2_240, "result": None,
    }  # fmt: skip
    return TaskRow(**{"task_id": task_id, "tenant": "north", "state": state, **usual, **values})


def call(task_id: UUID, dispatch: int, state: str, *, valid: bool) -> CallRow:
    used = 120 if state == "settled" else 0
    return CallRow(
        *(task_id, "plan", 1, 1, dispatch, "openai:scripted", state),
        *(1_000, 2_000, used, 2 * used, valid, float(dispatch)),
    )


def entry(task_id: UUID, account: str, kind: str, held: int, spent: int, dispatch: int = 0) -> EntryRow:
    place = ("plan", 1, 1, dispatch) if account == "task" else ("", 0, 0, dispatch)
    usd = 2 if account == "task" or kind == "close" else 0
    return EntryRow(task_id, "north", account, *place, kind, held, usd * held if dispatch else 0, spent, usd * spent)


def entries(task_id: UUID) -> tuple[EntryRow, ...]:
    """Of a task that was admitted, sent two calls, of which the first was never answered, and gave back its slot."""
    return (
        entry(task_id, "tenant", "admit", 5_000, 0),
        *(entry(task_id, "task", kind, held, 0, n) for n in (1, 2) for kind, held in (("reserve", 1_000), ("sent", 0))),
        entry(task_id, "task", "uncertain", -1_000, 1_000, 1),
        entry(task_id, "task", "settle", -1_000, 120, 2),
        entry(task_id, "tenant", "close", -5_000, 1_120),
    )


def good_books() -> Books:
    """One task that ended, and one that is parked."""
    return Books(
        tasks=(task(DONE, "accepted", result="text"), task(PARKED, "parked")),
        events=tuple(
            EventRow(task_id, number, "verdict" if (task_id, number) == (DONE, 3) else "step")
            for task_id in (DONE, PARKED)
            for number in (1, 2, 3)
        ),
        steps=(StepRow(DONE, "plan", 1, "done", 3.0), StepRow(PARKED, "plan", 1, "parked", 3.0)),
        calls=tuple(
            call(task_id, dispatch, state, valid=(task_id, dispatch) == (DONE, 2))
            for task_id in (DONE, PARKED)
            for dispatch, state in ((1, "uncertain"), (2, "settled"))
        ),
        entries=(*entries(DONE), *entries(PARKED)),
        letters=(LetterRow(PARKED, "plan", 1, "open", "model"),),
        accounts=(AccountRow("north", 0, 0, 0, 2_240, 4_480),),
        keys=(KeyRow("north", "one", DONE), KeyRow("north", "two", PARKED)),
    )


ACCEPTED = {("north", "one"): DONE, ("north", "two"): PARKED}
PROMISED = Promised(ACCEPTED, ACCEPTED, {(DONE, False): 2, (PARKED, False): 1})


def with_task(task_id: UUID, **values: Any) -> Spoil:
    return lambda books: replace(
        books, tasks=tuple(replace(row, **values) if row.task_id == task_id else row for row in books.tasks)
    )


def without(table: str, place: int) -> Spoil:
    def spoil(books: Books) -> Books:
        rows = list(getattr(books, table))
        del rows[place]
        return replace(books, **{table: tuple(rows)})

    return spoil


def more(table: str, row: Any) -> Spoil:
    return lambda books: replace(books, **{table: (*getattr(books, table), row)})


def test_good_books_pass() -> None:
    assert findings(good_books(), PROMISED) == []


SPOILT: dict[str, tuple[str, Spoil]] = {
    "a task that was accepted is not there": ("lost", without("tasks", 0)),
    "a task is another tenant's": ("lost", with_task(DONE, tenant="south")),
    "a key stands for another task": ("doubled", lambda books: replace(books, keys=(KeyRow("north", "one", OTHER),))),
    "a key made a second task": ("doubled", more("tasks", task(OTHER, "accepted", result="text"))),
    "a task stands still": ("unsettled", with_task(DONE, state="developing")),
    "a task is parked without a letter": ("unsettled", without("letters", 0)),
    "a task is parked without a reason": ("unsettled", with_task(PARKED, told=False)),
    "a task ended without a result": ("unsettled", with_task(DONE, result=None)),
    "a step of a task that ended runs": ("unsettled", more("steps", StepRow(DONE, "prove/1", 1, "running", None))),
    "an event is missing": ("story", without("events", 1)),
    "an event is there twice": ("story", more("events", EventRow(DONE, 2, "step"))),
    "a verdict was told twice": ("story", lambda books: more("events", EventRow(DONE, 4, "verdict"))(
        with_task(DONE, event_sequence=4)(books))),
    "what is parked has a verdict": ("story", lambda books: more("events", EventRow(PARKED, 4, "verdict"))(
        with_task(PARKED, event_sequence=4)(books))),
    "a step was done twice": ("repeated", more("steps", StepRow(DONE, "plan", 2, "done", 4.0))),
    "a step began again by itself": ("repeated", more("steps", StepRow(PARKED, "plan", 2, "failed", 4.0))),
    "a call went out after its step was done": ("repeated", more(
        "calls", replace(call(DONE, 3, "settled", valid=False), sent=3.5))),
    "a step was answered twice": ("repeated", more("calls", call(DONE, 3, "settled", valid=True))),
    "a call has no entries": ("charged", without("entries", 3)),
    "a call was settled twice": ("charged", more("entries", entry(DONE, "task", "settle", 0, 120, 2))),
    "a call was settled, and charged as uncertain": (
        "charged", more("entries", entry(DONE, "task", "expire", 0, 1_000, 2))),
    "an entry is of no call": ("charged", more("entries", entry(DONE, "task", "settle", 0, 0, 7))),
    "a task spent more than its calls": ("sums", with_task(DONE, spent_tokens=1_121)),
    "a task spent more than it may": ("sums", with_task(DONE, budget_tokens=1_000)),
    "an account spent more than its tasks": (
        "sums", lambda books: replace(books, accounts=(AccountRow("north", 0, 0, 0, 2_241, 4_480),))),
    "a slot was not given back": (
        "sums", lambda books: replace(books, accounts=(AccountRow("north", 1, 0, 0, 2_240, 4_480),))),
    "a task that ended holds tokens": ("held", with_task(DONE, held_tokens=1_000)),
    "a task that ended has its slot": ("held", with_task(DONE, admitted=True)),
    "a task that is parked has its slot": ("held", with_task(PARKED, admitted=True)),
    "a tenant was not told what a task spent": ("held", with_task(DONE, charged_tokens=0)),
    "a letter of a task that ended is open": ("letter", more("letters", LetterRow(DONE, "plan", 1, "open", "model"))),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_books_in_which(name: str) -> None:
    kind, spoil = SPOILT[name]
    found = findings(spoil(good_books()), PROMISED)
    assert [told for told in found if told.startswith(f"{kind}: ")], found


def test_a_request_that_nobody_booked_is_found() -> None:
    (found,) = findings(good_books(), replace(PROMISED, asked={(DONE, False): 3}))
    assert found.startswith("unbooked: ")


def test_a_key_that_is_another_task_when_it_is_asked_again_is_found() -> None:
    (found,) = findings(good_books(), replace(PROMISED, again={**ACCEPTED, ("north", "one"): OTHER}))
    assert found.startswith("doubled: ")


def test_two_keys_that_were_told_the_same_task_are_found() -> None:
    promised = replace(PROMISED, accepted={**ACCEPTED, ("north", "two"): DONE})
    assert any("stands for 2 keys" in told for told in findings(good_books(), promised))
