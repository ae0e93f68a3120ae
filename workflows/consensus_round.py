"""`ConsensusRound`: one vote on one candidate, blind in its first round."""

import asyncio
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.llm import LlmActivities
    from activities.records import RecordActivities
    from schema.messages.steps import (
        AgentTaskInput,
        AskRoleInput,
        CastBallot,
        ConsensusInput,
        ConsensusResult,
        RecordVoteInput,
        StoreObjectionsInput,
    )
    from schema.messages.task import TaskState
    from schema.messages.vote import Explanation, Voter

from workflows.kinds import MODEL, RECORD
from workflows.parking import Standing, StepDiscarded, Steps, if_unpaid
from workflows.steps import StepFailed, durable_step
from workflows.tally import surviving_objections, tally


@workflow.defn(name="ConsensusRound")
class ConsensusRound:
    """Asks the voters in parallel, counts, and asks once more where the first round did not decide."""

    @workflow.init
    def __init__(self, vote: ConsensusInput) -> None:
        self._vote = vote
        self._steps = Steps(AgentTaskInput(task_id=vote.task_id, tenant=vote.tenant), self._tell_task)

    @workflow.run
    async def run(self, vote: ConsensusInput) -> ConsensusResult:
        workflow.set_current_details("Round 1: the voters judge, each without the others' ballots.")
        explanation = tally(vote.policy, vote.evidence, await self._ballots(1, None))
        if explanation.outcome == "undecided" and vote.policy.rounds > 1:
            explanation = await self._second_round(explanation)
        workflow.set_current_details(explanation.summary)
        record = RecordVoteInput(ref=self._steps.ref(f"vote/{vote.number}"), explanation=explanation)
        stored = await durable_step(
            RECORD, RecordActivities.record_vote, record, step="record-vote", summary="store the explanation"
        )
        return ConsensusResult(outcome=explanation.outcome, explanation=stored.text, summary=explanation.summary)

    @workflow.signal(name="dead_letter_decided")
    def dead_letter_decided(self) -> None:
        """A decision on a parked ballot may be there: the row says, not the Signal."""
        self._steps.wake()

    async def _tell_task(self, standing: Standing) -> None:
        """The task's deadline and state go by whether its vote waits."""
        parent = workflow.info().parent
        if parent is not None:
            task = workflow.get_external_workflow_handle(parent.workflow_id)
            await task.signal("vote_stands", standing)

    async def _second_round(self, first: Explanation) -> Explanation:
        """The voters see the objections of round 1, without names."""
        workflow.set_current_details("Round 2: round 1 did not decide; the voters see its objections.")
        objections = StoreObjectionsInput(
            ref=self._steps.ref(f"objections/{self._vote.number}"), lines=surviving_objections(first)
        )
        stored = await durable_step(
            RECORD, RecordActivities.store_objections, objections, step="objections", summary="store the objections"
        )
        ballots = await self._ballots(2, stored.text)
        return tally(self._vote.policy, self._vote.evidence, ballots, number=2, round_one=first.outcome)

    async def _ballots(self, number: int, objections: str | None) -> list[CastBallot]:
        voters = [voter for voter, weight in self._vote.policy.voters.items() if weight > 0]
        return list(await asyncio.gather(*(self._ballot(voter, number, objections) for voter in voters)))

    async def _ballot(self, voter: Voter, number: int, objections: str | None) -> CastBallot:
        """A voter that fails, is late or answers nonsense is absent: never a yes."""
        step = f"ballot/{voter}/{number}"
        question = AskRoleInput(
            ref=self._steps.ref(step),
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
            answer = await self._steps.run(
                MODEL,
                LlmActivities.ask_role,
                question,
                step=step,
                summary=f"{voter}, round {number}",
                parks=if_unpaid,
                within=timedelta(seconds=self._vote.policy.deadline_seconds),
            )
        except StepDiscarded:
            raise
        except StepFailed:
            return CastBallot(voter=voter, ballot=None)
        return CastBallot(voter=voter, ballot=answer.ballot)
