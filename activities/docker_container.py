"""One single-use container: made, attached, given one job, and gone with its attachment."""

import asyncio
import os
import random
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import docker
import docker.errors

import deploy.sandbox
from activities import docker_tls
from activities.docker_capture import Capture
from deploy.sandbox import daemon, frames
from deploy.sandbox.daemon import NO_ANSWER
from deploy.sandbox.image import LABEL
from schema.errors import IsolationRequired, SandboxUnavailable, SettingsError
from schema.messages.sandbox import Isolation, SandboxJob

CAPABILITIES = ["SETUID", "SETGID", "KILL"]
HELLO_WITHIN = 60.0
"""A sandbox says hello in under a second; on a machine with many times more work than cores it was seen after 30."""
GRACE = 10.0
"""What the runner may take, over the job's own seconds, to write the files, to kill and to answer."""
GUARDING = 25.0
"""What guards or remedies may take before that."""
ROOM_FOR_GUARDS = 256
"""MiB from which a sandbox loads the guards ahead; tasks have the usual limits, which are above it."""
ENDED_WITHIN = 5.0
REMOVED_WITHIN = 10
KILLED = 137
MAX_STDERR = 4_000
TMP = "rw,nosuid,nodev,noexec,mode=1777,size=16m"
"""Also of /dev/shm, without which a lock of multiprocessing can't be made."""
STDOUT, STDERR = 1, 2
ENGINE_BACK_AFTER = (4.0, 7.0)


@dataclass(frozen=True)
class ContainerSpec:
    """What a container is made with; it can't be changed later, so other limits need another container."""

    image: str
    runtime: str
    memory_mb: int
    disk_mb: int
    pids: int

    def options(self) -> dict[str, Any]:
        """The engine's own words for it."""
        memory = self.memory_mb * 1024 * 1024
        return {
            "runtime": self.runtime,
            "network_mode": "none",
            "read_only": True,
            "auto_remove": True,
            "tmpfs": {
                "/work": f"rw,nosuid,nodev,mode=1777,size={self.disk_mb}m",
                "/tmp": TMP,  # noqa: S108
                "/dev/shm": TMP,  # noqa: S108
            },
            "cap_drop": ["ALL"],
            "cap_add": CAPABILITIES,
            "security_opt": ["no-new-privileges", f"seccomp={seccomp_profile()}"],
            "pids_limit": self.pids,
            "mem_limit": memory,
            "memswap_limit": memory,
            "nano_cpus": 1_000_000_000,
            "log_config": docker.types.LogConfig(type="none"),
            "ipc_mode": "none",
        }


class ContainerEnded(Exception):
    """The container ended without an answer."""

    def __init__(self, exit_code: int | None, oom: bool, stderr: str) -> None:
        super().__init__(f"the sandbox ended without an answer, exit code {exit_code}: {stderr.strip() or 'no output'}")
        self.exit_code = exit_code
        self.oom = oom


