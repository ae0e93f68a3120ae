"""`make demo`: the stack, one task from submission to verdict, and its result: `python -m deploy.local.demo [FILE]`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import lock, services, stack
from deploy.local.commands import read_settings
from deploy.local.process import LIFELINE
from schema.settings import Settings

EXAMPLE = services.ROOT / "examples" / "palindrome.yaml"
STOPS_WITHIN = 60.0


class Refused(Exception):
    """A command said no; `code` is its exit code, and it has told why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def main() -> int:
    settings = read_settings()
    example = Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLE
    try:
        with stack_up(settings):
            return show(settings, example)
    except Refused as refusal:
        return refusal.code
    except KeyboardInterrupt:
        return 130


@contextmanager
def stack_up(settings: Settings) -> Iterator[None]:
    """A stack that is ready: the one that runs, which is left running, or one that ends with us."""
    if lock.running(settings) is not None:
        print(f"using the stack that runs in {settings.home}", flush=True)
        yield
        return
    print("$ golden up", flush=True)
    # With us it ends in order, also if we are killed.
    lifeline = (sys.executable, "-I", "-S", str(LIFELINE), str(os.getpid()), str(int(signal.SIGTERM)))
    process = subprocess.Popen(
        (*lifeline, *services.python("deploy.local.commands", "up")),
        env=services.environment(settings),
        start_new_session=True,
    )
    try:
        _wait_until_ready(settings, process)
        yield
    finally:
        process.terminate()
        process.wait(STOPS_WITHIN)


def show(settings: Settings, example: Path) -> int:
    """Submit the example, watch it to its end and show the result; the exit code is the task's."""
    task = _submit(settings, example)
    code = _golden(settings, "watch", task)
    shown = _golden(settings, "result", task)
    print(f"\nthe task is {task}; while a stack runs, `golden consensus {task}` explains the vote", flush=True)
    return code or shown


def _submit(settings: Settings, example: Path) -> str:
    command = ("submit", str(example), "--json")
    print(f"\n$ golden {' '.join(command)}", flush=True)
    answer = subprocess.run(
        services.python("gateway.cli", *command),
        env=services.environment(settings),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(answer.stdout, end="", flush=True)
    try:
        return str(json.loads(answer.stdout)["task_id"])
    except (ValueError, KeyError, TypeError):
        raise Refused(answer.returncode or 1) from None


def _golden(settings: Settings, *arguments: str) -> int:
    print(f"\n$ golden {' '.join(arguments)}", flush=True)
    # On this terminal, so that what it draws is live.
    command = services.python("gateway.cli", *arguments)
    return subprocess.run(command, env=services.environment(settings), check=False).returncode


def _wait_until_ready(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    """The stack gives up by itself when a part does not come up."""
    while True:
        running = lock.running(settings)
        if running is not None and running.ready:
            return
        if process.poll() is not None:
            raise Refused(process.returncode or stack.UNREACHABLE)
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
