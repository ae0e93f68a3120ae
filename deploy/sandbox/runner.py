"""Process 1 of a sandbox: takes one job on its input, runs it as another user, gives one answer. Standard library only.

It runs as root with SETUID, SETGID and KILL and nothing else; the candidate runs as 65534 with nothing at all.
"""

import ctypes
import errno
import importlib
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from deploy.sandbox import doors, frames, judge, standby, supervisor, workspace

ENVIRONMENT = {
    "HOME": "/tmp",  # noqa: S108  (the sandbox's own tmpfs)
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}
EXIT_USAGE = 4
EXIT_CAN_NOT_RUN = 126
EXIT_NOT_FOUND = 127
SYSLOG_READ_ALL = 3


def main() -> None:
    """Say hello, take a job, answer it, end. The end of the input at any time ends the sandbox."""
    os.environ.clear()
    job_input, answer_output = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    os.umask(0o022)
    isolation = seen_isolation()
    doors.close_devices()
    # Only one child loads pytest: a small process forks and starts another program sooner.
    children = {"pytest": standby.prepare(preload), "command": standby.prepare(load_nothing)}
    for child in children.values():
        child.wait()
    # Nobody waits for this one: what it loads is there when a task's candidate comes, and others do without.
    if frames.WITH_GUARDS in sys.argv[1:]:
        children["guards"] = standby.prepare(preload_guards)
    frames.write(answer_output, {"hello": frames.PROTOCOL, "isolation": isolation}, frames.MAX_ANSWER)
    job = frames.read(job_input, frames.MAX_JOB)
    if job is not None:

        def tell(chunks: dict[str, bytes]) -> None:
            frames.write(answer_output, frames.pack_chunks(chunks), frames.MAX_ANSWER)

        answer = perform(job, job_input, isolation, children, tell)
        frames.write(answer_output, answer, frames.MAX_ANSWER)


def perform(
    job: dict[str, Any], job_input: int, isolation: str, children: dict[str, standby.Standby], tell: supervisor.Tell
) -> dict[str, Any]:
    """Run one job and say what became of it; what it wrote is told by `tell`."""
    if job.get("kind") == "mend":
        return mended(job, children)
    limits = standby.Limits.of(job["limits"], count_processes=isolation == "gvisor")
    if not job["command"]:
        return refusal(EXIT_USAGE, "there is no command")
    if not job["command"][0]:
        return refusal(EXIT_NOT_FOUND, "the command's name is empty")
    if not all(map(workspace.can_be_passed, job["command"])):
        return refusal(EXIT_CAN_NOT_RUN, "the command has a NUL or half of a character in it")
    try:
        plan = judge.plan(job["command"], job["files"], job["tests"], job["control"])
    except judge.UsageError as error:
        return refusal(EXIT_USAGE, str(error))
    try:
        workspace.fill(job["files"], job["tests"], plan)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        limit = "disk" if error.errno == errno.ENOSPC else None
        return refusal(1, f"the files can't be written: {error.strerror}{where}", limit)
    if job.get("guards") is not None:
        # On the files as they were sent, before anything of the candidate's has run.
        from deploy.sandbox import guarding

        found = guarding.inspect(guards_of(children), job)
        tell({frames.FINDINGS: json.dumps(found).encode()})
    work = command_work(job["command"]) if plan is None else pytest_work(plan)
    child = children.pop("command" if plan is None else "pytest").in_place_of(list(children.values()))
    ended = supervisor.supervise(child, work, limits, job_input, tell)
    if plan is not None and job["control"]:
        # A control fails and says much: only a limit that was seen is one.
        limit, tests = ended.limit, judge.control_verdicts(plan, ended.report, job["control"])
    else:
        tests = [] if plan is None else judge.verdicts(plan, ended.report, ended.limit)
        made = partial(supervisor.made_since, child, limits)
        limit = ended.limit or supervisor.limit_from_text(ended, [test["message"] for test in tests], made)
    return {
        "exit_code": ended.exit_code,
        "limit": limit,
        "killed": ended.killed,
        "tests": tests,
        "cpu_seconds": ended.cpu_seconds,
        "peak_memory_mb": ended.peak_memory_mb,
    }


def mended(job: dict[str, Any], children: dict[str, standby.Standby]) -> dict[str, Any]:
    """The answer to a job that is not run but mended."""
    from deploy.sandbox import guarding

    told = guarding.mend(guards_of(children), job)
    answer = refusal(0 if told is not None else 1, "the remedies came to no end" if told is None else "")
    return {**answer, "stderr": answer["stderr"] if told is None else "", "mended": told}


def refusal(exit_code: int, reason: str, limit: str | None = None) -> dict[str, Any]:
    """The answer to a job that was not run."""
    text = reason.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    return {
        "exit_code": exit_code,
        "limit": limit,
        "killed": False,
        "tests": [],
        "stderr": f"golden: {text}\n",
        "cpu_seconds": 0.0,
        "peak_memory_mb": 0.0,
    }


def command_work(command: list[str]) -> standby.Work:
    """What the candidate's process does for a plain command."""
    return partial(_run_command, command)


def pytest_work(plan: judge.Plan) -> standby.Work:
    """What the candidate's process does for a pytest form, and all that it is told of the judging."""
    folders = [workspace.ROOT, *(str(Path(workspace.ROOT, path).parent) for path in plan.test_files)]
    return partial(_run_pytest, plan.arguments, list(dict.fromkeys(folders)), plan.matchers, plan.tools)


def _run_command(command: list[str], _report: int) -> int:
    os.chdir(workspace.ROOT)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, {**ENVIRONMENT, "PYTHONPATH": workspace.ROOT})  # noqa: S606
    except OSError as error:
        os.write(2, f"golden: {command[0]!r} can't be run: {error.strerror}\n".encode())
    return EXIT_NOT_FOUND


def _run_pytest(
    arguments: tuple[str, ...], folders: list[str], matchers: frozenset[str], tools: frozenset[str], report: int
) -> int:
    from deploy.sandbox import report_plugin

    os.environ.update(ENVIRONMENT)
    os.chdir(workspace.ROOT)
    return report_plugin.run(arguments, folders, matchers, tools, report)


def load_nothing() -> None:
    """What a child does that loads nothing ahead."""


def guards_of(children: dict[str, standby.Standby]) -> standby.Standby:
    """The child that guards or mends: the one that has loaded its tools, else one that does so when it needs them."""
    return children.pop("guards") if "guards" in children else standby.prepare(load_nothing)


def preload_guards() -> None:
    """Load the guards and their tools before the job comes, in a child: a small process forks sooner."""
    from deploy.sandbox import guarding

    guarding.preload()


def preload() -> None:
    """Load pytest before the job comes; it is the larger part of a short run."""
    try:
        config = importlib.import_module("_pytest.config")
    except ImportError:
        return
    for name in (*getattr(config, "default_plugins", ()), "pytest", "deploy.sandbox.report_plugin"):
        importlib.import_module(name if "." in name or name == "pytest" else f"_pytest.{name}")


def seen_isolation() -> str:
    """gVisor's kernel tells its name in its log; any other kernel refuses to show us the log."""
    buffer = ctypes.create_string_buffer(1 << 16)
    size = ctypes.CDLL(None, use_errno=True).klogctl(SYSLOG_READ_ALL, buffer, len(buffer))
    return "gvisor" if size > 0 and b"gVisor" in buffer.raw[:size] else "runc"


if __name__ == "__main__":
    main()
    sys.exit(0)
