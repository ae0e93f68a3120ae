"""What an evaluation asks of the database: its place in line, past tasks, a look at a report, and its result."""

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

from temporalio import activity

from activities.admission import stand_in_line
from schema.messages.evaluation import (
    Choice,
    ChooseSubjectsInput,
    EvaluationInput,
    EvaluationSoFar,
    JudgeReportInput,
    Pair,
    Pairs,
    RecordEvaluationInput,
)
from schema.messages.learning import EvaluationReport, PromptEvidence
from schema.messages.steps import AgentTaskInput, Role, StepRef
from schema.messages.task import TaskState

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from activities.accounts import Accounts
    from activities.models import Models
    from activities.store import TaskStore
    from schema.messages.sandbox import GuardName, GuardPolicy
    from schema.messages.vote import VotePolicy

_ENDED = {
    "budget": "its budget ended it",
    "price": "a model had no price, which ended it",
    "gone": "it was ended because nobody needed it any more",
}
_NO_TASK = "no past task of this role has ended yet but those that it was proposed for"
_NO_VOTE = "of no past vote of this role is it known yet how it turned out (golden truth)"


class EvaluationActivities:
    """The evaluations of proposals.

    Args:
        policy: what holds of guards where neither the tenant nor the past task says otherwise.
        tasks: past tasks for each evaluation, and `pairs`, runs of both versions on them; `min_tasks`, different ones
            without which nothing is clear.
        margin: of the difference of shares, between 0 and 1.
    """

    def __init__(
        self,
        store: "TaskStore",
        accounts: "Accounts",
        models: "Models",
        policy: "VotePolicy",
        *,
        tasks: int,
        pairs: int,
        min_tasks: int,
        margin: float,
    ) -> None:
        self._store = store
        self._database = store.database
        self._accounts = accounts
        self._models = models
        self._policy = policy
        self._tasks = tasks
        self._pairs = pairs
        self._min_tasks = min_tasks
        self._margin = margin

    @activity.defn(name="admit_learning")
    async def admit_learning(self, task: AgentTaskInput) -> None:
        """Take a slot and hold the budget of a proposal's own task, in line with all tasks of the tenant.

        Raises:
            NotAdmitted: the tenant is full, or an earlier task waits; tried again without limit.
            PriceUnknown: the tenant's money is limited, and a model has no price.
            TaskGone: the task is unknown or final.
        """
        await stand_in_line(self._accounts, task)

    @activity.defn(name="release_learning")
    async def release_learning(self, task: AgentTaskInput) -> None:
        """Give slot and hold back, and stand in line no more."""
        from activities.accounts import lock_account
        from activities.ledger import expire_calls
        from schema.story import move

        async with self._database.tenant(task.tenant) as connection:
            await lock_account(connection, task.tenant)
            await expire_calls(connection, task.tenant, task.task_id)
            # First, for who is queued is admitted as soon as there is room, and nobody is here any more.
            await move(connection, task.task_id, task.tenant, TaskState.SUBMITTED)
            await self._accounts.give_back(connection, task.task_id)

    @activity.defn(name="choose_subjects")
    async def choose_subjects(self, asked: ChooseSubjectsInput) -> Pairs:
        """The next pairs; what they are of is chosen once for a proposal and its parent, and then stays.

        Raises:
            TaskGone: the proposal's own task is unknown or final.
        """
        evaluation = asked.evaluation
        row = await self._row(evaluation)
        if row is None or (evaluation.so_far is not None and evaluation.so_far.parent != row.parent_version):
            return Pairs()
        ref = choice_ref(evaluation, row.parent_version)
        stored = await self._store.begin_step(ref, None)
        if stored is None:
            made = await self._choose(evaluation, row)
            stored = await self._store.finish_step(ref, made) or made.model_dump(mode="json")
        return pairs_of(Choice.model_validate(stored), asked.begin, asked.most)

    @activity.defn(name="judge_report")
    async def judge_report(self, asked: JudgeReportInput) -> bool:
        """Whether the rule failed in a stored report."""
        from activities.failing_tests import failed_rules
        from schema.messages.sandbox import SandboxRun

        (report,) = await self._store.texts(asked.tenant, asked.report)
        run = SandboxRun.model_validate_json(report or "")
        return asked.rule in {*failed_rules(run), *(f"{found.guard}/{found.rule}" for found in run.findings)}

    @activity.defn(name="record_evaluation")
    async def record_evaluation(self, made: RecordEvaluationInput) -> EvaluationReport:
        """Work the report out and keep it with the proposal, if it is still evaluated for the same parent."""
        from sqlalchemy import select, update

        from activities.evaluation_stats import report_of
        from schema.tables import learning_updates, tasks

        evaluation, columns = made.evaluation, learning_updates.c
        so_far = made.so_far
        async with self._database.tenant(evaluation.tenant) as connection:
            spent = await connection.scalar(select(tasks.c.spent_tokens).where(tasks.c.task_id == evaluation.update_id))
            report = await asyncio.to_thread(
                report_of,
                evaluation.update_id,
                so_far.runs if so_far is not None else (),
                margin=self._margin,
                min_tasks=self._min_tasks,
                tokens=int(spent or 0),
                remark=_remark(made, so_far),
                rule=made.rule,
                rule_runs=so_far.rule_runs if so_far is not None else (),
            )
            if so_far is not None:
                mine = (columns.id == evaluation.update_id, columns.tenant == evaluation.tenant)
                await connection.execute(
                    update(learning_updates)
                    .where(*mine, columns.state == "evaluating", columns.parent_version == so_far.parent)
                    .values(evaluation=report.model_dump(mode="json"))
                )
        return report

    async def _row(self, evaluation: EvaluationInput) -> Any | None:
        """The proposal's row, if it is evaluated now."""
        from sqlalchemy import select

        from schema.tables import learning_updates

        columns = learning_updates.c
        wanted = select(columns.parent_version, columns.evidence).where(
            columns.id == evaluation.update_id,
            columns.tenant == evaluation.tenant,
            columns.role == evaluation.role,
            columns.state == "evaluating",
        )
        async with self._database.tenant(evaluation.tenant) as connection:
            return (await connection.execute(wanted)).one_or_none()

    async def _choose(self, evaluation: EvaluationInput, row: Any) -> Choice:
        from activities.evaluation_subjects import find_subjects, seeds_for
        from schema.prompts import active_version

        pattern = next(
            (each.pattern for each in map(PromptEvidence.model_validate, row.evidence) if each.pattern), None
        )
        asked: list[Role] = [evaluation.role]
        behind = () if pattern is None else pattern.task_ids
        async with self._database.tenant(evaluation.tenant) as connection:
            found = await find_subjects(
                connection, evaluation.update_id, evaluation.tenant, evaluation.role, behind, self._tasks
            )
            developer = None
            if evaluation.role == "architect":
                asked.append("developer")
                developer = await active_version(connection, evaluation.tenant, "developer")
            subjects = []
            for each in found:
                guards = await self._guards(connection, evaluation.tenant, each.spec)
                subjects.append(each.model_copy(update={"guards": guards}))
        return Choice(
            parent=row.parent_version,
            rule=pattern and pattern.rule,
            developer=developer,
            models={role: self._models.route(role)[0].model for role in asked},
            seeds=seeds_for(len(subjects), self._pairs),
            subjects=tuple(subjects),
        )

    async def _guards(self, connection: "AsyncConnection", tenant: str, spec: str) -> "dict[GuardName, GuardPolicy]":
        """The policy of guards that a past task would have now."""
        from activities.text_cache import cache_of
        from schema.policies import merged, read_tenant_policy

        cache = cache_of(self._database)
        (body,) = await cache.texts(connection, tenant, spec)
        own = cache.spec(tenant, spec, body or "").policy
        return merged(self._policy, await read_tenant_policy(connection, tenant), own).guards


