"""What Temporal keeps of tasks: found by their ids or their tenant, and deleted, whether it runs or has ended."""

from datetime import UTC, datetime
from uuid import UUID

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from schema.engine import RPC_TIMEOUT, approval_workflow_id, execution_workflow_id, task_workflow_id


async def forget_task(client: Client, task_id: UUID) -> int:
    """Delete every run of a task's workflows: its own, its votes', those of a proposal; returns how often it found one,
    which is 0 only once they are gone.

    Raises:
        RPCError: Temporal does not answer.
    """
    ids = (task_workflow_id(task_id), approval_workflow_id(task_id))
    own = ", ".join(f"'{each}'" for each in ids)
    children = " OR ".join(f"WorkflowId STARTS_WITH '{kind}/{task_id}/'" for kind in ("vote", "evaluation"))
    listed = await _forget(client, f"WorkflowId IN ({own}) OR {children}")
    # Lists lag behind: the last run of each is asked for by its id as well.
    return listed + sum([await _delete(client, WorkflowExecution(workflow_id=each)) for each in ids])


async def forget_run(client: Client, run_id: UUID) -> int:
    """Delete what ran one program in the sandbox; raises as `forget_task`."""
    return await _forget(client, f"WorkflowId = '{execution_workflow_id(run_id)}'")


async def forget_tenant(client: Client, tenant: str, before: datetime) -> int:
    """Delete every run of a tenant that began before; raises as `forget_task`."""
    at = before.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return await _forget(client, f"GoldenTenant = '{tenant}' AND StartTime < '{at}'")


async def _forget(client: Client, query: str) -> int:
    found = 0
    async for run in client.list_workflows(query):
        execution = WorkflowExecution(workflow_id=run.id, run_id=run.run_id)
        await _delete(client, execution)
        found += 1
    return found


async def _delete(client: Client, execution: WorkflowExecution) -> bool:
    """Whether it was there."""
    request = DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
    try:
        await client.workflow_service.delete_workflow_execution(request, timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True
