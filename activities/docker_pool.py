"""The sandbox pool on Docker: single-use containers, made ahead, one for each run."""

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

import docker
from opentelemetry import trace
from pydantic import ValidationError

from activities import docker_lease, self_check
from activities.docker_capture import Capture
from activities.docker_container import (
    KILLED,
    Container,
    ContainerEnded,
    ContainerSpec,
    missing_runtime,
    unavailable,
)
from activities.meters import observe
from deploy.checks import Check
from deploy.sandbox import daemon, frames
from schema import metrics
from schema.errors import FinalError, IsolationRequired, SandboxBusy, SettingsError
from schema.messages.sandbox import Isolation, SandboxJob, SandboxLimits, SandboxRun, Usage

GVISOR_PIDS = 4096
"""Docker's limit of processes ends all of gVisor at once, and counts several of its threads for each process inside;
so it is far above what the runner lets a candidate have."""
RUNNER_PIDS = 8
PYTHON_EXIT = 2
REFILL_AFTER = 0.3
ONE_FREE_AFTER = (0.5, 1.5)


class DockerSandboxPool:
    """A `SandboxPool`; at most `size` runs at once, and `size` containers ahead of them.

    `owner` names this worker the same after a restart, so that it finds what it left when it crashed; two
    workers of one name on one engine don't disturb each other while both live.
    """

    def __init__(
        self,
        *,
        isolation: Literal["gvisor", "unsafe-runc"],
        runtime: str,
        images: Mapping[str, str],
        size: int,
        owner: str,
        wait_seconds: float = 30.0,
    ) -> None:
        self._isolation: Isolation = "gvisor" if isolation == "gvisor" else "runc"
        self._runtime = runtime if isolation == "gvisor" else "runc"
        self._images = dict(images)
        self._size = size
        self._owner = owner
        self._wait_seconds = wait_seconds
        self._labels = docker_lease.labels(owner)
        self._slots = asyncio.Semaphore(size)
        self._ahead: deque[asyncio.Task[Container]] = deque()
        self._running: set[Container] = set()
        self._cleaning: set[asyncio.Task[None]] = set()
        self._client: docker.DockerClient | None = None
        self._closed = False
        self._usual = self._spec(SandboxJob(files={}, command=(), limits=SandboxLimits()))

    async def start(self) -> None:
        """Connect, clear what a crashed predecessor left, prove one sandbox, and make the pool."""
        await self._open()
        await self.reap(self._owner)
        failed = [check for check in await self.check() if not check.ok]
        if failed:
            text = "; ".join(f"{check.name}: {check.problem} ({check.remedy})" for check in failed)
            refusal = SettingsError if all(check.name == self_check.LIMITS for check in failed) else IsolationRequired
            raise refusal(f"the sandbox does not hold, `golden doctor` tells the same: {text}")
        self._refill()

    async def check(self) -> list[Check]:
        """Look at a sandbox from inside: its kernel, network, root, user, what it sees of the host, its limits."""
        await self._open()
        async with self._slot():
            container = await self._take(self._usual, checked=False)
            kernel = self_check.kernel(container.isolation, self._isolation)
            async with self._closing(container):
                probed = await self._result(container, self_check.job(), time.monotonic())
        try:
            return [kernel, *self_check.judge(json.loads(probed.stdout), container.isolation)]
        except (ValueError, LookupError, TypeError) as error:
            raise SettingsError(f"the sandbox does not run as it must: {probed.stderr or error}") from error

    async def ready(self) -> None:
        """Returns when a sandbox is there for whoever comes next."""
        self._drop_dead()
        self._refill()
        if not self._ahead:
            raise unavailable("the sandbox pool is closed")
        await asyncio.shield(self._ahead[0])

    async def _open(self) -> None:
        if self._client is None:
            self._client = await asyncio.to_thread(_connect)
        self._closed = False
        if self._isolation == "gvisor":
            info = await asyncio.to_thread(self._client.info)
            if self._runtime not in info.get("Runtimes", {}):
                raise IsolationRequired(missing_runtime(self._runtime))

    async def run(self, job: SandboxJob) -> SandboxRun:
        """Run one job in a container of its own."""
        spec, asked = self._spec(job), time.monotonic()
        async with self._slot():
            container = await self._take(spec)
            observe(metrics.SANDBOX_START_SECONDS, time.monotonic() - asked)
            trace.get_current_span().add_event("golden.sandbox.taken")
            # A short run has the processor to itself; behind a long one the next is made meanwhile.
            refill = asyncio.get_running_loop().call_later(REFILL_AFTER, self._refill)
            try:
                async with self._closing(container):
                    run = await self._result(container, job, time.monotonic())
                observe(metrics.SANDBOX_RUN_SECONDS, run.usage.wall_seconds, run.limit or "none")
                return run
            finally:
                refill.cancel()
                self._refill()

    @asynccontextmanager
    async def _closing(self, container: Container) -> AsyncIterator[None]:
        self._running.add(container)
        try:
            yield
        finally:
            self._running.discard(container)
            container.hang_up()
            self._later(container.close())

    async def close(self) -> None:
        """End every container of this pool; a run that is still on is told SandboxUnavailable."""
        self._closed = True
        for container in self._running:
            container.hang_up()
        ahead, self._ahead = self._ahead, deque()
        for making in ahead:
            self._later(_close_made(making))
        while self._cleaning:
            await asyncio.wait(self._cleaning)
        if self._client is not None:
            await asyncio.to_thread(self._client.close)
            self._client = None

    async def settle(self) -> None:
        """Wait until what was used is removed and what is made ahead is there."""
        while waiting := [task for task in (*self._ahead, *self._cleaning) if not task.done()]:
            await asyncio.wait(waiting)

    async def reap(self, owner: str) -> int:
        """Remove the containers that crashed workers of this name left; how many there were."""
        return await asyncio.to_thread(docker_lease.reap, self._engine(), owner)

    def _spec(self, job: SandboxJob) -> ContainerSpec:
        image = self._images.get(job.image)
        if image is None:
            raise FinalError(f"there is no sandbox image {job.image!r}; there is {', '.join(sorted(self._images))}")
        # Linux counts a user's processes over all containers, so without gVisor Docker counts them.
        pids = GVISOR_PIDS if self._isolation == "gvisor" else job.limits.processes + RUNNER_PIDS
        return ContainerSpec(image, self._runtime, job.limits.memory_mb, job.limits.disk_mb, pids)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._slots.acquire()
        except TimeoutError:
            wait = random.uniform(*ONE_FREE_AFTER)  # noqa: S311
            raise SandboxBusy(f"all {self._size} sandboxes are taken", retry_after=wait) from None
        try:
            yield
        finally:
            self._slots.release()

    async def _take(self, spec: ContainerSpec, *, checked: bool = True) -> Container:
        """A container for these limits: one made ahead where they are the usual ones, else made now."""
        if spec != self._usual:
            return await self._wait_for(self._make(spec), checked)
        self._drop_dead()
        # One that is ready before one that is still being made.
        making = next((task for task in self._ahead if task.done()), None) or next(iter(self._ahead), None)
        if making is None:
            making = self._make(spec)
        else:
            self._ahead.remove(making)
        if checked and not self._ahead:
            # Whoever comes next would wait for it.
            self._refill()
        return await self._wait_for(making, checked)

    def _drop_dead(self) -> None:
        """Forget what failed to come up, or has died since, as all do when the engine restarts."""
        for task in [task for task in self._ahead if task.done()]:
            if task.exception() is not None:
                self._ahead.remove(task)
            elif not task.result().alive:
                self._ahead.remove(task)
                self._later(task.result().close())

    async def _wait_for(self, making: asyncio.Task[Container], checked: bool) -> Container:
        try:
            container = await asyncio.shield(making)
        except asyncio.CancelledError:
            self._later(_close_made(making))
            raise
        if self._closed:
            self._later(container.close())
            raise unavailable("the sandbox pool is closed")
        kernel = self_check.kernel(container.isolation, self._isolation)
        if checked and not kernel.ok:
            self._later(container.close())
            raise IsolationRequired(f"{kernel.problem}: {kernel.remedy}")
        return container

    def _make(self, spec: ContainerSpec) -> asyncio.Task[Container]:
        return asyncio.create_task(Container.open(self._engine(), spec, self._labels))

    def _refill(self) -> None:
        while not self._closed and len(self._ahead) < self._size:
            making = self._make(self._usual)
            # Looked at here, so that a failure that no run waited for is not reported as forgotten.
            making.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._ahead.append(making)

    async def _result(self, container: Container, job: SandboxJob, started: float) -> SandboxRun:
        capture = Capture(job.limits.output_kb * 1024)
        try:
            answer = await container.run(job, capture)
        except TimeoutError:
            answer = _without_answer(KILLED, "timeout", capture, job)
        except ContainerEnded as ended:
            answer = _without_answer(*self._ending(ended, capture), capture, job)
        except frames.FrameError as error:
            raise FinalError(f"the sandbox can't take or give this: {error}") from error
        if answer.pop("killed", False) and answer["limit"] is None and await container.ran_out_of_memory():
            answer["limit"] = _wanting(capture)
        wall = time.monotonic() - started
        try:
            usage = Usage(
                wall_seconds=wall,
                cpu_seconds=answer.pop("cpu_seconds"),
                peak_memory_mb=answer.pop("peak_memory_mb"),
            )
            said = {"stdout": capture.text("stdout"), "stderr": capture.text("stderr") + answer.pop("stderr", "")}
            found = capture.findings(job)
            return SandboxRun.model_validate(
                {**answer, **said, **found, "usage": usage, "isolation": container.isolation}
            )
        except (ValidationError, KeyError) as error:
            raise unavailable(f"the sandbox's answer is not of this version: {error}") from error

    def _ending(self, ended: ContainerEnded, capture: Capture) -> tuple[int, str]:
        """The exit code and the limit of a sandbox that ended as a whole."""
        if ended.oom:
            return KILLED, _wanting(capture)
        if ended.exit_code == PYTHON_EXIT and self._isolation == "gvisor":
            # gVisor's own end when the engine refuses it another process.
            return PYTHON_EXIT, "processes"
        raise unavailable(str(ended)) from ended

    def _engine(self) -> docker.DockerClient:
        if self._client is None:
            raise unavailable("the sandbox pool is not started")
        return self._client

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)


def _connect() -> docker.DockerClient:
    try:
        return daemon.connect(timeout=60)
    except daemon.NoDaemon as error:
        raise unavailable(str(error)) from error


async def _close_made(making: asyncio.Task[Container]) -> None:
    await asyncio.wait([making])
    if not making.cancelled() and making.exception() is None:
        await making.result().close()


def _wanting(capture: Capture) -> str:
    """What a sandbox without memory had too much of: copies of a large process fill it before they are too many."""
    return "processes" if capture.crowded else "oom"


def _without_answer(exit_code: int, limit: str, capture: Capture, job: SandboxJob) -> dict[str, Any]:
    tests = capture.tests(job, limit)
    return {"exit_code": exit_code, "limit": limit, "tests": tests, "cpu_seconds": 0.0, "peak_memory_mb": 0.0}
