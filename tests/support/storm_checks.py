"""What must be true of a stack's books whatever happened to its parts. Each check tells what is wrong; none is good."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from schema.messages.task import FINAL_STATES
from tests.support.storm_books import Books, CallRow, EntryRow, TaskRow

FINAL = {state.value for state in FINAL_STATES}
ENDS = {"settle", "uncertain", "release", "expire"}
COLUMNS = ("held_tokens", "held_micro_usd", "spent_tokens", "spent_micro_usd")

Row = TypeVar("Row")
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Promised:
    """What clients were told, and what was seen from outside.

    Attributes:
        accepted: the task of each (tenant, Idempotency-Key) that was answered with 202.
        again: the same, asked a second time at the end.
        asked: requests that the scripted provider saw, by task and whether it was a vote.
        scripted: its name in the ledger.
    """

    accepted: Mapping[tuple[str, str], UUID] = field(default_factory=dict)
    again: Mapping[tuple[str, str], UUID] = field(default_factory=dict)
    asked: Mapping[tuple[UUID, bool], int] = field(default_factory=dict)
    scripted: str = "openai:scripted"


def findings(books: Books, promised: Promised) -> list[str]:
    """Everything that is wrong."""
    checks = (
        *(lost_tasks(books, promised), doubled_tasks(books, promised), unsettled_tasks(books)),
        *(broken_stories(books), repeated_steps(books), repeated_calls(books), unbooked_calls(books, promised)),
        *(doubled_charges(books), wrong_sums(books), wrong_accounts(books), left_holds(books), stray_letters(books)),
    )
    return [finding for check in checks for finding in check]


def lost_tasks(books: Books, promised: Promised) -> Iterator[str]:
    """What was accepted is there, with its tenant."""
    found = {task.task_id: task.tenant for task in books.tasks}
    for (tenant, key), task_id in promised.accepted.items():
        if found.get(task_id) != tenant:
            yield f"lost: {task_id} of {tenant}, accepted under {key}"


def doubled_tasks(books: Books, promised: Promised) -> Iterator[str]:
    """One key is one task, for ever, and no task is nobody's."""
    keys = {(row.tenant, row.key): row.task_id for row in books.keys}
    for place, task_id in promised.accepted.items():
        for told, other in (("its row says", keys.get(place)), ("asked again it is", promised.again.get(place))):
            if other != task_id:
                yield f"doubled: {place[1]} of {place[0]} is {task_id}, {told} {other}"
    for task_id, count in Counter(promised.accepted.values()).items():
        if count > 1:
            yield f"doubled: {task_id} stands for {count} keys"
    for task in {task.task_id for task in books.tasks} - set(promised.accepted.values()):
        yield f"doubled: {task} was accepted from nobody"


def unsettled_tasks(books: Books) -> Iterator[str]:
    """Each is final, or parked with a reason and a letter that somebody can decide; and nothing of it goes on."""
    waiting = {letter.task_id for letter in books.letters if letter.state == "open"}
    running = grouped((step for step in books.steps if step.state == "running"), lambda step: step.task_id)
    for task in books.tasks:
        if task.state in FINAL:
            if task.result is None:
                yield f"unsettled: {task.task_id} is {task.state} without a result"
        elif not (task.state == "parked" and task.told and task.task_id in waiting):
            yield f"unsettled: {task.task_id} is {task.state}, reason {task.told}, letter {task.task_id in waiting}"
        for step in running[task.task_id]:
            yield f"unsettled: {task.task_id} is {task.state}, and its step {step.step} runs"


def broken_stories(books: Books) -> Iterator[str]:
    """Events count from 1 without gaps, and one verdict is the last of a task that has ended."""
    events = grouped(books.events, lambda event: event.task_id)
    for task in books.tasks:
        told = sorted(events[task.task_id], key=lambda event: event.sequence)
        if [event.sequence for event in told] != list(range(1, task.event_sequence + 1)):
            yield f"story: {task.task_id} has events {[event.sequence for event in told]} of {task.event_sequence}"
        verdicts = [event.sequence for event in told if event.event == "verdict"]
        if verdicts != ([task.event_sequence] if task.state in FINAL else []):
            yield f"story: {task.task_id} is {task.state} after {len(told)} events with verdicts at {verdicts}"


def repeated_steps(books: Books) -> Iterator[str]:
    """A step is done once, and begins again only where its letter was redriven."""
    redriven = {(row.task_id, row.step, row.epoch) for row in books.letters if row.state == "redriven"}
    for (task_id, step), rows in grouped(books.steps, lambda row: (row.task_id, row.step)).items():
        done = [row.epoch for row in rows if row.state == "done"]
        if len(done) > 1 or (done and max(row.epoch for row in rows) > done[0]):
            yield f"repeated: {step} of {task_id} is done in {done} and has {len(rows)} epochs"
        for row in rows:
            if row.epoch > 1 and (task_id, step, row.epoch - 1) not in redriven:
                yield f"repeated: {step} of {task_id} has epoch {row.epoch}, and nobody redrove the one before"


def repeated_calls(books: Books) -> Iterator[str]:
    """Nothing is asked after the answer: no call goes out when its step is done, and one answer is of use."""
    done = {(row.task_id, row.step): row.ended or 0.0 for row in books.steps if row.state == "done"}
    for call in books.calls:
        if call.sent > done.get((call.task_id, call.step), float("inf")):
            yield f"repeated: {_name(call)} went out after its step was done"
    for (task_id, step), rows in grouped(books.calls, lambda row: (row.task_id, row.step)).items():
        valid = [(row.epoch, row.ask, row.dispatch) for row in rows if row.valid]
        if len(valid) > 1:
            yield f"repeated: {step} of {task_id} has valid answers in {valid}"


