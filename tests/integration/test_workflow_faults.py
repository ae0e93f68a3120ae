"""A bug in workflow code stops its workflow and loses nothing: the mended code goes on from where it stood."""

from temporalio import workflow
from temporalio.client import WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment

from schema.messages.steps import AgentTaskInput
from tests.support.processes import until
from tests.support.world import World, started
from tests.support.world import environment as environment
from workflows.agent_task import AgentTask


@workflow.defn(name="AgentTask", sandboxed=False)
class FaultyAgentTask(AgentTask):
    """`AgentTask` with a slip after its plan."""

    @workflow.init
    def __init__(self, task: AgentTaskInput) -> None:
        super().__init__(task)

    @workflow.run
    async def run(self, task: AgentTaskInput) -> str:
        return await super().run(task)

    async def _best_candidate(self, candidates: int) -> object:  # type: ignore[override]
        raise KeyError(candidates)


async def test_a_fix_and_a_deploy_let_a_workflow_with_a_bug_go_on(environment: WorkflowEnvironment) -> None:
    world = World()
    world.deadline_seconds = 600
    async with started(environment, world, task=FaultyAgentTask) as handle:

        async def its_task_failed() -> bool:
            events = [event async for event in handle.fetch_history_events()]
            return any(event.HasField("workflow_task_failed_event_attributes") for event in events)

        await until(its_task_failed)
        assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
        assert world.finished == []
    async with started(environment, world, again=handle.id) as handle:
        # The server would skip to the workflow's own limit, since nothing but its task's next try is due.
        with environment.auto_time_skipping_disabled():
            assert await handle.result() == "accepted"
    # What was done before the fault was not done again.
    assert [ask.ref.step for ask in world.asked].count("plan") == 1
