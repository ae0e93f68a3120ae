"""`GET /v1/tasks/{task_id}/findings`: what the guards found in a final task's candidate and nobody mended."""

import importlib.metadata
import json

from starlette.responses import Response

from gateway.negotiation import JSON, wanted
from gateway.operations import answer
from gateway.services import Call
from gateway.tasks import read_result
from schema.messages.base import Message
from schema.messages.sandbox import Finding
from schema.messages.task import TaskResult
from schema.sarif import to_sarif

SARIF = "application/sarif+json"
FORMS = (JSON, SARIF)
DISTRIBUTION = "golden"


class FindingPage(Message):
    """All of them, in the order in which the guards ran."""

    items: tuple[Finding, ...]
    next_cursor: None = None


async def list_findings(call: Call) -> Response:
    """What is left to mend, as a list, or as SARIF 2.1.0 for the tools that read it."""
    form = wanted(call.request, FORMS)
    result = TaskResult.model_validate_json(await read_result(call))
    headers = {"Vary": "Accept"}
    if form == JSON:
        return answer(FindingPage(items=result.findings), headers=headers)
    told = to_sarif(result.findings, importlib.metadata.version(DISTRIBUTION))
    return Response(json.dumps(told), headers=headers, media_type=SARIF)
