"""Jobs for real sandboxes, and what became of them."""

import os
from contextlib import closing

import docker

from activities.docker_pool import DockerSandboxPool
from schema.messages.sandbox import SandboxJob, SandboxLimits, SandboxRun
from schema.settings import Settings

PYTEST = ("python", "-m", "pytest", "-q")
OWNER = f"tests-{os.getpid()}"


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
