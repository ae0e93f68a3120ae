"""`ConsensusRound`: one vote on one candidate, blind in its first round."""

import asyncio
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.llm import LlmActivities
    from activities.votes import VoteActivities
    from schema.messages.consensus import (
        CastBallot,
        ConsensusInput,
        ConsensusResult,
        ReadRecordsInput,
        RecordVoteInput,
        StoreObjectionsInput,
    )
    from schema.messages.steps import AgentTaskInput, AskRoleInput
    from schema.messages.task import TaskState
    from schema.messages.vote import Explanation, Voter, VoterRecord

from workflows.ballots import BallotBox, wait_for_late
from workflows.kinds import MODEL, RECORD
from workflows.parking import Standing, StepDiscarded, Steps, if_unpaid
from workflows.steps import StepFailed, durable_step
from workflows.tally import ballots_of, surviving_objections, tally

BY_THE_CLOCK = "a-round-ends-by-its-clock"
"""Since then records are read first, the deadline is the round's and not each ballot's, and late ballots are kept."""


@workflow.defn(name="ConsensusRound")
class ConsensusRound:
    """Asks the voters in parallel, counts, and asks once more where the first round did not decide."""

    @workflow.init
    def __init__(self, vote: ConsensusInput) -> None:
        self._vote = vote
        self._task = AgentTaskInput(task_id=vote.task_id, tenant=vote.tenant)
        self._records = vote.records
        self._steps = Steps(self._task, self._tell_task)
        self._boxes: list[BallotBox] = []
        self._by_the_clock = False

    @workflow.run
    async def run(self, vote: ConsensusInput) -> ConsensusResult:
        self._by_the_clock = workflow.patched(BY_THE_CLOCK)
        if self._by_the_clock and not vote.records:
            self._records = await self._read_records()
        workflow.set_current_details("Round 1: the voters judge, each without the others' ballots.")
        rounds = [self._count(await self._ballots(1, None))]
        if rounds[0].outcome == "undecided" and vote.policy.rounds > 1:
            rounds.append(await self._second_round(rounds[0]))
        return await self._record(rounds)

    @workflow.signal(name="dead_letter_decided")
    def dead_letter_decided(self) -> None:
        """A decision on a parked ballot may be there: the row says, not the Signal."""
        for steps in (self._steps, *(box.steps for box in self._boxes)):
            steps.wake()

    async def _tell_task(self, standing: Standing) -> None:
        """The task's deadline and state go by whether its vote waits."""
        parent = workflow.info().parent
        if parent is not None:
            task = workflow.get_external_workflow_handle(parent.workflow_id)
            await task.signal("vote_stands", standing)

    async def _read_records(self) -> tuple[VoterRecord, ...]:
        asked = ReadRecordsInput(tenant=self._vote.tenant)
        read = await durable_step(
            RECORD, VoteActivities.read_voter_records, asked, step="read-records", summary="how the voters did before"
        )
        return read.records

    async def _second_round(self, first: Explanation) -> Explanation:
        """The voters see the objections of round 1, without names."""
        workflow.set_current_details("Round 2: round 1 did not decide; the voters see its objections.")
        objections = StoreObjectionsInput(
            ref=self._steps.ref(f"objections/{self._vote.number}"), lines=surviving_objections(first)
        )
        stored = await durable_step(
            RECORD, VoteActivities.store_objections, objections, step="objections", summary="store the objections"
        )
        return self._count(await self._ballots(2, stored.text), first)

    def _count(self, ballots: list[CastBallot], first: Explanation | None = None) -> Explanation:
        policy, evidence = self._vote.policy, self._vote.evidence
        return tally(
            policy,
            evidence,
            ballots,
            number=1 if first is None else 2,
            round_one=None if first is None else first.outcome,
            records=self._records,
        )

    async def _ballots(self, number: int, objections: str | None) -> list[CastBallot]:
        voters = [voter for voter, weight in self._vote.policy.voters.items() if weight > 0]
        if not self._by_the_clock:
            within = timedelta(seconds=self._vote.policy.deadline_seconds)
            asked = (self._ballot(voter, number, objections, self._steps, within=within) for voter in voters)
            return list(await asyncio.gather(*asked))

        async def tell(standing: Standing) -> None:
            if not box.counted:
                await self._tell_task(standing)

        async def ask(voter: Voter) -> CastBallot:
            return await self._ballot(voter, number, objections, box.steps, box=box)

        box = BallotBox(number, Steps(self._task, tell))
        self._boxes.append(box)
        return await box.collect(voters, ask, self._vote.policy.deadline_seconds)

    async def _ballot(
        self,
        voter: Voter,
        number: int,
        objections: str | None,
        steps: Steps,
        *,
        box: BallotBox | None = None,
        within: timedelta | None = None,
    ) -> CastBallot:
        """A voter that fails, is late or answers nonsense is absent: never a yes."""
        step = f"ballot/{voter}/{number}"
        question = AskRoleInput(
            ref=steps.ref(step),
            state=TaskState.VOTING,
            role=voter,
            variant=number - 1,
            plan=self._vote.plan,
            candidate=self._vote.candidate,
            report=self._vote.report,
            objections=objections,
            evidence=self._vote.evidence,
        )
        try:
            answer = await steps.run(
                MODEL,
                LlmActivities.ask_role,
                question,
                step=step,
                summary=f"{voter}, round {number}",
                # After the count nobody needs it any more.
                parks=lambda error: if_unpaid(error) and not (box is not None and box.counted),
                within=within,
            )
        except StepDiscarded:
            raise
        except StepFailed:
            return CastBallot(voter=voter, ballot=None)
        return CastBallot(voter=voter, ballot=answer.ballot)

    async def _record(self, rounds: list[Explanation]) -> ConsensusResult:
        """Write down the last round's explanation, and the ballots of every round, late ones too."""
        workflow.set_current_details(rounds[-1].summary)
        late = await wait_for_late(self._boxes)
        explanation = rounds[-1].model_copy(update={"late": tuple(late)})
        record = RecordVoteInput(
            ref=self._steps.ref(f"vote/{self._vote.number}"),
            explanation=explanation,
            number=self._vote.number,
            began=workflow.info().workflow_start_time,
            ballots=tuple(ballot for each in rounds for ballot in ballots_of(each, late)),
        )
        stored = await durable_step(
            RECORD, VoteActivities.record_vote, record, step="record-vote", summary="store the explanation"
        )
        # Of a vote that was held again, as after a reset, what is on record counts.
        told = stored if stored.outcome is not None else explanation
        return ConsensusResult(
            outcome=told.outcome or explanation.outcome,
            explanation=stored.text,
            summary=told.summary,
            question=told.question,
        )
