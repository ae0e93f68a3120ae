"""`PromptEvaluation` under skipped time: both versions, the same questions, and a slot that always goes back."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from uuid import UUID

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.failures import FailureInterceptor
from activities.sandbox import SandboxActivities
from activities.store import TaskStore
from schema.database import Database
from schema.engine import SANDBOX_QUEUE
from schema.messages.learning import Verdict
from schema.messages.steps import Role
from schema.settings import Settings
from tests.support.evaluation import DEVELOPER, PARENT, UPDATE, Evaluated, evaluated, evaluating
from tests.support.histories import record
from tests.support.http import tenant_name
from tests.support.learning import row_of
from tests.support.past import evaluating as seeking
from tests.support.past import past_task
from tests.support.played import PlayedPool
from tests.support.processes import until
from tests.support.prompt_updates import task_of
from tests.support.provider import Script, files, running_provider
from tests.support.specs import GOOD
from tests.support.world import environment
from workers.kinds import KINDS
from workers.parts import compose
from workflows.prompt_evaluation import PromptEvaluation

__all__ = ["environment"]

LONGEST_HISTORY = 100 * 1024
OF_ITS_OWN = "evaluations-of-a-test"
"""In the usual queue wait other tests' tasks."""


@pytest.mark.parametrize(
    ("role", "better", "verdict"),
    [
        ("developer", "new", "better"),
        ("developer", "old", "worse"),
        ("developer", "both", "unclear"),
        ("architect", "new", "better"),
        ("security", "old", "worse"),
    ],
)
async def test_what_does_well_in_more_pairs_is_better(
    environment: WorkflowEnvironment, role: Role, better: str, verdict: Verdict
) -> None:
    world = Evaluated(role)
    world.well = lambda version, number: better in (version, "both") or number > 8
    report = await evaluated(environment, world)
    assert (report.verdict, report.pairs) == (verdict, 10)
    assert world.course == ["admitted", "released", "all"]


async def test_both_versions_are_asked_the_same_of_one_model(environment: WorkflowEnvironment) -> None:
    world = Evaluated("architect", subjects=1, seeds=2)
    await evaluated(environment, world)
    told = sorted((ask.role, ask.ref.step.split("-")[2], ask.variant, ask.prompt, ask.change) for ask in world.asked)
    plans = [("architect", arm, seed, PARENT, UPDATE if arm == "new" else None) for arm in ("new", "old")
             for seed in (0, 1)]  # fmt: skip
    # Plans are carried out by the developer as it is, whoever made them.
    assert told == [*plans, *(("developer", arm, seed, DEVELOPER, None) for arm in ("new", "old") for seed in (0, 1))]
    assert {(ask.role, ask.route) for ask in world.asked} == {("architect", ("m",)), ("developer", ("d",))}
    subjects = {ask.subject for ask in world.asked} | {prove.subject for prove in world.proven}
    assert subjects == {world.choice.subjects[0].spec}


async def test_a_finding_of_the_rule_that_was_to_be_mended_is_no_success(environment: WorkflowEnvironment) -> None:
    world = Evaluated(subjects=1, rule="lint/E711")
    world.findings, world.named = {"lint-0123456789": "low"}, True
    report = await evaluated(environment, world)
    assert report.new == 0
    assert report.rule is not None
    assert report.rule.runs == ((UUID(int=1), 0, False, False),)
    world.named = False
    assert (await evaluated(environment, world)).new == 1
    world.findings = {"lint-0123456789": "medium"}
    assert (await evaluated(environment, world)).new == 0


async def test_a_step_that_is_spent_is_one_lost_pair_and_an_answer_of_no_use_a_failure(
    environment: WorkflowEnvironment,
) -> None:
    world = Evaluated()
    arms = {name: f"evaluate-{PARENT.hex[:8]}-{name}" for name in ("old", "new")}
    world.lost, world.useless = {f"{arms['old']}-3/develop/1"}, {f"{arms['new']}-4/develop/1"}
    report = await evaluated(environment, world)
    assert (report.pairs, report.old, report.new) == (9, 9, 8)
    assert world.abandoned == [f"{arms['old']}-3/develop/1"]


async def test_when_the_budget_is_spent_the_pairs_so_far_count(environment: WorkflowEnvironment) -> None:
    world = Evaluated(subjects=40)
    world.spent_after = 24
    report = await evaluated(environment, world)
    assert 8 <= report.pairs <= 12
    # Of those that were under way, each asked once more; no other was begun.
    assert len(world.asked) <= 24 + 4
    assert world.course == ["admitted", "released", "budget"]


