"""Runs the candidate as another user and watches it to its end. Standard library only."""

import contextlib
import errno
import math
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass, field

from deploy.sandbox import frames
from deploy.sandbox.standby import Limits, Standby, Work, drop

MAX_REPORT = 2 * 1024 * 1024
CHUNK = 1 << 16
TMPFS = ("/work", "/tmp", "/dev/shm")  # noqa: S108
EXIT_AT_LIMIT = 7
FILLING = 0.25
"""Seen this full, a disk may have been full between two looks: what fills it may be gone at once with its program."""
TOO_LARGE = ("[Errno 27]", "File too large")
DISK_WORDS = ("[Errno 28]", "No space left on device")
PROCESS_WORDS = ("[Errno 11]", "Resource temporarily unavailable", "Cannot fork")
NO_THREAD = "can't start new thread"
AT_ONCE = 64
"""So many times what was read is told as it comes; then at most every EVERY seconds, since each costs the worker."""
EVERY = 0.02
LOOK_EVERY = 0.05
FULL, NEARLY = 0.97, 0.8
CROWD = 0.5
"""A sandbox without memory for so much of its processes' limit and more is one with too many processes."""

Tell = Callable[[dict[str, bytes]], None]


@dataclass
class Ended:
    """How a run ended."""

    exit_code: int = 0
    limit: str | None = None
    killed: bool = False
    stdout: bytes = b""
    stderr: bytes = b""
    report: bytes = b""
    cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    disk: float = 0.0
    crowd: float = 0.0
    """The most that was seen of a disk and of the limit of processes, as a part of it."""