class Container:
    """A running container whose runner has said hello. Closing the connection ends it, as our own death does."""

    def __init__(self, client: docker.DockerClient, container_id: str) -> None:
        self._client = client
        self.id = container_id
        self.isolation: Isolation = "runc"
        self._since = int(time.time()) - 1
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, client: docker.DockerClient, spec: ContainerSpec, labels: Mapping[str, str]) -> Self:
        """Make one and wait for its runner. Not to be cancelled: a thread is at work, and would go on."""
        container_id, connection = await asyncio.to_thread(_make, client, spec, labels)
        container = cls(client, container_id)
        container._reader, container._writer = await asyncio.open_connection(sock=connection)
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                hello = await container._receive()
        except (ContainerEnded, frames.FrameError, TimeoutError, OSError) as error:
            await container.close()
            raise unavailable(f"a sandbox did not come up: {error}") from error
        if hello.get("hello") != frames.PROTOCOL:
            await container.close()
            raise SettingsError(f"{spec.image} is of another version of Golden: run `python -m deploy.sandbox.setup`")
        container.isolation = "gvisor" if hello.get("isolation") == "gvisor" else "runc"
        return container

    @property
    def alive(self) -> bool:
        """Whether the connection still stands."""
        return not self._reader.at_eof()

    async def run(self, job: SandboxJob, capture: Capture) -> dict[str, Any]:
        """Give the one job and return the runner's answer; TimeoutError when even the runner is stuck."""
        message = job.model_dump(mode="json", exclude={"image"})
        guarding = GUARDING if job.guards is not None or job.kind == "mend" else 0.0
        async with asyncio.timeout(job.limits.seconds + guarding + GRACE):
            self._writer.write(frames.pack(message, frames.MAX_JOB))
            # A runner that dies while it is written to shows in what is read.
            with suppress(ConnectionError):
                await self._writer.drain()
            while frames.CHUNKS in (message := await self._receive()):
                capture.take(message)
            return message

    async def ran_out_of_memory(self) -> bool:
        """Whether the kernel killed something in it for want of memory."""
        ending = await asyncio.to_thread(self._events, 0.0)
        return bool(ending["oom"])

    async def close(self) -> None:
        """End and remove it, whatever it is doing."""
        self.hang_up()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
        await asyncio.to_thread(end, self._client, self.id)

    def hang_up(self) -> None:
        """Close the connection, which ends the container without waiting for it."""
        self._writer.close()

    async def _receive(self) -> dict[str, Any]:
        size = frames.body_size(await self._take(frames.PREFIX.size), frames.MAX_ANSWER)
        return frames.unpack(await self._take(size))

    async def _take(self, size: int) -> bytes:
        """The next bytes of the runner's output, out of the engine's stream of both outputs."""
        while len(self._stdout) < size:
            try:
                header = await self._reader.readexactly(8)
                data = await self._reader.readexactly(int.from_bytes(header[4:], "big"))
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                ending = await asyncio.to_thread(self._events, ENDED_WITHIN)
                raise ContainerEnded(
                    ending["exit_code"], ending["oom"], self._stderr.decode(errors="replace")
                ) from error
            if header[0] == STDOUT:
                self._stdout += data
            elif header[0] == STDERR:
                self._stderr = (self._stderr + data)[-MAX_STDERR:]
        taken, self._stdout = bytes(self._stdout[:size]), self._stdout[size:]
        return taken

    def _events(self, wait: float) -> dict[str, Any]:
        """How it ended, from the engine's memory of events: the container itself is removed as soon as it ends."""
        ending: dict[str, Any] = {"oom": False, "by_engine": False, "exit_code": None}
        answered = True
        deadline = time.monotonic() + wait
        while True:
            # Up to this very moment, as a text: a whole second would have the engine wait for it to come.
            until: Any = f"{time.time():.9f}"
            try:
                if daemon.unreachable():
                    raise OSError
                for event in self._client.events(
                    decode=True, since=self._since, until=until, filters={"container": self.id}
                ):
                    if event.get("Action") == "oom":
                        ending["oom"] = True
                    elif event.get("Action") == "kill":
                        ending["by_engine"] = True
                    elif event.get("Action") == "die":
                        ending["exit_code"] = int(event["Actor"]["Attributes"].get("exitCode", -1))
            except NO_ANSWER:
                # An engine that comes back kills what ran before.
                answered = False
            if ending["exit_code"] is not None or time.monotonic() >= deadline:
                # The engine loses one report of an out-of-memory kill in twenty, but none of a kill that it did itself.
                ending["oom"] |= answered and ending["exit_code"] == KILLED and not ending["by_engine"]
                return ending
            time.sleep(0.05)


@cache
def seccomp_profile() -> str:
    """Our profile, as the engine takes it."""
    return (Path(deploy.sandbox.__file__).parent / "seccomp.json").read_text()


