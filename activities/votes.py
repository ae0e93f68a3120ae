"""What a vote reads and writes: the voters' records before it, its objections between rounds, its ballots after it."""

from typing import TYPE_CHECKING

from temporalio import activity

from activities.meters import observe
from schema import metrics
from schema.messages.consensus import (
    ReadRecordsInput,
    RecordedVote,
    RecordVoteInput,
    StoreObjectionsInput,
    VoterRecords,
)
from schema.messages.steps import StoredText
from schema.messages.task import TaskState

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from activities.store import TaskStore


class VoteActivities:
    """The book of record, as votes read and write it."""

    def __init__(self, store: "TaskStore") -> None:
        self._store = store

    @activity.defn(name="read_voter_records")
    async def read_voter_records(self, asked: ReadRecordsInput) -> VoterRecords:
        """How the tenant's voters did in the votes before."""
        from schema.truths import read_records

        async with self._store.database.tenant(asked.tenant) as connection:
            return VoterRecords(records=await read_records(connection, asked.tenant))

    @activity.defn(name="store_objections")
    async def store_objections(self, objections: StoreObjectionsInput) -> StoredText:
        """Store what the first round held against the candidate, for the second."""
        from schema.texts import digest_of

        done = await self._store.begin_step(objections.ref, TaskState.VOTING)
        if done is not None:
            return StoredText.model_validate(done)
        body = "\n".join(objections.lines)
        stored = StoredText(text=digest_of(body))
        await self._store.finish_step(objections.ref, stored, texts=[body])
        return stored

    @activity.defn(name="record_vote")
    async def record_vote(self, vote: RecordVoteInput) -> RecordedVote:
        """Store the explanation of a vote and the ballots of all its rounds, in one transaction.

        Returns what is on record: of a vote that was held again, as after a reset, what it came to first.
        """
        from schema.texts import digest_of

        done = await self._store.begin_step(vote.ref, TaskState.VOTING)
        if done is not None:
            return RecordedVote.model_validate(done)
        explained = vote.explanation
        body = explained.model_dump_json()
        recorded = RecordedVote(
            text=digest_of(body), outcome=explained.outcome, summary=explained.summary, question=explained.question
        )
        async with self._store.database.tenant(vote.ref.tenant) as connection:
            first = await _write(connection, vote, body, recorded)
        if first is None and vote.began is not None:
            # Both by Temporal's clock.
            took = (activity.info().started_time - vote.began).total_seconds()
            observe(metrics.CONSENSUS_SECONDS, took, explained.outcome)
        return recorded if first is None else RecordedVote.model_validate(first)


async def _write(
    connection: "AsyncConnection", vote: RecordVoteInput, body: str, recorded: RecordedVote
) -> dict[str, object] | None:
    """Returns what another attempt has stored before, and then nothing changes."""
    from sqlalchemy import insert, select

    from activities.store import close_step, is_step
    from schema.tables import ballots, task_steps
    from schema.texts import put_text

    ref = vote.ref
    await put_text(connection, ref.tenant, body, ref.task_id)
    if not await close_step(connection, ref, "done", "", recorded.model_dump(mode="json")):
        stored: dict[str, object] | None = await connection.scalar(
            select(task_steps.c.result).where(is_step(ref), task_steps.c.state == "done")
        )
        return stored
    about = {"task_id": ref.task_id, "vote": vote.number, "tenant": ref.tenant}
    if vote.ballots:
        await connection.execute(insert(ballots), [{**about, **ballot.model_dump()} for ballot in vote.ballots])
    return None
