"""`SandboxExecution`: one program in the sandbox, for a client that waits for it."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.sandbox import SandboxActivities
    from schema.engine import SANDBOX_QUEUE
    from schema.messages.execution import SandboxExecutionInput, SandboxExecutionResult

from workflows.kinds import EXECUTION
from workflows.steps import durable_step


@workflow.defn(name="SandboxExecution")
class SandboxExecution:
    """Cancelling it ends the program."""

    @workflow.run
    async def run(self, execution: SandboxExecutionInput) -> SandboxExecutionResult:
        workflow.set_current_details("A program runs in the sandbox.")
        result = await durable_step(
            EXECUTION,
            SandboxActivities.run_in_sandbox,
            execution,
            step="run",
            summary="the program, in the sandbox",
            task_queue=SANDBOX_QUEUE,
            within=timedelta(seconds=execution.longest_seconds),
        )
        workflow.set_current_details(f"Ended with exit code {result.exit_code}.")
        return result
