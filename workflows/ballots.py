"""One round's ballots: asked for at once, counted when all are there or time is up, kept when they come later."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from schema.messages.consensus import CastBallot
    from schema.messages.vote import LateBallot, Voter

from workflows.parking import Steps

LATE_SECONDS = 20
"""After the last count, so long is waited for ballots that are still out, to keep them. Then their calls are ended."""


class BallotBox:
    """The ballots of one round.

    Attributes:
        counted: whatever comes now is late. It is neither parked nor waited for.
    """

    def __init__(self, number: int, steps: Steps) -> None:
        self.number = number
        self.steps = steps
        self.counted = False
        self._asked: dict[Voter, asyncio.Task[CastBallot]] = {}
        self._out: dict[Voter, asyncio.Task[CastBallot]] = {}

    async def collect(
        self, voters: Sequence[Voter], ask: Callable[[Voter], Awaitable[CastBallot]], seconds: int
    ) -> list[CastBallot]:
        """Ask all at once. Whoever is not there when time is up is absent; the clock stands while a ballot is parked
        or waits for what is missing.

        Raises:
            StepDiscarded: an operator gave a parked ballot up.
        """
        self._asked = {voter: asyncio.create_task(_run(ask, voter)) for voter in voters}
        try:
            await self._until_time_is_up(timedelta(seconds=seconds))
        except asyncio.CancelledError:
            await _end(self._asked.values())
            raise
        self.counted = True
        given_up = self._given_up
        if given_up is not None:
            await _end(self._asked.values())
            raise given_up
        self._out = {voter: task for voter, task in self._asked.items() if not task.done()}
        there = {voter: task.result() for voter, task in self._asked.items() if voter not in self._out}
        return [there.get(voter, CastBallot(voter=voter, ballot=None)) for voter in self._asked]

    @property
    def still_out(self) -> bool:
        """Whether a ballot that was not counted may still come."""
        return any(not task.done() for task in self._out.values())

    async def late(self) -> list[LateBallot]:
        """The ballots that came after the count. What is still out is ended."""
        await _end(self._out.values())
        found = []
        for voter, task in self._out.items():
            if task.cancelled() or task.exception() is not None:
                continue
            ballot = task.result().ballot
            if ballot is not None:
                found.append(
                    LateBallot(voter=voter, round=self.number, choice=ballot.choice, confidence=ballot.confidence)
                )
        return found

    async def _until_time_is_up(self, left: timedelta) -> None:
        while not self._complete and left > timedelta():
            if self._stands:
                await workflow.wait_condition(lambda: self._complete or not self._stands)
                continue
            began = workflow.now()
            with suppress(TimeoutError):
                await workflow.wait_condition(lambda: self._complete or self._stands, timeout=left)
            left -= workflow.now() - began

    @property
    def _stands(self) -> bool:
        return self.steps.standing != "no"

    @property
    def _complete(self) -> bool:
        """All are there, or one says that there will be no count."""
        return self._given_up is not None or all(task.done() for task in self._asked.values())

    @property
    def _given_up(self) -> BaseException | None:
        done = (task for task in self._asked.values() if task.done() and not task.cancelled())
        return next((error for task in done if (error := task.exception()) is not None), None)


async def wait_for_late(boxes: Sequence[BallotBox]) -> list[LateBallot]:
    """The late ballots of all rounds, after a short wait for those that are still out."""
    try:
        if any(box.still_out for box in boxes):
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: not any(box.still_out for box in boxes), timeout=timedelta(seconds=LATE_SECONDS)
                )
    except asyncio.CancelledError:
        for box in boxes:
            await box.late()
        raise
    return [ballot for box in boxes for ballot in await box.late()]


async def _run(ask: Callable[[Voter], Awaitable[CastBallot]], voter: Voter) -> CastBallot:
    return await ask(voter)


async def _end(tasks: Collection[asyncio.Task[CastBallot]]) -> None:
    """Cancel, and see them end: nothing of a vote is left behind."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
