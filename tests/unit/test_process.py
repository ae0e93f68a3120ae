"""Parts of the stack are started, probed, restarted and stopped."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from deploy.local import postgres, process
from deploy.local.process import Part, PartFailed, PartRefused, Process
from tests.support.processes import is_gone, until

SLEEP = ("sleep", "600")


class Listener:
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, name: str, text: str) -> None:
        self.lines.append(f"{name} {text}")

    def heard(self, words: str) -> bool:
        return any(words in line for line in self.lines)


async def always() -> bool:
    return True


async def never() -> bool:
    return False


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


async def test_a_part_that_is_killed_runs_again(tmp_path: Path) -> None:
    listener = Listener()
    logs = tmp_path / "logs"
    part = Process(Part("part", SLEEP, always), logs, listener)
    await part.start()
    first = part.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: part.pid not in (None, first))
    await until(lambda: listener.heard("ready again"))
    second = part.pid
    assert (tmp_path / "run" / "part.pid").read_text() == f"{second}\n"
    await part.stop()
    assert not (tmp_path / "run" / "part.pid").exists()
    assert second is not None
    assert is_gone(first)
    assert is_gone(second)
    assert listener.heard(f"ended (SIGKILL; see {logs / 'part.log'}); starting again at once")


async def test_probing_that_is_cancelled_just_as_an_answer_comes_ends(tmp_path: Path) -> None:
    probing: set[asyncio.Task[object]] = set()

    async def probe() -> bool:
        named = (task for task in asyncio.all_tasks() if "_until_ready" in repr(task.get_coro()))
        probing.update(named)
        for task in probing:
            asyncio.get_running_loop().call_soon(task.cancel)
        return False

    part = Process(Part("part", SLEEP, probe), tmp_path, Listener())
    starting = asyncio.create_task(part.start())
    await until(lambda: bool(probing))
    ended, _ = await asyncio.wait(probing, timeout=5)
    starting.cancel()
    await asyncio.wait({starting})
    await part.stop()
    assert ended == probing


async def test_a_part_is_ready_only_when_its_probe_says_so(tmp_path: Path) -> None:
    answer, asked = False, 0

    async def probe() -> bool:
        nonlocal asked
        asked += 1
        return answer

    part = Process(Part("part", SLEEP, probe), tmp_path, Listener())
    starting = asyncio.create_task(part.start())
    await until(lambda: asked > 2)
    assert not starting.done()
    answer = True
    await asyncio.wait_for(starting, 10)
    await part.stop()


async def test_a_probe_that_cannot_connect_is_asked_again(tmp_path: Path) -> None:
    failures = [ConnectionRefusedError(), TimeoutError()]

    async def probe() -> bool:
        if failures:
            raise failures.pop()
        return True

    part = Process(Part("part", SLEEP, probe), tmp_path, Listener())
    await part.start()
    await part.stop()
    assert not failures


async def test_stopping_kills_a_part_that_does_not_listen(tmp_path: Path) -> None:
    mark = tmp_path / "ignores"
    code = f"import signal, time; signal.signal(15, signal.SIG_IGN); open({str(mark)!r}, 'w'); time.sleep(600)"

    async def probe() -> bool:
        return mark.exists()

    listener = Listener()
    part = Process(Part("part", python(code), probe, grace=0.2), tmp_path, listener)
    await part.start()
    pid = part.pid
    await part.stop()
    assert pid is not None
    assert is_gone(pid)
    assert listener.heard("did not end within 0.2 s: killed")


async def test_a_part_that_never_gets_ready_is_stopped_and_its_log_told(tmp_path: Path) -> None:
    code = "import os, time; print('my pid is', os.getpid(), flush=True); time.sleep(600)"
    part = Process(Part("part", python(code), never, ready_within=1.0), tmp_path, Listener())
    with pytest.raises(PartFailed, match="part was not ready within 1 s") as failure:
        await part.start()
    assert failure.value.lines[0].startswith("my pid is")
    assert is_gone(int(failure.value.lines[0].split()[-1]))


async def test_a_part_that_ends_again_and_again_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STARTS", 2)
    part = Process(Part("part", python("raise SystemExit('no such flag')"), never), tmp_path, Listener())
    with pytest.raises(PartFailed, match="part ended again and again") as failure:
        await part.start()
    assert failure.value.lines == ["no such flag", "no such flag"]


async def test_a_part_that_refuses_is_not_started_again(tmp_path: Path) -> None:
    code = "import sys; print('no such setting', flush=True); sys.exit(2)"
    part = Process(Part("part", python(code), never, refusal=2), tmp_path, Listener())
    with pytest.raises(PartRefused, match="part can't work with its settings") as failure:
        await part.start()
    assert failure.value.lines == ["no such setting"]


async def test_a_part_that_refuses_later_is_given_up_too(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = f"import os, sys, time\nwhile not os.path.exists({str(mark)!r}): time.sleep(0.01)\nsys.exit(2)"
    listener = Listener()
    part = Process(Part("part", python(code), always, refusal=2), tmp_path, listener)
    await part.start()
    part.check()
    mark.touch()
    with pytest.raises(PartRefused):
        await asyncio.wait_for(part.ended(), 10)
    await part.stop()
    assert not listener.heard("starting again")


async def test_the_same_code_of_a_part_that_has_no_refusal_is_a_crash(tmp_path: Path) -> None:
    listener = Listener()
    part = Process(Part("part", python("raise SystemExit(2)"), always), tmp_path, listener)
    await part.start()
    await until(lambda: listener.heard("ended (exit code 2"))
    part.check()
    await part.stop()


async def test_a_command_that_is_not_there_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STARTS", 1)
    with pytest.raises(PartFailed) as failure:
        await Process(Part("part", ("/no/such/command",), never), tmp_path, Listener()).start()
    assert failure.value.lines == ["/no/such/command: No such file or directory"]


async def test_what_a_killed_part_started_goes_with_it(tmp_path: Path) -> None:
    told = tmp_path / "child"
    code = (
        "import pathlib, subprocess, time; child = subprocess.Popen(['sleep', '600']);"
        f"path = pathlib.Path({str(told)!r}); draft = path.with_suffix('.new');"
        "draft.write_text(str(child.pid)); draft.rename(path); time.sleep(600)"
    )

    async def probe() -> bool:
        return told.exists()

    part = Process(Part("part", python(code), probe), tmp_path, Listener())
    await part.start()
    child, pid = int(told.read_text()), part.pid
    assert pid is not None
    told.unlink()
    os.kill(pid, signal.SIGKILL)
    await until(lambda: is_gone(child))
    await part.stop()


async def test_a_part_has_a_session_of_its_own(tmp_path: Path) -> None:
    part = Process(Part("part", SLEEP, always), tmp_path, Listener())
    await part.start()
    assert part.pid is not None
    assert os.getsid(part.pid) == part.pid != os.getsid(0)
    await part.stop()


async def test_cancelling_a_start_leaves_nothing(tmp_path: Path) -> None:
    part = Process(Part("part", SLEEP, never), tmp_path, Listener())
    starting = asyncio.create_task(part.start())
    await until(lambda: part.pid)
    pid = part.pid
    assert pid is not None
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert is_gone(pid)


SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from deploy.local.process import Part, Process

async def ready():
    return True

async def main():
    part = Process(Part("part", tuple(sys.argv[2:]), ready), Path(sys.argv[1]), lambda name, text: None)
    await part.start()
    print(part.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("prefix", [(), postgres.unprivileged()], ids=["plain", "in a user namespace"])
async def test_parts_die_with_a_supervisor_that_is_killed(tmp_path: Path, prefix: tuple[str, ...]) -> None:
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SUPERVISOR, str(tmp_path), *prefix, *SLEEP), stdout=asyncio.subprocess.PIPE
    )
    assert supervisor.stdout is not None
    part = int(await asyncio.wait_for(supervisor.stdout.readline(), 20))
    await until(lambda: Path(f"/proc/{part}/comm").read_text() == "sleep\n")
    supervisor.kill()
    await supervisor.wait()
    await until(lambda: is_gone(part))
