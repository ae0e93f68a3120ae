"""One stack for a GOLDEN_HOME."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import lock
from tests.support.parts import local_settings


def test_a_second_stack_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    with lock.holding(settings):
        lock.describe(settings, ready=True, ports={"GOLDEN_GATEWAY_PORT": settings.gateway_port})
        with pytest.raises(lock.AlreadyRunning, match=f"process {os.getpid()}.*golden down"), lock.holding(settings):
            pytest.fail("two hold the lock")
        running = lock.running(settings)
        assert running is not None
        assert running.pid == os.getpid()
        assert running.ready
        lock.clear(settings)
    with lock.holding(settings):
        pass


def test_a_number_that_belongs_to_another_process_by_now_is_not_believed(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    with lock.holding(settings):
        lock.describe(settings, ready=True, ports={})
    assert lock.left_over(settings)
    assert lock.running(settings) is None


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"pid": 1}), json.dumps({"pid": 1, "more": 2})])
def test_a_damaged_file_is_no_stack(tmp_path: Path, text: str) -> None:
    settings = local_settings(tmp_path)
    settings.run_folder.mkdir()
    (settings.run_folder / "stack.json").write_text(text)
    assert lock.running(settings) is None


def test_the_lock_is_free_when_its_holder_is_killed(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    code = (
        "import sys; from pathlib import Path; from deploy.local import lock; from schema.settings import Settings\n"
        "settings = Settings(home=Path(sys.argv[1]))\n"
        "with lock.holding(settings):\n"
        "    lock.describe(settings, ready=True, ports={}); print('held', flush=True); sys.stdin.read()"
    )
    command = (sys.executable, "-c", code, str(tmp_path))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(lock.AlreadyRunning, match=str(holder.pid)), lock.holding(settings):
            pytest.fail("two hold the lock")
        holder.kill()
    assert lock.running(settings) is None
    with lock.holding(settings):
        pass