def choice_ref(evaluation: EvaluationInput, parent: UUID) -> StepRef:
    """The step that keeps what was chosen: another parent is another evaluation."""
    step = f"{steps_prefix(parent)}/choose/1"
    return StepRef(task_id=evaluation.update_id, tenant=evaluation.tenant, step=step)


def steps_prefix(parent: UUID) -> str:
    """What the steps of an evaluation of this parent begin with: what was asked for one is no answer for another."""
    return f"evaluate-{parent.hex[:8]}"


def pairs_of(choice: Choice, begin: int, most: int) -> Pairs:
    """A part of all pairs: each subject once before any of them again, for what is cut off to cost no task."""
    every = [
        Pair(place=place, seed=seed, subject=subject)
        for seed in range(choice.seeds)
        for place, subject in enumerate(choice.subjects, 1)
    ]
    taken = tuple(every[begin : begin + most])
    left = max(0, len(every) - begin - most)
    return Pairs(choice=choice.model_copy(update={"subjects": ()}), pairs=taken, left=left)


def _remark(made: RecordEvaluationInput, so_far: EvaluationSoFar | None) -> str:
    lost = so_far.lost if so_far is not None else 0
    told = [f"{lost} more pairs came to no end"] if lost else []
    if made.end == "all" and so_far is not None and not so_far.runs and not lost:
        from activities.evaluation_subjects import ASKED_ABOUT_VOTES

        votes = made.evaluation.role in ASKED_ABOUT_VOTES
        told.append(_NO_VOTE if votes else _NO_TASK)
    return "; ".join([*told, *([_ENDED[made.end]] if made.end in _ENDED else [])])
