"""What a sandbox wrote, kept as it comes: it is there when the sandbox dies without an answer."""

from typing import Any

from deploy.sandbox import frames, judge, supervisor
from schema.messages.sandbox import SandboxJob


class Capture:
    """The output and the report of one run. Both are cut at their limits here too, whatever the runner sends."""

    def __init__(self, output: int) -> None:
        self._output = output
        self.crowded = False
        self._data = {"stdout": bytearray(), "stderr": bytearray(), "report": bytearray()}

    def take(self, message: dict[str, Any]) -> None:
        """Keep the chunks of one message; FrameError when it is of another shape."""
        for name, chunk in frames.unpack_chunks(message).items():
            if name == frames.CROWD:
                self.crowded = True
                continue
            if name not in self._data:
                raise frames.FrameError("the message has chunks of an unknown pipe")
            self._data[name] += chunk[: supervisor.room(name, self._data, self._output)]

    def text(self, name: str) -> str:
        """What was written, as text that every store can hold."""
        return self._data[name].decode("utf-8", "replace").replace("\x00", "\ufffd")

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