def supervise(standby: Standby, work: Work, limits: Limits, parent: int, tell: Tell) -> Ended:
    """Run `work(report descriptor)` as the candidate; when this returns no process of it is left.

    `tell` is given what it writes, by the pipe's name, soon after it is written: who dies with the sandbox tells
    nothing more.
    """
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    os.set_blocking(wake_read, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    standby.start(work, limits)
    watch = _Watch(standby, limits, tell)
    watch.until_end(wake_read, parent)
    return watch.finish()


def limit_from_text(ended: Ended, messages: Iterable[str], made: Callable[[], float]) -> str | None:
    """The limit that a failed program met and told about, where the system showed that it came near.

    `made` says how many processes and threads there were in all, as a part of their limit: threads come and go
    between two looks.
    """
    if ended.exit_code == 0:
        return None
    if ended.exit_code == 128 + signal.SIGXFSZ:
        return "disk"
    told = "\n".join([ended.stdout.decode("utf-8", "replace"), ended.stderr.decode("utf-8", "replace"), *messages])
    # A file that is larger than it may be leaves no trace of its own.
    if any(word in told for word in TOO_LARGE) or (ended.disk >= FILLING and any(word in told for word in DISK_WORDS)):
        return "disk"
    # The same words are said of a pipe that is empty: only a fork that fails is a limit.
    refused = NO_THREAD in told or ("fork" in told and any(word in told for word in PROCESS_WORDS))
    return "processes" if refused and (ended.crowd >= NEARLY or made() >= NEARLY) else None


def room(name: str, data: Mapping[str, Sized], output: int) -> int:
    """How many bytes more of a pipe are kept: the report has a limit of its own, both outputs have one together."""
    if name == "report":
        return MAX_REPORT - len(data["report"])
    return output - len(data["stdout"]) - len(data["stderr"])


def made_since(standby: Standby, limits: Limits) -> float:
    """The processes and threads that were made after this child, as a part of the limit: their numbers only rise."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return (pid - standby.pid) / limits.crowd


@dataclass
class _Watch:
    standby: Standby
    limits: Limits
    tell: Tell
    ended: Ended = field(default_factory=Ended)
    status: int | None = None
    data: dict[str, bytearray] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    times_told: int = 0
    next_told: float = 0.0
    next_look: float = 0.0

    def __post_init__(self) -> None:
        self.data = {name: bytearray() for name in self.standby.reads}
        self.told = dict.fromkeys(self.data, 0)
        self.ended.cpu_seconds = -self.standby.cpu_seconds

    def until_end(self, wake: int, parent: int) -> None:
        """Until the candidate's first process has ended or a limit is met."""
        deadline = time.monotonic() + self.limits.seconds
        with selectors.DefaultSelector() as selector:
            selector.register(wake, selectors.EVENT_READ, "wake")
            selector.register(parent, selectors.EVENT_READ, "parent")
            for name, descriptor in self.standby.reads.items():
                selector.register(descriptor, selectors.EVENT_READ, name)
            while self.status is None and self.ended.limit is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    self.ended.limit = "timeout"
                    return
                for key, _ in selector.select(min(left, self._until_told(), LOOK_EVERY)):
                    self._handle(selector, key)
                if time.monotonic() >= self.next_look:
                    self._look()
                if self._until_told() <= 0:
                    self._tell()

    def _look(self) -> None:
        """Note how full the disks and the table of processes are; the worker is told of a crowd while it can be."""
        self.ended.disk = max(self.ended.disk, *map(_fullness, TMPFS))
        known, self.ended.crowd = self.ended.crowd, max(self.ended.crowd, _others() / self.limits.crowd)
        if known < CROWD <= self.ended.crowd:
            self.tell({frames.CROWD: b"%d" % _others()})
        self.next_look = time.monotonic() + LOOK_EVERY

    def _until_told(self) -> float:
        """How long what was read may still be kept; endless when there is nothing."""
        if all(self.told[name] == len(data) for name, data in self.data.items()):
            return math.inf
        return 0.0 if self.times_told < AT_ONCE else self.next_told - time.monotonic()

    def _tell(self) -> None:
        news = {name: bytes(data[self.told[name] :]) for name, data in self.data.items()}
        self.told = {name: len(data) for name, data in self.data.items()}
        self.tell({name: data for name, data in news.items() if data})
        self.times_told += 1
        self.next_told = time.monotonic() + EVERY

    def _handle(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        if key.data == "wake":
            os.read(key.fd, CHUNK)
            self._reap(os.WNOHANG)
        elif key.data == "parent":
            # The worker has gone or has given up this run; nobody would read an answer.
            os._exit(1)
        elif self._read(key.data):
            selector.unregister(key.fd)

    def _read(self, name: str) -> bool:
        """Take one chunk; True at the end of the stream."""
        chunk = os.read(self.standby.reads[name], CHUNK)
        left = room(name, self.data, self.limits.output)
        self.data[name] += chunk[:left]
        if len(chunk) > left:
            self.ended.limit = self.ended.limit or "output"
        return not chunk

    def _reap(self, options: int) -> bool:
        """Collect ended processes; False when there is none left at all."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, options)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid in self.standby.unused:
                continue
            self.ended.cpu_seconds += usage.ru_utime + usage.ru_stime
            self.ended.peak_memory_mb = max(self.ended.peak_memory_mb, usage.ru_maxrss / 1024)
            if pid == self.standby.pid:
                self.status = status
            if options == 0:
                return True

    def finish(self) -> Ended:
        """Look for limits that still show, end every process, take the last output."""
        ended = self.ended
        by_us = self.status is None
        # A crowd that runs would keep us from looking and from killing.
        _signal_all(signal.SIGSTOP)
        self._look()
        if ended.limit in (None, "timeout") and self._crowded():
            ended.limit = "processes"
        self._kill_all()
        for name, descriptor in self.standby.reads.items():
            # A descriptor on its way through a socket that nobody has any more keeps the other end open for ever.
            os.set_blocking(descriptor, False)
            with contextlib.suppress(BlockingIOError):
                while not self._read(name):
                    pass
            os.close(descriptor)
        if self._until_told() < math.inf:
            self._tell()
        ended.exit_code = exit_code(self.status or 0)
        ended.killed = ended.exit_code == 128 + signal.SIGKILL and not by_us
        if ended.limit is None and ended.exit_code != 0 and ended.disk >= FULL:
            ended.limit = "disk"
        ended.stdout, ended.stderr, ended.report = (bytes(self.data[name]) for name in ("stdout", "stderr", "report"))
        return ended

    def _kill_all(self) -> None:
        alive = True
        while alive:
            _signal_all(signal.SIGKILL)
            alive = self._reap(0)

    def _crowded(self) -> bool:
        """Whether the candidate's user has no process left to start, as it stands."""
        if _others() < 2 and self.ended.limit is None:
            return False
        try:
            pid = os.fork()
        except BlockingIOError:
            return True
        if pid == 0:
            _probe(self.limits)
        while True:
            try:
                _, status = os.waitpid(pid, 0)
            except InterruptedError:
                continue
            return exit_code(status) == EXIT_AT_LIMIT


def exit_code(status: int) -> int:
    """A wait status as a shell would tell it: 128 and the signal's number for a process that was killed."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _probe(limits: Limits) -> None:
    code = 0
    try:
        drop(limits)
        if os.fork() == 0:
            os._exit(0)
    except OSError as error:
        code = EXIT_AT_LIMIT if error.errno == errno.EAGAIN else 0
    finally:
        os._exit(code)


def _signal_all(number: int) -> None:
    """Send a signal to every process but this one."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, number)


def _others() -> int:
    """How many processes there are beside this one."""
    return sum(name.isdecimal() for name in os.listdir("/proc")) - 1  # noqa: PTH208


def _fullness(folder: str) -> float:
    try:
        volume = os.statvfs(folder)
    except OSError:
        return 0.0
    return 1 - volume.f_bavail / volume.f_blocks if volume.f_blocks else 0.0
