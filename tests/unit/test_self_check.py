"""Each wall of a sandbox is judged by what a program in it found."""

from typing import Any

import pytest

from activities import self_check

MIB = 1024 * 1024
GOOD: dict[str, Any] = {
    "interfaces": ["lo"], "routes": 0, "root": ["ro", "relatime"], "mounts": ["/", "/work", "/proc", "/dev/shm"],
    "devices": ["null", "zero"], "sockets": [], "ids": [65534] * 6, "groups": [], "capabilities": [0, 0, 0],
    "no_new_privileges": True, "namespaces": False,
    "limits": {"NOFILE": 256, "FSIZE": 64 * MIB, "NPROC": 64, "CORE": 0},
    "tmpfs": {"/work": 64 * MIB, "/tmp": 16 * MIB, "/dev/shm": 16 * MIB}, "memory": 512 * MIB,
}  # fmt: skip


def failed(facts: dict[str, Any], *, gvisor: bool = True) -> list[str]:
    return [check.name for check in self_check.judge(facts, "gvisor" if gvisor else "runc") if not check.ok]


def test_a_sandbox_as_it_must_be_has_no_problem() -> None:
    assert failed(GOOD) == []


@pytest.mark.parametrize(
    ("wall", "changed"),
    [
        ("network", {"interfaces": ["lo", "eth0"]}),
        ("network", {"routes": 1}),
        ("root", {"root": ["rw"]}),
        ("root", {"root": []}),
        ("user", {"ids": [0] * 6}),
        ("user", {"ids": [65534] * 5 + [0]}),
        ("user", {"groups": [0]}),
        ("user", {"capabilities": [0, 0, 32]}),
        ("user", {"no_new_privileges": False}),
        ("user", {"namespaces": True}),
        ("host", {"mounts": ["/", "/home"]}),
        ("host", {"devices": ["null", "sda"]}),
        ("host", {"sockets": ["/var/run/docker.sock"]}),
        ("limits", {"memory": 2**63}),
        ("limits", {"limits": {**GOOD["limits"], "NOFILE": 1_024}}),
        ("limits", {"limits": {**GOOD["limits"], "FSIZE": -1}}),
        ("limits", {"limits": {**GOOD["limits"], "NPROC": -1}}),
        ("limits", {"limits": {**GOOD["limits"], "CORE": -1}}),
        ("limits", {"tmpfs": {**GOOD["tmpfs"], "/work": 0}}),
        ("limits", {"tmpfs": {**GOOD["tmpfs"], "/tmp": 2**40}}),
    ],
)
def test_each_wall_that_is_missing_is_named(wall: str, changed: dict[str, Any]) -> None:
    assert failed({**GOOD, **changed}) == [f"sandbox {wall}"]


def test_without_gvisor_the_engine_counts_the_processes() -> None:
    assert failed({**GOOD, "limits": {**GOOD["limits"], "NPROC": -1}}, gvisor=False) == []


def test_another_kernel_than_required_comes_with_its_remedy() -> None:
    check = self_check.kernel("runc", "gvisor")
    assert not check.ok
    assert "GOLDEN_SANDBOX_ISOLATION=unsafe-runc" in check.remedy
    assert self_check.kernel("runc", "runc").ok
