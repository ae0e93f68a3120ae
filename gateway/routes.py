"""The route table: the only list of what the gateway answers to, with the permission of each."""

from gateway import decisions, docs, events, executions, health, openapi, submission, task_views, tasks
from gateway.authorisation import Permission
from gateway.operations import KEY_HEADER, Operation, PublicOperation
from gateway.problems import (
    ALREADY_DECIDED,
    DATABASE_UNAVAILABLE,
    KEY_REUSED,
    NO_VOTE,
    NOT_FOUND,
    NOT_MIGRATED,
    SANDBOX_UNAVAILABLE,
    TASK_FINAL,
    TASK_NOT_ESCALATED,
    TASK_NOT_FINAL,
    TEMPORAL_UNAVAILABLE,
)
from schema.messages.execution import ExecutionSpec
from schema.messages.sandbox import SandboxRun
from schema.messages.task import TaskResult, TaskSpec, TaskView
from schema.messages.vote import Explanation

TASKS = "/v1/tasks"
TASK = f"{TASKS}/{{task_id}}"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="POST",
        path=TASKS,
        permission=Permission.TASKS_SUBMIT,
        handler=submission.submit_task,
        summary="Submit a task",
        status=202,
        takes=TaskSpec,
        returns=TaskView,
        headers=(KEY_HEADER,),
        problems=(KEY_REUSED,),
    ),
    Operation(
        method="GET",
        path=TASKS,
        permission=Permission.TASKS_READ,
        handler=tasks.list_tasks,
        summary="List tasks, newest first",
        query=tasks.TaskQuery,
        returns=tasks.TaskPage,
    ),
    Operation(
        method="GET",
        path=TASK,
        permission=Permission.TASKS_READ,
        handler=tasks.show_task,
        summary="Show a task and its progress",
        returns=TaskView,
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="GET",
        path=f"{TASK}/result",
        permission=Permission.TASKS_READ,
        handler=tasks.show_result,
        summary="Show what a final task came to",
        returns=TaskResult,
        problems=(NOT_FOUND, TASK_NOT_FINAL),
    ),
    Operation(
        method="GET",
        path=f"{TASK}/consensus",
        permission=Permission.TASKS_READ,
        handler=tasks.show_consensus,
        summary="Show how the vote on a final task was explained",
        returns=Explanation,
        problems=(NOT_FOUND, NO_VOTE, TASK_NOT_FINAL),
    ),
    Operation(
        method="GET",
        path=f"{TASK}/events",
        permission=Permission.TASKS_READ,
        handler=events.stream_events,
        summary="Follow a task's events, resumable by Last-Event-ID",
        query=events.EventsQuery,
        headers=("Last-Event-ID",),
        media_type="text/event-stream",
        problems=(NOT_FOUND,),
    ),
    Operation(
        method="POST",
        path=f"{TASK}/cancel",
        permission=Permission.TASKS_CANCEL,
        handler=decisions.cancel_task,
        summary="Cancel a task",
        status=202,
        returns=TaskView,
        headers=(KEY_HEADER,),
        owner=task_views.find_submitter,
        problems=(NOT_FOUND, TASK_FINAL, KEY_REUSED),
    ),
    Operation(
        method="POST",
        path=f"{TASK}/decision",
        permission=Permission.TASKS_DECIDE,
        handler=decisions.decide_task,
        summary="Decide on an escalated task",
        takes=decisions.DecisionRequest,
        returns=TaskView,
        headers=(KEY_HEADER,),
        owner=task_views.find_submitter,
        problems=(NOT_FOUND, TASK_NOT_ESCALATED, ALREADY_DECIDED, KEY_REUSED),
    ),
    Operation(
        method="POST",
        path="/v1/sandbox/executions",
        permission=Permission.SANDBOX_EXECUTE,
        handler=executions.execute,
        summary="Run a program in the sandbox",
        takes=ExecutionSpec,
        returns=SandboxRun,
        headers=(KEY_HEADER,),
        address_limit=executions.ADDRESS_LIMIT,
        problems=(KEY_REUSED, SANDBOX_UNAVAILABLE, TEMPORAL_UNAVAILABLE),
    ),
)

PUBLIC_OPERATIONS: tuple[PublicOperation, ...] = (
    PublicOperation("/healthz", health.live, "Whether the process answers"),
    PublicOperation(
        "/readyz", health.ready, "Whether tasks can be accepted", problems=(DATABASE_UNAVAILABLE, NOT_MIGRATED)
    ),
    PublicOperation("/.well-known/jwks.json", health.show_keys, "The public keys of tokens, as a JWK set"),
    PublicOperation("/openapi.json", openapi.show_openapi, "This description"),
    PublicOperation("/docs", docs.show_docs, "This description for people", media_type="text/html"),
)