def unbooked_calls(books: Books, promised: Promised) -> Iterator[str]:
    """Nothing reached the provider that was not booked before."""
    mine = (call for call in books.calls if call.model == promised.scripted)
    booked = Counter((call.task_id, call.step.startswith("ballot/")) for call in mine)
    for (task_id, voting), count in promised.asked.items():
        if count > booked[task_id, voting]:
            yield f"unbooked: {count} requests for {task_id} (voting {voting}), {booked[task_id, voting]} in the ledger"


def doubled_charges(books: Books) -> Iterator[str]:
    """A call is reserved once, sent once, and ends once."""
    kinds = grouped((row for row in books.entries if row.account == "task"), _call_of)
    for call in books.calls:
        counts = Counter(entry.kind for entry in kinds.pop(_call_of(call), []))
        ends = sum(counts[kind] for kind in ENDS)
        if (counts["reserve"], counts["sent"], ends) != (1, 1, int(call.state != "sent")):
            yield f"charged: {_name(call)} is {call.state} with entries {dict(counts)}"
    for entries in kinds.values():
        yield f"charged: {len(entries)} entries of {_name(entries[0])}, which is no call"


def wrong_sums(books: Books) -> Iterator[str]:
    """What a task spent is what its calls cost, and what its entries say."""
    calls = grouped(books.calls, lambda call: call.task_id)
    entries = grouped((row for row in books.entries if row.account == "task"), lambda row: row.task_id)
    for task in books.tasks:
        costs = [_cost(call) for call in calls[task.task_id]]
        by_calls = tuple(sum(cost[place] for cost in costs) for place in range(4))
        by_entries = _totals(entries[task.task_id])
        if not by_calls == by_entries == _totals([task]):
            yield f"sums: {task.task_id} has {_totals([task])}, its calls {by_calls}, its entries {by_entries}"
        if task.spent_tokens > task.budget_tokens:
            yield f"sums: {task.task_id} spent {task.spent_tokens} of {task.budget_tokens}"


def wrong_accounts(books: Books) -> Iterator[str]:
    """A tenant has spent what its tasks were charged, and holds what those need that have a slot."""
    of_tenant = grouped(books.tasks, lambda task: task.tenant)
    entries = grouped((row for row in books.entries if row.account == "tenant"), lambda row: row.tenant)
    for account in books.accounts:
        tasks = of_tenant[account.tenant]
        open_ones = [task for task in tasks if task.admitted]
        expected = (
            sum(task.budget_tokens for task in open_ones),
            sum(task.budget_micro_usd or 0 for task in open_ones),
            sum(task.charged_tokens for task in tasks),
            sum(task.charged_micro_usd for task in tasks),
        )
        if not expected == _totals(entries[account.tenant]) == _totals([account]):
            told = f"its tasks {expected}, its entries {_totals(entries[account.tenant])}"
            yield f"sums: {account.tenant} has {_totals([account])}, {told}"
        if account.slots_used != len(open_ones):
            yield f"sums: {account.tenant} has {account.slots_used} slots taken, {len(open_ones)} tasks have one"


def left_holds(books: Books) -> Iterator[str]:
    """A task that has ended or is parked holds nothing, has no slot, and its tenant knows all that it spent."""
    for task in books.tasks:
        if task.state not in FINAL and task.state != "parked":
            continue
        if task.admitted or task.held_tokens or task.held_micro_usd:
            yield f"held: {task.task_id} is {task.state} with {task.held_tokens} tokens, slot {task.admitted}"
        if (task.spent_tokens, task.spent_micro_usd) != (task.charged_tokens, task.charged_micro_usd):
            yield f"held: {task.task_id} is {task.state}, spent {task.spent_tokens}, charged {task.charged_tokens}"


def stray_letters(books: Books) -> Iterator[str]:
    """Only what is parked waits for a decision."""
    states = {task.task_id: task.state for task in books.tasks}
    for letter in books.letters:
        if letter.state == "open" and states.get(letter.task_id) != "parked":
            yield f"letter: {letter.step} of {letter.task_id} is open, and the task {states.get(letter.task_id)}"


def grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> defaultdict[Key, list[Row]]:
    """Rows by what they have in common."""
    groups: defaultdict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _cost(call: CallRow) -> tuple[int, int, int, int]:
    """What a call holds and costs: an end that nobody knows costs what was held."""
    reserved = (call.reserved_tokens, call.reserved_micro_usd)
    if call.state == "sent":
        return (*reserved, 0, 0)
    return (0, 0, *(reserved if call.state == "uncertain" else (call.used_tokens, call.used_micro_usd)))


def _totals(rows: Iterable[object]) -> tuple[int, ...]:
    listed = list(rows)
    return tuple(sum(getattr(row, name) for row in listed) for name in COLUMNS)


def _call_of(row: CallRow | EntryRow) -> tuple[UUID, str, int, int, int]:
    return row.task_id, row.step, row.epoch, row.ask, row.dispatch


def _name(row: CallRow | EntryRow) -> str:
    return f"{row.step} of {row.task_id} (epoch {row.epoch}, ask {row.ask}, dispatch {row.dispatch})"


def count_states(tasks: Iterable[TaskRow]) -> Counter[str]:
    """Tasks by state."""
    return Counter(task.state for task in tasks)