async def test_without_past_tasks_nothing_is_asked(environment: WorkflowEnvironment) -> None:
    world = Evaluated(subjects=0)
    report = await evaluated(environment, world)
    assert (report.verdict, report.pairs, world.asked, world.course) == ("unclear", 0, [], ["all"])
    assert world.recorded_for == PARENT


async def test_a_full_tenant_and_busy_sandboxes_are_waited_for(environment: WorkflowEnvironment) -> None:
    world = Evaluated()
    world.full, world.busy = 20, 20
    assert (await evaluated(environment, world)).pairs == 10
    assert world.course == ["admitted", "released", "all"]


async def test_a_cancel_gives_the_slot_back(environment: WorkflowEnvironment) -> None:
    world = Evaluated()
    world.stuck = True
    async with evaluating(environment, world) as handle:

        async def is_asked() -> bool:
            return bool(world.asked)

        await until(is_asked)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert world.course == ["admitted", "released"]


async def test_no_history_of_a_long_evaluation_gets_long(environment: WorkflowEnvironment) -> None:
    world = Evaluated(subjects=20, seeds=3)
    async with evaluating(environment, world) as handle:
        assert (await handle.result()).pairs == 60
        sizes, run_id = [], handle.first_execution_run_id
        while run_id:
            history = await environment.client.get_workflow_handle(handle.id, run_id=run_id).fetch_history()
            sizes.append(sum(event.ByteSize() for event in history.events))
            run_id = history.events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
        await record(environment.client, handle.id, "PromptEvaluation-last-run")
    assert len(sizes) == 8
    assert max(sizes) < LONGEST_HISTORY
    assert len({(ask.ref.step) for ask in world.asked}) == 120
    assert world.course == ["admitted", "released", "all"]


async def test_a_short_evaluation_is_one_run(environment: WorkflowEnvironment) -> None:
    world = Evaluated("security", subjects=8)
    world.well = lambda version, _number: version == "new"
    async with evaluating(environment, world) as handle:
        assert (await handle.result()).verdict == "better"
        await record(environment.client, handle.id, "PromptEvaluation-better")
    assert world.asked[0].evidence is not None


@asynccontextmanager
async def worker_of(settings: Settings, client: Client) -> AsyncIterator[None]:
    """What evaluates, with the parts of a worker; its sandbox is played."""
    composed, pool = compose(settings, client), PlayedPool()
    sandbox = SandboxActivities(TaskStore(composed.database), pool)
    parts = replace(composed, sandbox=sandbox)
    async with AsyncExitStack() as workers:
        for kind, queue in ((KINDS["orchestrator"], OF_ITS_OWN), (KINDS["sandbox"], SANDBOX_QUEUE)):
            worker = Worker(
                client,
                task_queue=queue,
                workflows=kind.workflows,
                activities=kind.activities(parts),
                interceptors=[FailureInterceptor()],
            )
            await workers.enter_async_context(worker)
        yield
    await parts.evaluation._models.close()
    await parts.circuits.flush()
    await parts.database.close()


@pytest.mark.parametrize("role", ["architect", "reviewer"])
async def test_the_parts_of_a_worker_evaluate_a_proposal(
    settings: Settings, database: Database, temporal_client: Client, role: Role
) -> None:
    tenant = tenant_name()
    for number in range(4):
        await past_task(database, tenant, f"task {number}", role, tests=number % 2 == 0)
    wanted = await seeking(database, tenant, role)
    async with running_provider() as provider:
        provider.script("t", Script(developer=[files(work=GOOD)]))
        of_test = settings.model_copy(update={"models": provider.models, "evaluation_tasks": 4, "evaluation_pairs": 4})
        async with worker_of(of_test, temporal_client):
            report = await temporal_client.execute_workflow(
                PromptEvaluation.run, wanted, id=f"evaluation/{wanted.update_id}/1", task_queue=OF_ITS_OWN
            )
    row, task = await row_of(database, wanted.update_id), await task_of(database, wanted.update_id)
    # Who approves everything is right about what turned out well; a plan that is carried out well is a good one.
    well = 2 if role == "reviewer" else 4
    assert (report.pairs, report.old, report.new, report.verdict) == (4, well, well, "unclear")
    assert report.tokens == task.spent_tokens > 0
    assert row.evaluation == report.model_dump(mode="json")
    assert (task.admitted, task.held_tokens) == (False, 0)
    told = ["Look twice" in asked.prompt for asked in provider.asked if asked.role == role]
    assert (told.count(True), told.count(False)) == (4, 4)
