"""Jobs for real sandboxes, and what became of them."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import closing

import docker

from activities.docker_pool import DockerSandboxPool
from schema.messages.sandbox import SandboxJob, SandboxLimits, SandboxRun
from schema.settings import Settings

PYTEST = ("python", "-m", "pytest", "-q")
OWNER = f"tests-{os.getpid()}"
DOUBLE = "def double(x):\n    return 2 * x\n"
WRONG = "def double(x):\n    return x\n"
TESTS = {"test_double.py": "from double import double\n\n\ndef test_double():\n    assert double(2) == 4\n"}


def make_pool(owner: str = OWNER, *, size: int = 2, wait_seconds: float = 60) -> DockerSandboxPool:
    """A pool of the tests' own settings, under gVisor."""
    settings = Settings()
    return DockerSandboxPool(
        isolation="gvisor",
        runtime=settings.sandbox_runtime,
        images=settings.sandbox_images,
        size=size,
        owner=owner,
        wait_seconds=wait_seconds,
    )


def python(code: str, **limits: int) -> SandboxJob:
    """A job that runs one piece of Python, not judged."""
    return SandboxJob(files={"main.py": code}, command=("python", "main.py"), limits=SandboxLimits(**limits))


def judged(files: dict[str, str], tests: dict[str, str], **limits: int) -> SandboxJob:
    """A job that judges a candidate's files by tests."""
    return SandboxJob(files=files, tests=tests, command=PYTEST, limits=SandboxLimits(**limits))


def outcomes(run: SandboxRun) -> dict[str, str]:
    """The outcome of each test by its id."""
    return {test.id: test.outcome for test in run.tests}


def containers_of(owner: str) -> list[str]:
    """The ids of an owner's containers, running or not."""
    with closing(docker.from_env()) as client:
        return [entry["Id"] for entry in client.api.containers(all=True, filters={"label": f"golden.owner={owner}"})]


def kill_all(owner: str) -> None:
    """End an owner's containers behind the back of their pool, as a restart of the engine does."""
    with closing(docker.from_env()) as client:
        for container_id in containers_of(owner):
            client.api.kill(container_id)


async def until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if await asyncio.to_thread(condition):
            return True
        await asyncio.sleep(0.05)
    return False
