"""The shared way into Temporal: the client, the names on the wire, and the one way to start each workflow."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    HeaderCodecBehavior,
    Priority,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from schema.codec import data_converter
from schema.keyring import KeyRing
from schema.messages.execution import SandboxExecutionInput, SandboxExecutionResult
from schema.messages.learning import LearningApprovalInput
from schema.messages.steps import AgentTaskInput
from schema.settings import Settings
from schema.telemetry import plugins
from schema.transport import read_profile

ORCHESTRATOR_QUEUE = "orchestrator"
PEER_HUB_QUEUE = "peer-hub"
SANDBOX_QUEUE = "sandbox"
SUPERVISOR_QUEUE = "supervisor"
QUEUES = (ORCHESTRATOR_QUEUE, PEER_HUB_QUEUE, SANDBOX_QUEUE, SUPERVISOR_QUEUE)

DEPLOYMENT = "golden"
"""The one Worker Deployment of all kinds of workers. A pinned workflow's activities and children go to its own build
only on queues of its own deployment: with a name for each kind a task of the old build would be voted on by the new."""

GOLDEN_TENANT = SearchAttributeKey.for_keyword("GoldenTenant")
GOLDEN_STATE = SearchAttributeKey.for_keyword("GoldenState")
GOLDEN_ROLE = SearchAttributeKey.for_keyword("GoldenRole")
GOLDEN_VERDICT = SearchAttributeKey.for_keyword("GoldenVerdict")
SEARCH_ATTRIBUTES = (GOLDEN_TENANT, GOLDEN_STATE, GOLDEN_ROLE, GOLDEN_VERDICT)

LETTER_DECIDED = "dead_letter_decided"
"""The Signal to a workflow one of whose steps is parked: its dead letter's row may say what was decided."""

RPC_TIMEOUT = timedelta(seconds=5)
"""No call to the frontend may hang: without a worker some would for ever."""


LAST = 5
"""The priority of what nobody waits for: learning gives way to tasks."""

APPROVAL_DECIDED = "approval_decided"
"""The Signal to `LearningApproval`: its row may say what a person decided."""


def task_workflow_id(task_id: UUID) -> str:
    return f"task/{task_id}"


def approval_workflow_id(update_id: UUID) -> str:
    return f"approval/{update_id}"


def execution_workflow_id(execution_id: UUID) -> str:
    return f"execution/{execution_id}"


async def connect(settings: Settings, *, lazy: bool = False, **options: Any) -> Client:
    """A client of the Temporal that the settings name. A lazy one connects at its first call.

    Raises:
        RuntimeError: nothing answers there.
        SettingsError: the key ring or the settings of the connection can't be used.
    """
    return await Client.connect(
        settings.temporal_target,
        namespace=settings.temporal_namespace,
        data_converter=data_converter(KeyRing.from_settings(settings), settings.temporal_namespace),
        header_codec_behavior=HeaderCodecBehavior.CODEC,
        plugins=plugins(),
        lazy=lazy,
        **_transport(settings),
        **options,
    )


def _transport(settings: Settings) -> dict[str, Any]:
    """TLS, API key and headers of `TEMPORAL_*`; our own server on this machine has none of them."""
    if settings.temporal_address is None:
        return {}
    named = ("tls", "api_key", "rpc_metadata")
    return {name: value for name, value in read_profile(settings.temporal_environment).items() if name in named}


async def start_task(client: Client, task_id: UUID, tenant: str, title: str, *, afresh: bool = False) -> None:
    """Start `AgentTask` for an accepted task; a second start of the same task changes nothing.

    Args:
        afresh: after a restore: end the one that runs, and begin again from the rows even where one has ended.

    Raises:
        RPCError: Temporal does not answer; `Reconcile` starts the task later.
    """
    try:
        await client.start_workflow(
            "AgentTask",
            AgentTaskInput(task_id=task_id, tenant=tenant),
            id=task_workflow_id(task_id),
            task_queue=ORCHESTRATOR_QUEUE,
            id_conflict_policy=(
                WorkflowIDConflictPolicy.TERMINATE_EXISTING if afresh else WorkflowIDConflictPolicy.USE_EXISTING
            ),
            id_reuse_policy=(
                WorkflowIDReusePolicy.ALLOW_DUPLICATE if afresh else WorkflowIDReusePolicy.REJECT_DUPLICATE
            ),
            search_attributes=TypedSearchAttributes(
                [SearchAttributePair(GOLDEN_TENANT, tenant), SearchAttributePair(GOLDEN_STATE, "submitted")]
            ),
            priority=Priority(fairness_key=tenant),
            static_summary=title,
            rpc_timeout=RPC_TIMEOUT,
        )
    except WorkflowAlreadyStartedError:
        return


async def start_execution(
    client: Client, execution: SandboxExecutionInput
) -> WorkflowHandle[Any, SandboxExecutionResult]:
    """Start `SandboxExecution`, or find the one that runs or has ended well; one that failed is started again.

    Raises:
        RPCError: Temporal does not answer.
    """
    workflow_id = execution_workflow_id(execution.execution_id)
    try:
        return await client.start_workflow(
            "SandboxExecution",
            execution,
            id=workflow_id,
            task_queue=ORCHESTRATOR_QUEUE,
            result_type=SandboxExecutionResult,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            # The step has its own limit; this one is for a workflow that no worker takes up.
            execution_timeout=timedelta(seconds=2 * execution.longest_seconds),
            search_attributes=TypedSearchAttributes([SearchAttributePair(GOLDEN_TENANT, execution.tenant)]),
            priority=Priority(fairness_key=execution.tenant),
            static_summary="a program in the sandbox",
            rpc_timeout=RPC_TIMEOUT,
        )
    except WorkflowAlreadyStartedError:
        return client.get_workflow_handle(workflow_id, result_type=SandboxExecutionResult)


async def start_approval(client: Client, wanted: LearningApprovalInput) -> None:
    """Start `LearningApproval`; one that runs is found. One that was ended by hand is started again from its row.

    Raises:
        RPCError: Temporal does not answer; `Reconcile` starts it later.
    """
    await client.start_workflow(
        "LearningApproval",
        wanted,
        id=approval_workflow_id(wanted.update_id),
        task_queue=SUPERVISOR_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        search_attributes=TypedSearchAttributes([SearchAttributePair(GOLDEN_TENANT, wanted.tenant)]),
        # Whoever waits for a task comes first.
        priority=Priority(priority_key=LAST, fairness_key=wanted.tenant),
        static_summary="a proposed change, and who approves it",
        rpc_timeout=RPC_TIMEOUT,
    )


def task_handle(client: Client, task_id: UUID) -> WorkflowHandle[Any, Any]:
    return client.get_workflow_handle(task_workflow_id(task_id))
