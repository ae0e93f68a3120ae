"""A part of the stack as a child process: started, probed until ready, restarted when it dies, stopped in the end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LIFELINE = Path(__file__).with_name("lifeline.py")
LONGEST_DELAY = 10.0
HEALTHY_AFTER = 30.0
"""A part that lived so long, in seconds, is restarted as if it had never died before."""
STARTS = 4
"""A part that dies so often before it is ready is given up."""
PROBE_TIMEOUT = 5.0
PROBE_PAUSE = 0.05
LARGEST_LOG = 20 * 1024 * 1024

Report = Callable[[str, str], None]


def print_line(name: str, text: str) -> None:
    """The reporter of the terminal: one plain line for each thing that a part did."""
    print(f"{name:<10} {text}", flush=True)


@dataclass(frozen=True)
class Part:
    """What to run and how to tell that it works.

    `ready` answers whether the part does its work now; an OSError or a TimeoutError counts as no.
    `death_signal` is what the kernel sends to the part when the supervisor dies.
    `refusal` is the exit code by which the part says that its settings can't be used: it is not started again.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], Awaitable[bool]]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    ready_within: float = 60.0
    grace: float = 10.0
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    refusal: int | None = None


class PartFailed(Exception):
    """A part did not become ready, or was given up. `lines` are the last of its log."""

    def __init__(self, name: str, reason: str, lines: list[str]) -> None:
        super().__init__(f"{name} {reason}")
        self.name = name
        self.reason = reason
        self.lines = lines


class PartRefused(PartFailed):
    """A part ended with its `refusal`."""

    def __init__(self, name: str, lines: list[str]) -> None:
        super().__init__(name, "can't work with its settings", lines)


class Process:
    """A running part. Start it in the thread that lives as long as the program: the kernel watches that thread."""

    def __init__(self, part: Part, logs: Path, report: Report = print_line) -> None:
        self.part = part
        self.log = logs / f"{part.name}.log"
        # For people: `kill -9 $(cat .golden/run/worker.pid)`. Nothing here believes it.
        self._pid_file = logs.parent / "run" / f"{part.name}.pid"
        self._report = report
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = asyncio.Event()
        self._was_ready = False
        self._refused = False
        self._watcher: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The running child's process id; None while there is none."""
        return self._child.pid if self._child is not None else None

    async def start(self) -> None:
        """Start the part and wait until it is ready; raises PartFailed, with nothing left running."""
        began = time.monotonic()
        self._watcher = asyncio.create_task(self._watch())
        ready = asyncio.create_task(self._until_ready())
        try:
            done, _ = await asyncio.wait(
                {ready, self._watcher}, timeout=self.part.ready_within, return_when=asyncio.FIRST_COMPLETED
            )
        except asyncio.CancelledError:
            await self.stop()
            raise
        finally:
            await _end(ready)
        if ready not in done:
            ended = self._watcher in done
            await self.stop()
            self.check()
            reason = "ended again and again" if ended else f"was not ready within {self.part.ready_within:g} s"
            raise PartFailed(self.part.name, reason, tail(self.log))
        ready.result()
        self._was_ready = True
        self._report(self.part.name, f"ready  ({time.monotonic() - began:.1f} s)")

    def check(self) -> None:
        """Raise PartRefused if the part has refused."""
        if self._refused:
            raise PartRefused(self.part.name, tail(self.log))

    async def ended(self) -> None:
        """Wait until the part is neither running nor started again; raises PartRefused if it has refused."""
        if self._watcher is not None:
            await asyncio.wait({self._watcher})  # which doesn't cancel it with us
        self.check()

    async def stop(self) -> None:
        """Ask the part to end, wait for its grace, then kill it."""
        self._stopping.set()
        if self._watcher is None:
            return
        if self._child is not None:
            os.kill(self._child.pid, self.part.stop_signal)  # not reaped yet, so the number is its own
        _, pending = await asyncio.wait({self._watcher}, timeout=self.part.grace)
        if pending and self._child is not None:
            self._report(self.part.name, f"did not end within {self.part.grace:g} s: killed")
            os.killpg(self._child.pid, signal.SIGKILL)
        await self._watcher

    async def _watch(self) -> None:
        """Run the part again whenever it ends, at once at first, then more and more slowly."""
        delay, starts = 0.0, 0
        while not self._stopping.is_set():
            born = time.monotonic()
            code = await self._run_once()
            starts += 1
            self._refused = code == self.part.refusal and not self._stopping.is_set()
            if self._refused or self._stopping.is_set() or (not self._was_ready and starts >= STARTS):
                return
            if time.monotonic() - born > HEALTHY_AFTER:
                delay = 0.0
            again = f"in {delay:g} s" if delay else "at once"
            self._report(self.part.name, f"ended ({_describe(code)}; see {self.log}); starting again {again}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = min(max(1.0, 2 * delay), LONGEST_DELAY)

    async def _run_once(self) -> int:
        self._child = child = self._spawn()
        self._pid_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._pid_file.write_text(f"{child.pid}\n")
        announcement = asyncio.create_task(self._announce()) if self._was_ready else None
        try:
            await _exited(child.pid)
            # Not reaped yet, so that its number still belongs to its group: what it left behind goes with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            return child.wait()
        finally:
            self._child = None
            self._pid_file.unlink(missing_ok=True)
            if announcement is not None:
                await _end(announcement)

    def _spawn(self) -> subprocess.Popen[bytes]:
        self.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        lifeline = [sys.executable, "-I", "-S", str(LIFELINE), str(os.getpid()), str(int(self.part.death_signal))]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*lifeline, *self.part.command],
                env=dict(self.part.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is the supervisor's alone
            )

    async def _announce(self) -> None:
        began = time.monotonic()
        await self._until_ready()
        self._report(self.part.name, f"ready again  ({time.monotonic() - began:.1f} s)")

    async def _until_ready(self) -> None:
        while True:
            # Not by `wait_for`, which loses a cancel that comes just as the answer does (until Python 3.12).
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(PROBE_TIMEOUT):
                    if self._child is not None and await self.part.ready():
                        return
            await asyncio.sleep(PROBE_PAUSE)


def tail(log: Path, lines: int = 20) -> list[str]:
    """The last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 64 * 1024))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


async def _exited(pid: int) -> None:
    """Wait until a child has ended, without reaping it."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    descriptor = os.pidfd_open(pid)
    try:
        loop.add_reader(descriptor, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _describe(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
