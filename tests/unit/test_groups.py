"""Many small writes are done as few, each caller gets its own result, and nobody waits for ever."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway import groups
from gateway.groups import Groups
from gateway.problems import Problem


class Work:
    """Doubles numbers, once it may."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.begun = asyncio.Event()
        self.may = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.groups.append(list(items))
        self.begun.set()
        await self.may.wait()
        if 13 in items:
            raise LookupError
        return [2 * item for item in items]


async def test_what_comes_while_one_is_under_way_goes_together_with_the_next() -> None:
    work = Work()
    made = Groups(work)
    asked = [asyncio.create_task(made.do(number)) for number in range(5)]
    await work.begun.wait()
    late = [asyncio.create_task(made.do(number)) for number in range(5, 8)]
    await asyncio.sleep(0)
    work.may.set()

    assert await asyncio.gather(*asked, *late) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert work.groups == [[0, 1, 2, 3, 4], [5, 6, 7]]


async def test_a_failure_is_that_of_its_group_only() -> None:
    work = Work()
    made = Groups(work)
    failing = asyncio.create_task(made.do(13))
    await work.begun.wait()
    fine = asyncio.create_task(made.do(1))
    await asyncio.sleep(0)
    work.may.set()

    with pytest.raises(LookupError):
        await failing
    assert await fine == 2


async def test_who_stops_waiting_takes_nothing_from_the_others() -> None:
    work = Work()
    made = Groups(work)
    asked = [asyncio.create_task(made.do(number)) for number in range(3)]
    await work.begun.wait()
    asked[1].cancel()
    work.may.set()

    assert (await asked[0], await asked[2]) == (0, 4)
    assert asked[1].cancelled()


async def test_when_too_many_wait_the_next_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "PENDING", 2)
    work = Work()
    made = Groups(work)
    under_way = asyncio.create_task(made.do(1))
    await work.begun.wait()
    waiting = [asyncio.create_task(made.do(number)) for number in (2, 3)]
    await asyncio.sleep(0)

    with pytest.raises(Problem, match="overloaded"):
        await made.do(4)
    work.may.set()
    assert await asyncio.gather(under_way, *waiting) == [2, 4, 6]


async def test_work_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SECONDS", 0)

    with pytest.raises(Problem, match="overloaded"):
        await Groups(Work()).do(1)


async def test_at_the_end_what_was_asked_for_is_finished() -> None:
    work = Work()
    made = Groups(work)
    asked = asyncio.create_task(made.do(1))
    await work.begun.wait()
    work.may.set()
    await made.close()

    assert asked.done() or await asked == 2
