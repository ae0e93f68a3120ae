"""The pool looks at a sandbox from inside before it serves, and refuses one with a wall missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from activities import docker_container
from activities.docker_container import ContainerSpec
from activities.docker_pool import DockerSandboxPool
from deploy.local import doctor
from schema.errors import IsolationRequired, SettingsError
from schema.settings import Settings
from tests.support.sandbox import OWNER, containers_of, make_pool, until

pytest_plugins = ["tests.support.sandbox_fixtures"]
pytestmark = pytest.mark.sandbox

CHECKS = {f"sandbox {name}" for name in ("kernel", "network", "root", "user", "host", "limits")}
Weaken = Callable[[dict[str, Any]], object]


def weakened(monkeypatch: pytest.MonkeyPatch, weaken: Weaken, isolation: str = "unsafe-runc") -> DockerSandboxPool:
    """A pool whose containers are made with something else than they must be."""
    options = ContainerSpec.options

    def weak(spec: ContainerSpec) -> dict[str, Any]:
        changed = options(spec)
        weaken(changed)
        return changed

    monkeypatch.setattr(ContainerSpec, "options", weak)
    settings = Settings()
    return DockerSandboxPool(
        isolation="gvisor" if isolation == "gvisor" else "unsafe-runc",
        runtime=settings.sandbox_runtime,
        images=settings.sandbox_images,
        size=1,
        owner=f"{OWNER}-weak",
    )


def without_tmpfs(path: str) -> Weaken:
    return lambda options: options["tmpfs"].pop(path)


def unlimited_tmpfs(options: dict[str, Any]) -> None:
    options["tmpfs"]["/tmp"] = "rw,mode=1777,size=4g"


WEAK: dict[str, tuple[Weaken, str, type[Exception], str]] = {
    "a network": (lambda options: options.update(network_mode="bridge"), "network", IsolationRequired, "eth0"),
    "a root that can be written": (
        lambda options: options.update(read_only=False), "root", IsolationRequired, "can be written",
    ),
    "a folder of the host": (
        lambda options: options.update(binds=["/usr/share:/host:ro"]), "host", IsolationRequired, "/host",
    ),
    "a socket of the host": (
        lambda options: options.update(binds=["/var/run/docker.sock:/var/run/docker.sock"]),
        "host", IsolationRequired, "docker.sock",
    ),
    "a device of the host": (
        lambda options: options.update(devices=[{"PathOnHost": "/dev/loop-control", "PathInContainer": "/dev/loop",
                                                 "CgroupPermissions": "r"}]),
        "host", IsolationRequired, "loop",
    ),
    "no limit of memory": (
        lambda options: (options.pop("mem_limit"), options.pop("memswap_limit")), "limits", SettingsError, "memory",
    ),
    "no limit of temporary files": (unlimited_tmpfs, "limits", SettingsError, "temporary files"),
    "no shared memory of its own": (without_tmpfs("/dev/shm"), "limits", SettingsError, "shared memory"),
}  # fmt: skip


async def test_a_sandbox_as_it_must_be_passes_every_check(sandboxed: None) -> None:
    pool = make_pool(f"{OWNER}-checked", size=1)
    checks = await pool.check()
    await pool.close()
    assert {check.name for check in checks} == CHECKS
    assert [check for check in checks if not check.ok] == []
    assert await until(lambda: not containers_of(f"{OWNER}-checked"))


@pytest.mark.parametrize("name", WEAK)
async def test_a_sandbox_with_a_wall_missing_is_refused_by_the_name_of_the_wall(
    sandboxed: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    weaken, wall, error, problem = WEAK[name]
    pool = weakened(monkeypatch, weaken)
    failed = [check for check in await pool.check() if not check.ok]
    assert f"sandbox {wall}" in {check.name for check in failed}
    assert problem in " ".join(check.problem for check in failed)
    with pytest.raises(error, match=f"sandbox {wall}"):
        await pool.start()
    await pool.close()
    assert await until(lambda: not containers_of(f"{OWNER}-weak"))


async def test_under_gvisor_the_limit_of_memory_is_looked_at_too(
    sandboxed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = weakened(monkeypatch, lambda options: options.update(mem_limit="2g", memswap_limit="2g"), "gvisor")
    failed = [check for check in await pool.check() if not check.ok]
    await pool.close()
    assert [check.name for check in failed] == ["sandbox limits"]


async def test_an_engine_that_discards_a_limit_is_refused(sandboxed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    create = docker.APIClient.create_container

    def discarding(*arguments: Any, **named: Any) -> dict[str, Any]:
        return {**create(*arguments, **named), "Warnings": ["No memory limit here. Limitation discarded."]}

    monkeypatch.setattr(docker.APIClient, "create_container", discarding)
    pool = make_pool(f"{OWNER}-discards", size=1)
    with pytest.raises(SettingsError, match="can't keep a sandbox's limits: No memory limit here"):
        await pool.start()
    await pool.close()
    assert await until(lambda: not containers_of(f"{OWNER}-discards"))


def test_the_doctor_shows_the_checks(sandboxed: None) -> None:
    rows = {check.name: check for check in doctor.examine(Settings())}
    assert set(rows) >= CHECKS
    assert all(rows[name].ok for name in CHECKS)


def test_the_doctor_tells_of_a_runtime_that_is_not_what_it_is_called(
    sandboxed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLDEN_SANDBOX_RUNTIME", "runc")
    kernel = next(check for check in doctor.examine(Settings()) if check.name == "sandbox kernel")
    assert "gave runc" in kernel.problem
    assert "GOLDEN_SANDBOX_ISOLATION=unsafe-runc" in kernel.remedy


def test_without_an_engine_the_doctor_says_so_and_looks_no_further(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    names = [check.name for check in doctor.examine(Settings())]
    assert "docker" in names
    assert not CHECKS & set(names)


def test_the_seam_has_nothing_of_the_engines() -> None:
    source = (Path(docker_container.__file__).parent / "sandbox_pool.py").read_text()
    assert "docker" not in source.lower()
