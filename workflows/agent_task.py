"""`AgentTask`: one coding task from submission to verdict."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from activities.admission import AdmissionActivities
    from activities.escalations import EXPIRED, NOBODY
    from activities.given import GivenActivities
    from activities.llm import LlmActivities
    from activities.records import RecordActivities
    from activities.sandbox import SandboxActivities
    from schema.engine import GOLDEN_STATE, GOLDEN_VERDICT, PEER_HUB_QUEUE, SANDBOX_QUEUE
    from schema.messages.consensus import ConsensusInput, ConsensusResult
    from schema.messages.steps import (
        Admission,
        AgentTaskInput,
        AskRoleInput,
        AskRoleResult,
        EscalateInput,
        FinishInput,
        KeptFix,
        Proof,
        ProveInput,
        ReadGivenInput,
    )
    from schema.messages.task import TaskState
    from schema.messages.vote import Evidence, VotePolicy

from workflows.asking import Wakes, ask_person
from workflows.choosing import best_of, verdict_on_tests, waves
from workflows.consensus_round import ConsensusRound
from workflows.kinds import MODEL, RECORD, SANDBOX, WAIT
from workflows.parking import Parks, Standing, StepDiscarded, Steps, always, never
from workflows.repairing import Repairs
from workflows.steps import StepFailed, durable_step
from workflows.telling import enter

CANCEL_SECONDS = 30
TASK_GONE = "TaskGone"


@dataclass(frozen=True)
class Verdict:
    """How a task ends, and what it shows for it."""

    state: TaskState
    reason: str | None = None
    proof: Proof | None = None
    explanation: str | None = None
    fixes: tuple[KeptFix, ...] = ()


@workflow.defn(name="AgentTask")
class AgentTask:
    """Admit, plan, develop, prove, repair, vote; a person decides where the vote does not."""

    @workflow.init
    def __init__(self, task: AgentTaskInput) -> None:
        self._task = task
        self._admission: Admission | None = None
        self._plan: str | None = None
        self._steps = Steps(task, self._stand)
        self._lost: list[StepFailed] = []
        self._before_parking: str | None = None
        self._vote_standing: Standing = "no"
        self._wakes = Wakes()

    @workflow.run
    async def run(self, task: AgentTaskInput) -> str:  # noqa: ARG002 (the init has it)
        """Returns the final state. Cancelled workflows end as such, after their task's row has been closed."""
        try:
            enter(TaskState.QUEUED)
            self._admission = await self._admit()
            verdict = await self._within_deadline(self._admission)
            if verdict.state is TaskState.ESCALATED:
                verdict = await self._ask_person(verdict)
        except StepFailed as failed:
            verdict = Verdict(TaskState.FAILED, str(failed.message))
            if failed.error_type == TASK_GONE:
                # Its row says so before anybody told this workflow: it was cancelled, or has ended already.
                verdict = Verdict(TaskState.CANCELLED, "cancelled on request")
        except (asyncio.CancelledError, FailureError) as error:
            if not is_cancelled_exception(error):
                raise
            await self._finish(Verdict(TaskState.CANCELLED, "cancelled on request"))
            raise
        return (await self._finish(verdict)).value

    @workflow.signal(name="decision_recorded")
    def decision_recorded(self) -> None:
        """A person's decision may be there: the row says, not the Signal."""
        self._wakes.count += 1

    @workflow.signal(name="dead_letter_decided")
    def dead_letter_decided(self) -> None:
        """A decision on a parked step may be there: the row says, not the Signal."""
        self._steps.wake()

    @workflow.signal(name="vote_stands")
    def vote_stands(self, standing: Standing) -> None:
        """The vote waits, is parked, or goes on: the deadline's clock and the task's state go by it."""
        self._vote_standing = standing
        enter(TaskState.PARKED if standing == "parked" else TaskState.VOTING)

    async def _admit(self) -> Admission:
        return await self._steps.run(
            WAIT, AdmissionActivities.admit, self._task, step="admit", summary="wait for a slot and the budget"
        )

    async def _within_deadline(self, admission: Admission) -> Verdict:
        """The deadline's clock runs only here, and only while nothing is parked or waited for."""
        work = asyncio.create_task(self._work(admission))
        left = timedelta(seconds=admission.deadline_seconds)
        try:
            while not work.done() and left > timedelta():
                if self._stands:
                    await workflow.wait_condition(lambda: work.done() or not self._stands)
                    continue
                began = workflow.now()
                with suppress(TimeoutError):
                    await workflow.wait_condition(lambda: work.done() or self._stands, timeout=left)
                left -= workflow.now() - began
            return work.result() if work.done() else Verdict(TaskState.FAILED, "deadline")
        finally:
            # What is under way ends before the task does, so that nothing of it is left behind. But a vote that
            # somebody reset by hand hears no cancel: the task does not wait for it for ever.
            if work.cancel():
                await workflow.wait([work], timeout=CANCEL_SECONDS)

    async def _stand(self, standing: Standing) -> None:
        """A parked task says so; the step that goes on says what comes after."""
        if standing == "parked":
            self._before_parking = workflow.info().typed_search_attributes.get(GOLDEN_STATE)
            enter(TaskState.PARKED)
        elif self._before_parking is not None:
            enter(TaskState(self._before_parking))
            self._before_parking = None

    @property
    def _stands(self) -> bool:
        return self._steps.standing != "no" or self._vote_standing != "no"

    async def _work(self, admission: Admission) -> Verdict:
        if admission.given:
            return await self._vote(admission, await self._given_candidate())
        enter(TaskState.PLANNING)
        self._plan = (await self._ask(self._question("plan", TaskState.PLANNING), "architect: plan")).response
        enter(TaskState.DEVELOPING)
        best = await self._best_candidate(admission.candidates)
        repairs = Repairs(self._steps, admission, self._plan, best, self._ask, self._prove)
        best, fixes = await repairs.run()
        if not best.passed:
            return Verdict(TaskState.REJECTED, verdict_on_tests(best), best, fixes=fixes)
        return replace(await self._vote(admission, best), fixes=fixes)

    async def _given_candidate(self) -> Proof:
        """Of a vote by itself: proven here where there are tests, else as its submitter states."""
        read = ReadGivenInput(ref=self._steps.ref("candidate"))
        given = await self._steps.run(
            RECORD, GivenActivities.read_given, read, step="candidate", summary="read the candidate"
        )
        self._plan = given.plan
        if given.proof is not None:
            return given.proof
        return await self._prove(given.candidate, "prove/1", TaskState.PROVING, "tests of the candidate")

    async def _best_candidate(self, candidates: int) -> Proof:
        """One that passes is enough: the next are asked for only where none did. Where none stands, the first that was
        lost is parked until it is redriven."""
        best: Proof | None = None
        for wave in waves(candidates):
            best = best_of([best, *await asyncio.gather(*(self._contend(number) for number in wave))])
            if best is not None and best.passed:
                return best
        while best is None:
            lost = self._lost[0]
            self._lost.clear()
            await self._steps.park(lost)
            best = await self._contend(int(lost.step.rsplit("/", 1)[1]))
        return best

    async def _contend(self, number: int) -> Proof | None:
        """One candidate, developed and proven. None if that failed: one lost candidate is no lost task."""
        question = self._question(f"develop/{number}", TaskState.DEVELOPING, plan=self._plan, variant=number - 1)
        try:
            answer = await self._ask(question, f"developer, candidate {number}", parks=never)
            step, summary = f"prove/{number}", f"tests of candidate {number}"
            return await self._prove(answer.response, step, TaskState.PROVING, summary, parks=never)
        except StepDiscarded:
            raise
        except StepFailed as failed:
            self._lost.append(failed)
            return None

    async def _vote(self, admission: Admission, best: Proof) -> Verdict:
        enter(TaskState.VOTING)
        evidence = Evidence(
            tests_passed=best.tests_passed,
            tests_failed=best.tests_failed,
            findings=best.findings,
            lines=best.lines,
            has_plan=self._plan is not None,
            stated=best.isolation is None,
        )
        round_input = ConsensusInput(
            task_id=self._task.task_id,
            tenant=self._task.tenant,
            number=1,
            policy=admission.policy,
            evidence=evidence,
            candidate=best.candidate,
            report=best.report,
            plan=self._plan,
        )
        result = await self._hold_vote(round_input, admission.title)
        states = {"approved": TaskState.ACCEPTED, "rejected": TaskState.REJECTED, "undecided": TaskState.ESCALATED}
        told = result.question or result.summary
        return Verdict(states[result.outcome], told, best, result.explanation)

    async def _hold_vote(self, vote: ConsensusInput, title: str) -> ConsensusResult:
        """Under the first free number: a reset of this workflow leaves the vote of the run before behind."""
        while True:
            try:
                return await workflow.execute_child_workflow(
                    ConsensusRound.run,
                    vote,
                    id=f"vote/{vote.task_id}/{vote.number}",
                    task_queue=PEER_HUB_QUEUE,
                    cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
                    search_attributes=workflow.info().typed_search_attributes,
                    static_summary=f"vote on: {title}"[:200],
                )
            except WorkflowAlreadyStartedError:
                vote = vote.model_copy(update={"number": vote.number + 1})
            except ChildWorkflowError as error:
                if is_cancelled_exception(error):
                    raise
                if isinstance(error.cause, ApplicationError) and error.cause.type == StepDiscarded.__name__:
                    raise StepDiscarded("vote", error.cause.message) from error
                await self._steps.park(StepFailed("vote", "ConsensusRoundFailed"))
            finally:
                self._vote_standing = "no"

    async def _ask_person(self, verdict: Verdict) -> Verdict:
        """Wait, while the slot is others', for a person; who is silent rejects."""
        enter(TaskState.ESCALATED)
        policy = self._admission.policy if self._admission else VotePolicy()
        question = EscalateInput(
            ref=self._steps.ref("escalate"), question=verdict.reason or "", shown=self._finish_input(verdict)
        )
        decision = await ask_person(self._task, question, policy, self._wakes)
        state = TaskState.ACCEPTED if decision.decision == "accept" else TaskState.REJECTED
        reason = f"{decision.decision}ed by {decision.actor}"
        if decision.reason:
            reason = f"{reason}: {decision.reason}"
        if decision.actor == NOBODY:
            reason = f"rejected: {EXPIRED}"
        return replace(verdict, state=state, reason=reason)

    async def _finish(self, verdict: Verdict) -> TaskState:
        """The state in which the task ended: a workflow that was reset finds one that had ended before."""
        enter(verdict.state)
        if verdict.state in (TaskState.ACCEPTED, TaskState.REJECTED):
            workflow.upsert_search_attributes([GOLDEN_VERDICT.value_set(verdict.state.value)])
        finish = self._finish_input(verdict)
        # A second cancel must not leave the row open and the slot taken.
        before = await asyncio.shield(
            durable_step(
                RECORD, RecordActivities.finish, finish, step="finish", summary=f"record: {verdict.state.value}"
            )
        )
        if before is not None:
            enter(before)
        return before or verdict.state

    def _finish_input(self, verdict: Verdict) -> FinishInput:
        return FinishInput(
            task_id=self._task.task_id,
            tenant=self._task.tenant,
            state=verdict.state,
            reason=verdict.reason,
            candidate=verdict.proof.candidate if verdict.proof else None,
            report=verdict.proof.report if verdict.proof else None,
            explanation=verdict.explanation,
            fixes=verdict.fixes,
        )

    async def _ask(self, question: AskRoleInput, summary: str, parks: Parks = always) -> AskRoleResult:
        step = question.ref.step
        return await self._steps.run(MODEL, LlmActivities.ask_role, question, step=step, summary=summary, parks=parks)

    async def _prove(self, candidate: str, step: str, state: TaskState, summary: str, parks: Parks = always) -> Proof:
        if state is TaskState.PROVING:
            enter(state)
        guards = self._admission.policy.guards if self._admission else None
        prove = ProveInput(ref=self._steps.ref(step), state=state, candidate=candidate, guards=guards)
        return await self._steps.run(
            SANDBOX, SandboxActivities.prove, prove, step=step, summary=summary, parks=parks, task_queue=SANDBOX_QUEUE
        )

    def _question(self, step: str, state: TaskState, **known: object) -> AskRoleInput:
        role = "architect" if step == "plan" else "developer"
        return AskRoleInput.model_validate({"ref": self._steps.ref(step), "state": state, "role": role, **known})
