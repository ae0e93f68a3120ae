"""Hostile programs, each with what has to become of it. Limits are small, so that all of them together are quick."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Abuse:
    """A program and its outcome.

    Attributes:
        limits: the limits that may be named; None among them is a run that ended by itself.
        stdout: what it must have said; None leaves that open.
        given: its own limits, where they differ from `GIVEN`.
    """

    id: str
    code: str
    limits: tuple[str | None, ...] = (None,)
    stdout: str | None = None
    given: dict[str, int] = field(default_factory=dict)


GIVEN = {"seconds": 20}
"""Room for what ends by itself on a busy machine; what has no end brings a small limit."""

OUTLIVING = [
    Abuse(
        "a daemon that forks twice",
        """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
print("left", flush=True)
""",
        stdout="left\n",
    ),
    Abuse(
        "a grandchild that floods the pipe after its parent has gone",
        """
import os
if os.fork() == 0:
    os.setsid()
    while True:
        os.write(1, b"x" * 1000)
""",
        (None, "output"),
    ),
    Abuse(
        "a child that ignores every signal and holds the pipes",
        """
import os, signal
if os.fork() == 0:
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        pass
print("left", flush=True)
""",
        stdout="left\n",
    ),
    Abuse(
        "a program that ignores every signal",
        """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
print("begun", flush=True)
while True:
    pass
""",
        ("timeout",),
        "begun\n",
        {"seconds": 1},
    ),
    Abuse(
        "a program that blocks every signal",
        """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
while True:
    pass
""",
        ("timeout",),
        "",
        {"seconds": 1},
    ),
    Abuse(
        "a program that stops itself",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n",
        ("timeout",),
        "",
        {"seconds": 1},
    ),
    Abuse("a program that waits for input", "import sys\nprint(repr(sys.stdin.read()))\n", stdout="''\n"),
    Abuse(
        "stopping process 1",
        """
import os, signal
for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM, signal.SIGCHLD, 0):
    try:
        os.kill(1, number)
        print("sent")
    except PermissionError:
        print("refused")
""",
        stdout="refused\n" * 5,
    ),
    Abuse(
        "stopping everybody",
        """
import os, signal
for number in (signal.SIGSTOP, signal.SIGKILL):
    try:
        os.kill(-1, number)
    except (PermissionError, ProcessLookupError):
        pass
""",
        (None, "timeout"),
        given={"seconds": 1},
    ),
    Abuse("ending itself as out of memory would", "import os\nos.kill(os.getpid(), 9)\n"),
    Abuse(
        "being reparented to process 1 again and again",
        """
import os
for _ in range(20):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(3)
        os._exit(0)
    os.wait()
print("done")
""",
        stdout="done\n",
    ),
]

BOMBS = [
    Abuse(
        "a bomb of forks",
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n",
        ("processes", "timeout"),
        given={"seconds": 1},
    ),
    Abuse(
        "a bomb that ends by its error",
        "import os, time\nwhile True:\n    if os.fork() == 0:\n        time.sleep(9)\n",
        ("processes",),
    ),
    Abuse(
        "a bomb of the shell's",
        """
import os
os.execvp("sh", ["sh", "-c", "b() { b | b & }; b; while :; do :; done"])
""",
        ("processes", "timeout"),
        given={"seconds": 1},
    ),
    Abuse(
        "a bomb of subprocesses",
        """
import subprocess
while True:
    subprocess.Popen(["sleep", "9"])
""",
        ("processes", "timeout"),
        given={"seconds": 3},
    ),
    Abuse(
        "a bomb of threads",
        """
import threading, time
while True:
    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
""",
        ("processes",),
    ),
    Abuse(
        "a bomb of programs that starts itself",
        """
import os, sys
while True:
    try:
        if os.fork() == 0:
            os.execvp("python", ["python", sys.argv[0]])
    except OSError:
        pass
""",
        ("processes", "timeout"),
        given={"seconds": 1},
    ),
    Abuse(
        "a bomb of process pools",
        """
import concurrent.futures, time
with concurrent.futures.ProcessPoolExecutor(500) as pool:
    list(pool.map(time.sleep, [1] * 500))
""",
        ("processes", "timeout", "oom"),
        given={"seconds": 3},
    ),
    Abuse(
        "a bomb that catches its error and says so",
        """
import os, time
made = 0
try:
    while made < 500:
        if os.fork() == 0:
            time.sleep(9)
            os._exit(0)
        made += 1
except BlockingIOError:
    print(0 < made < 100)
""",
        (None, "processes"),
        "True\n",
    ),
]

OUTPUT = [
    Abuse("a flood on the output", "while True:\n    print('x' * 1000)\n", ("output",), given={"output_kb": 16}),
    Abuse(
        "a flood on the errors",
        "import os\nwhile True:\n    os.write(2, b'x' * 1000)\n",
        ("output",),
        "",
        {"output_kb": 16},
    ),
    Abuse(
        "a flood on both",
        """
import os
while True:
    os.write(1, b"x" * 1000)
    os.write(2, b"x" * 1000)
""",
        ("output",),
        given={"output_kb": 16},
    ),
    Abuse(
        "a flood of single bytes",
        "import os\nwhile True:\n    os.write(1, b'x')\n",
        ("output", "timeout"),
        given={"output_kb": 4, "seconds": 10},
    ),
    Abuse("one line without an end", "import os\nwhile True:\n    os.write(1, b'x' * 65536)\n", ("output",)),
    Abuse("a flood of what is no text", "import os\nwhile True:\n    os.write(1, bytes(range(256)))\n", ("output",)),
    Abuse(
        "a flood from a child",
        """
import os
if os.fork() == 0:
    while True:
        os.write(1, b"x" * 1000)
os.wait()
""",
        ("output",),
        given={"output_kb": 16},
    ),
    Abuse(
        "closing every descriptor",
        """
import os, time
os.closerange(0, 1_000)
time.sleep(0.1)
""",
        (None,),
        "",
    ),
    Abuse(
        "writing to descriptors that are not its own",
        """
import os
for fd in range(3, 256):
    try:
        os.write(fd, b'{"kind": "finished"}')
        print("written", fd)
    except OSError:
        pass
print("done")
""",
        (None,),
        "done\n",
    ),
    Abuse("escape sequences", "print('\\x1b]0;owned\\x07\\x1b[2J')\n", (None,), "\x1b]0;owned\x07\x1b[2J\n"),
    Abuse(
        "frames of the runner's own",
        """
import json, os, struct
body = json.dumps({"exit_code": 0, "limit": None, "tests": [{"id": "a", "outcome": "passed"}]}).encode()
os.write(1, struct.pack(">I", len(body)) + body)
os._exit(3)
""",
        (None,),
    ),
]
