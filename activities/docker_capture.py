"""What a sandbox wrote, kept as it comes: it is there when the sandbox dies without an answer."""

import json
from typing import Any

from deploy.sandbox import frames, judge, supervisor
from deploy.sandbox.guards import findings, looking, registry
from schema.messages.sandbox import SandboxJob


class Capture:
    """The output and the report of one run. Both are cut at their limits here too, whatever the runner sends."""

    def __init__(self, output: int) -> None:
        self._output = output
        self.crowded = False
        self._found: Any = None
        self._data = {"stdout": bytearray(), "stderr": bytearray(), "report": bytearray()}

    def take(self, message: dict[str, Any]) -> None:
        """Keep the chunks of one message; FrameError when it is of another shape."""
        for name, chunk in frames.unpack_chunks(message).items():
            if name == frames.CROWD:
                self.crowded = True
                continue
            if name == frames.FINDINGS:
                self._found = _read(chunk)
                continue
            if name not in self._data:
                raise frames.FrameError("the message has chunks of an unknown pipe")
            self._data[name] += chunk[: supervisor.room(name, self._data, self._output)]

    def text(self, name: str) -> str:
        """What was written, as text that every store can hold."""
        return self._data[name].decode("utf-8", "replace").replace("\x00", "\ufffd")

    def findings(self, job: SandboxJob) -> dict[str, Any]:
        """What the guards of a run told before the candidate ran; whichever did not tell has crashed."""
        if job.guards is None or job.kind != "run":
            return {}
        if isinstance(self._found, dict) and self._found.keys() == {"findings", "weights"}:
            return self._found
        told = looking.read_reports(
            b"", [guard.name for guard in registry.GUARDS], {str(guard): said for guard, said in job.guards.items()}
        )
        return {"findings": told, "weights": findings.weights(told)}

    def tests(self, job: SandboxJob, limit: str) -> list[dict[str, Any]]:
        """What the tests of a judged job had told until the limit ended them all."""
        try:
            plan = judge.plan(list(job.command), dict(job.files), dict(job.tests), job.control)
        except judge.UsageError:
            return []
        if plan is None:
            return []
        report = bytes(self._data["report"])
        if job.control:
            return judge.control_verdicts(plan, report, job.control)
        return judge.verdicts(plan, report, limit)


def _read(chunk: bytes) -> Any:
    try:
        return json.loads(chunk)
    except (ValueError, RecursionError) as error:
        raise frames.FrameError("what the guards found is not JSON") from error