def end(client: docker.DockerClient, container_id: str) -> None:
    """Kill a container that was started, and wait until the engine has removed it.

    The engine removes it by itself. Two removals at once make some engines list it for ever as being removed, so
    there is a second only where the first doesn't come.
    """
    if daemon.unreachable():
        return  # it ends every container when it comes back
    with suppress(*NO_ANSWER):
        client.api.kill(container_id)
    try:
        client.api.wait(container_id, timeout=REMOVED_WITHIN, condition="removed")
    except docker.errors.NotFound:
        return
    except NO_ANSWER:
        remove(client, container_id)


def remove(client: docker.DockerClient, container_id: str) -> None:
    """Remove a container in any state; one that is gone is fine, and so is an engine that is away."""
    if daemon.unreachable():
        return
    with suppress(*NO_ANSWER):
        client.api.remove_container(container_id, force=True)


def _make(client: docker.DockerClient, spec: ContainerSpec, labels: Mapping[str, str]) -> tuple[str, socket.socket]:
    container_id, connection = "", None
    if away := daemon.unreachable():
        raise unavailable(f"the container engine does not answer: {away}")
    try:
        if LABEL not in (client.images.get(spec.image).labels or {}):
            raise SettingsError(
                f"{spec.image} is no sandbox of Golden's: build it FROM the default one, or take it out of"
                " GOLDEN_SANDBOX_IMAGES"
            )
        created = client.api.create_container(
            spec.image,
            command=[frames.WITH_GUARDS] if spec.memory_mb >= ROOM_FOR_GUARDS else [],
            stdin_open=True,
            labels=dict(labels),
            host_config=client.api.create_host_config(**spec.options()),
        )
        container_id = created["Id"]
        discarded = [warning for warning in created.get("Warnings") or () if "discarded" in warning]
        if discarded:
            remove(client, container_id)
            raise SettingsError(f"the container engine can't keep a sandbox's limits: {' '.join(discarded)}")
        connection = _attach(client, container_id)
        client.api.start(container_id)
    except NO_ANSWER as error:
        if connection is not None:
            connection.close()
        if container_id:
            remove(client, container_id)
        raise explain(error, spec) from error
    return container_id, connection


def _attach(client: docker.DockerClient, container_id: str) -> socket.socket:
    """Our own handle of the attachment, before the start, so that nothing is lost and its end is seen."""
    params = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    attached = client.api.attach_socket(container_id, params=params)
    if isinstance(attached, ssl.SSLSocket):
        connection = docker_tls.plain(attached)
        connection.setblocking(False)
        return connection
    connection = socket.socket(fileno=os.dup(attached.fileno()))
    attached._response.close()
    connection.setblocking(False)
    return connection


def unavailable(problem: str) -> SandboxUnavailable:
    """What to raise when the engine is in trouble: it needs longer than a full pool, and not everybody at once."""
    return SandboxUnavailable(problem, retry_after=random.uniform(*ENGINE_BACK_AFTER))  # noqa: S311


def explain(error: Exception, spec: ContainerSpec) -> Exception:
    """The engine's failure as ours, with what to do."""
    if isinstance(error, docker.errors.ImageNotFound):
        return SettingsError(f"there is no image {spec.image}: run `python -m deploy.sandbox.setup`, or bring it")
    text = str(error)
    if isinstance(error, docker.errors.APIError) and "nknown runtime" in text:
        return IsolationRequired(missing_runtime(spec.runtime))
    return unavailable(f"the container engine could not make a sandbox: {text}")


def missing_runtime(runtime: str) -> str:
    """What to tell when gVisor is required and not there."""
    return (
        f"Docker has no runtime {runtime}, and generated code runs under gVisor only; `golden doctor` tells what to"
        " do. Where a shared kernel is acceptable, GOLDEN_SANDBOX_ISOLATION=unsafe-runc says so."
    )
