"""The demo shows what it runs, and what came of it."""

import sys
from pathlib import Path

import pytest

from deploy.local import demo, services
from tests.support.parts import local_settings


def answering(monkeypatch: pytest.MonkeyPatch, text: str, code: int) -> None:
    """Every command of the demo says this."""
    script = f"print({text!r}); raise SystemExit({code})"
    monkeypatch.setattr(services, "python", lambda *_: (sys.executable, "-c", script))


def test_a_command_is_shown_with_its_own_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, '{"task_id": "t-1"}', 0)
    assert demo.show(local_settings(tmp_path), Path("task.yaml")) == 0
    told = capfd.readouterr().out
    assert told.startswith('\n$ golden submit task.yaml --json\n{"task_id": "t-1"}\n\n$ golden watch t-1\n')


def test_a_refused_task_ends_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, "no", 3)
    with pytest.raises(demo.Refused) as refusal:
        demo.show(local_settings(tmp_path), Path("task.yaml"))
    assert refusal.value.code == 3
    assert capfd.readouterr().out.endswith("--json\nno\n")
