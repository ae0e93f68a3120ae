"""The seam between the activities and whatever runs generated code. No container engine shows through it."""

from typing import Protocol

from schema.messages.sandbox import SandboxJob, SandboxRun


class SandboxPool(Protocol):
    """Single-use sandboxes, made ahead."""

    async def start(self) -> None:
        """Check that a sandbox is what the settings require, and make some ahead.

        Raises IsolationRequired, SettingsError or SandboxUnavailable.
        """
        ...

    async def ready(self) -> None:
        """Returns when a sandbox could be had; raises SandboxUnavailable when none can be made."""
        ...

    async def run(self, job: SandboxJob) -> SandboxRun:
        """Run one job in a sandbox of its own; cancelling ends the sandbox.

        A candidate that fails, or meets a limit, is a result. Raises SandboxBusy when no sandbox comes free in
        time, SandboxUnavailable when none can be made, IsolationRequired when it would be weaker than required,
        and FinalError for a job that can't be run at all.
        """
        ...

    async def close(self) -> None:
        """End every sandbox of this pool."""
        ...
