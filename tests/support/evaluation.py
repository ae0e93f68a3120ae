"""An evaluation whose activities do nothing, in no time, unless told: pairs are said, not asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.evaluation import pairs_of
from activities.evaluation_stats import report_of
from activities.failures import FailureInterceptor
from schema.engine import ORCHESTRATOR_QUEUE, SANDBOX_QUEUE
from schema.errors import BudgetExhausted, InvalidModelOutput, NotAdmitted, NotYet, RouteUnknown, SandboxBusy
from schema.messages.evaluation import (
    Choice,
    ChooseSubjectsInput,
    EvaluationInput,
    JudgeReportInput,
    Pairs,
    RecordEvaluationInput,
    Subject,
)
from schema.messages.learning import EvaluationReport
from schema.messages.sandbox import Severity
from schema.messages.steps import AgentTaskInput, AskRoleInput, AskRoleResult, Proof, ProveInput, Role, StepRef
from schema.messages.vote import Ballot, Evidence
from schema.messages.vote import Choice as Vote
from schema.texts import digest_of
from workflows.prompt_evaluation import PromptEvaluation

PARENT, DEVELOPER, UPDATE = UUID(int=11), UUID(int=12), UUID(int=13)
REPORT = digest_of("report")


def subject(number: int, role: Role, *, good: bool = True) -> Subject:
    """A past task; of a voter, one that was voted on."""
    told: dict[str, Any] = {"task_id": UUID(int=number), "spec": digest_of(f"spec {number}")}
    if role not in ("developer", "architect"):
        told |= {"candidate": digest_of("c"), "report": REPORT, "good": good}
        told["evidence"] = Evidence(tests_passed=1, tests_failed=0)
    return Subject(**told)


class Evaluated:
    """Old and new versions do well as `well` says of them, by version and number of the past task."""

    def __init__(
        self, role: Role = "developer", subjects: int = 10, *, seeds: int = 1, rule: str | None = None
    ) -> None:
        self.role = role
        self.choice = Choice(
            parent=PARENT,
            rule=rule,
            developer=DEVELOPER if role == "architect" else None,
            models={role: "m", "developer": "d"},
            seeds=seeds,
            subjects=tuple(subject(number, role, good=number % 2 == 0) for number in range(1, subjects + 1)),
        )
        self.well: Callable[[str, int], bool] = lambda _version, _number: True
        self.findings: dict[str, Severity] = {}
        self.named = False
        self.spent_after: int | None = None
        self.lost: set[str] = set()
        self.useless: set[str] = set()
        self.full = 0
        self.busy = 0
        self.stuck = False
        self.asked: list[AskRoleInput] = []
        self.proven: list[ProveInput] = []
        self.abandoned: list[str] = []
        self.course: list[str] = []

    @activity.defn(name="choose_subjects")
    async def choose_subjects(self, asked: ChooseSubjectsInput) -> Pairs:
        return pairs_of(self.choice, asked.begin, asked.most)

    @activity.defn(name="admit_learning")
    async def admit_learning(self, task: AgentTaskInput) -> None:
        if self.full:
            self.full -= 1
            raise NotAdmitted("full", retry_after=60)
        self.course.append("admitted")

    @activity.defn(name="release_learning")
    async def release_learning(self, task: AgentTaskInput) -> None:
        self.course.append("released")

    @activity.defn(name="ask_role")
    async def ask_role(self, ask: AskRoleInput) -> AskRoleResult:
        self.asked.append(ask)
        step = ask.ref.step
        if self.stuck:
            # A provider that never answers: a heartbeat brings the cancel.
            while True:
                activity.heartbeat()
                await asyncio.sleep(0.02)
        if self.spent_after is not None and len(self.asked) > self.spent_after:
            raise BudgetExhausted("spent")
        if step in self.lost:
            raise RouteUnknown("no such model")
        if step in self.useless:
            raise InvalidModelOutput("nonsense")
        if ask.evidence is None:
            return AskRoleResult(response=digest_of(step))
        right: Vote = "approve" if self._of(step).good else "reject"
        wrong: Vote = "reject" if self._of(step).good else "approve"
        choice = right if self._does_well(step) else wrong
        return AskRoleResult(response=digest_of(step), ballot=Ballot(choice=choice, confidence=1, rationale=""))

    @activity.defn(name="await_turn")
    async def await_turn(self, ask: AskRoleInput) -> None:
        return None

    @activity.defn(name="await_sandbox")
    async def await_sandbox(self, task: AgentTaskInput) -> None:
        if self.busy:
            self.busy -= 1
            raise NotYet("busy", retry_after=60)

    @activity.defn(name="prove")
    async def prove(self, prove: ProveInput) -> Proof:
        if self.busy:
            raise SandboxBusy("busy")
        self.proven.append(prove)
        passed = self._does_well(prove.ref.step)
        return Proof(
            candidate=prove.candidate, report=REPORT, passed=passed, tests_passed=int(passed),
            tests_failed=int(not passed), isolation="gvisor", size_bytes=1, lines={}, findings=self.findings,
        )  # fmt: skip

    @activity.defn(name="judge_report")
    async def judge_report(self, asked: JudgeReportInput) -> bool:
        return self.named

    @activity.defn(name="abandon")
    async def abandon(self, ref: StepRef) -> None:
        self.abandoned.append(ref.step)

    @activity.defn(name="record_evaluation")
    async def record_evaluation(self, made: RecordEvaluationInput) -> EvaluationReport:
        self.course.append(made.end)
        self.recorded_for = made.so_far.parent if made.so_far is not None else None
        runs = made.so_far.runs if made.so_far is not None else ()
        own = made.so_far.rule_runs if made.so_far is not None else ()
        return report_of(UPDATE, runs, margin=0.05, min_tasks=8, rule=made.rule, rule_runs=own)

    def _of(self, step: str) -> Subject:
        return self.choice.subjects[int(step.split("/")[0].rsplit("-", 1)[1]) - 1]

    def _does_well(self, step: str) -> bool:
        version, place = step.split("/")[0].rsplit("-", 2)[1:]
        return self.well(version, int(place))

    @property
    def activities(self) -> list[Callable[..., Any]]:
        names = ("choose_subjects", "admit_learning", "release_learning", "ask_role", "await_turn", "await_sandbox")
        return [getattr(self, name) for name in (*names, "prove", "judge_report", "abandon", "record_evaluation")]


@asynccontextmanager
async def evaluating(
    environment: WorkflowEnvironment, world: Evaluated
) -> AsyncIterator[WorkflowHandle[Any, EvaluationReport]]:
    """`PromptEvaluation` in a world."""
    queues = {ORCHESTRATOR_QUEUE: [PromptEvaluation], SANDBOX_QUEUE: []}
    workers = [
        Worker(
            environment.client,
            task_queue=queue,
            workflows=workflows,
            activities=world.activities,
            interceptors=[FailureInterceptor()],
        )
        for queue, workflows in queues.items()
    ]
    async with workers[0], workers[1]:
        wanted = EvaluationInput(update_id=UPDATE, tenant="t", role=world.role, number=1)
        yield await environment.client.start_workflow(
            PromptEvaluation.run, wanted, id=f"evaluation/{uuid4()}", task_queue=ORCHESTRATOR_QUEUE
        )


async def evaluated(environment: WorkflowEnvironment, world: Evaluated) -> EvaluationReport:
    """The report of an evaluation in a world."""
    async with evaluating(environment, world) as handle:
        return await handle.result()
