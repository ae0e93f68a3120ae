"""`GET /v1/tasks/{task_id}/findings`: what the guards found in a final task's candidate and nobody mended."""

from starlette.responses import Response

from gateway.operations import answer
from gateway.services import Call
from gateway.tasks import read_result
from schema.messages.base import Message
from schema.messages.sandbox import Finding
from schema.messages.task import TaskResult


class FindingPage(Message):
    """All of them, in the order in which the guards ran."""

    items: tuple[Finding, ...]
    next_cursor: None = None


async def list_findings(call: Call) -> Response:
    """What is left to mend."""
    result = TaskResult.model_validate_json(await read_result(call))
    return answer(FindingPage(items=result.findings))
