"""A child of the runner that waits for its work. It is forked before the job comes, since under gVisor a fork takes
longer than all else in a short run. Standard library only."""

import fcntl
import os
import pickle
import resource
import signal
import struct
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from deploy.sandbox import doors

CANDIDATE = 65534
OPEN_FILES = 256
REPORT, ORDERS, READY = 3, 4, 5
ABOVE = 64
"""From here up the child keeps its ends of the pipes until they are where they belong."""
CPU = struct.Struct(">d")
ORDER = struct.Struct(">I")

Work = Callable[[int], int]


@dataclass(frozen=True)
class Limits:
    """The limits of one run, in the units of the system.

    Attributes:
        processes: the limit that the system is told; 0 leaves the count to the container.
        crowd: the limit of processes, whoever counts.
        user: as whom the work is done.
    """

    seconds: float
    output: int
    processes: int
    crowd: int
    disk: int
    user: int = CANDIDATE

    @classmethod
    def of(cls, limits: dict[str, Any], *, count_processes: bool) -> "Limits":
        """From a job. Linux counts processes for a user over all containers, gVisor for one sandbox."""
        return cls(
            seconds=limits["seconds"],
            output=limits["output_kb"] * 1024,
            processes=limits["processes"] if count_processes else 0,
            crowd=limits["processes"],
            disk=limits["disk_mb"] * 1024 * 1024,
        )


@dataclass
class Standby:
    """A waiting child, and our ends of its pipes.

    Attributes:
        cpu_seconds: what getting ready cost it.
        unused: the children that were ended in favour of this one.
    """

    pid: int
    reads: dict[str, int]
    orders: int
    ready: int
    cpu_seconds: float = 0.0
    unused: tuple[int, ...] = ()

    def wait(self) -> None:
        """Until it is ready; ChildProcessError when it ended instead."""
        told = os.read(self.ready, CPU.size)
        os.close(self.ready)
        if len(told) != CPU.size:
            raise ChildProcessError("the candidate's process did not come up")
        (self.cpu_seconds,) = CPU.unpack(told)

    def start(self, work: Work, limits: Limits) -> None:
        """Have it become the candidate and do `work(report descriptor)`, which must be picklable."""
        order = pickle.dumps((work, limits))
        rest = memoryview(ORDER.pack(len(order)) + order)
        while rest:
            rest = rest[os.write(self.orders, rest) :]
        os.close(self.orders)

    def in_place_of(self, others: "list[Standby]") -> "Standby":
        """End the others, which are not needed; whoever reaps children finds them."""
        for other in others:
            os.kill(other.pid, signal.SIGKILL)
            for descriptor in (other.orders, *other.reads.values()):
                os.close(descriptor)
        return replace(self, unused=tuple(other.pid for other in others))


def prepare(warm: Callable[[], None]) -> Standby:
    """Fork a child that does `warm` and waits."""
    pipes = {name: os.pipe() for name in ("report", "orders", "ready")}
    # A pipe belongs to who makes it, for good under gVisor; the candidate opens its own again as /dev/stdout.
    os.seteuid(CANDIDATE)
    pipes |= {name: os.pipe() for name in ("stdout", "stderr")}
    os.seteuid(0)
    pid = os.fork()
    if pid == 0:
        _become({name: pipe[name != "orders"] for name, pipe in pipes.items()}, warm)
    for name, pipe in pipes.items():
        os.close(pipe[name != "orders"])
    reads = {name: pipes[name][0] for name in ("stdout", "stderr", "report")}
    return Standby(pid, reads, pipes["orders"][1], pipes["ready"][0])


def drop(limits: Limits) -> None:
    """Become the candidate, or another user of that kind, for good."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.disk, limits.disk))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    if limits.processes:
        resource.setrlimit(resource.RLIMIT_NPROC, (limits.processes, limits.processes))
    os.setgroups([])
    os.setresgid(limits.user, limits.user, limits.user)
    os.setresuid(limits.user, limits.user, limits.user)
    doors.close_calls()


def _become(ends: dict[str, int], warm: Callable[[], None]) -> None:
    """The child's life; does not return."""
    code = 1
    try:
        os.setsid()
        high = {name: fcntl.fcntl(end, fcntl.F_DUPFD, ABOVE) for name, end in ends.items()}
        os.dup2(high["stdout"], 1)
        os.dup2(high["stderr"], 2)
        for name, number in (("report", REPORT), ("orders", ORDERS), ("ready", READY)):
            os.dup2(high[name], number, inheritable=False)
        os.closerange(READY + 1, ABOVE + OPEN_FILES)
        warm()
        os.write(READY, CPU.pack(sum(os.times()[:2])))
        os.close(READY)
        work, limits = _order()
        drop(limits)
        code = work(REPORT)
    except BaseException:
        os.write(2, traceback.format_exc().encode("utf-8", "replace"))
    finally:
        os._exit(code)


def _order() -> tuple[Work, Limits]:
    with os.fdopen(ORDERS, "rb") as orders:
        prefix = orders.read(ORDER.size)
        if not prefix:
            os._exit(0)  # the runner has gone
        work, limits = pickle.loads(orders.read(ORDER.unpack(prefix)[0]))  # noqa: S301  (from process 1)
    return work, limits
