"""The parts of the sandbox that need no container: frames, judging, the workspace, leases, the set-up's decisions."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities import docker_lease, docker_pool
from activities.docker_capture import Capture
from deploy.sandbox import engine, frames, image, runner, supervisor, workspace
from schema.errors import SettingsError
from tests.support.plans import PLAN, TEST

JSON = st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_a_message_comes_out_of_a_frame_as_it_went_in(message: dict[str, object]) -> None:
    read, write = os.pipe()
    data = frames.pack(message, frames.MAX_JOB)
    os.write(write, data)
    os.close(write)
    try:
        assert frames.read(read, frames.MAX_JOB) == message
        assert frames.read(read, frames.MAX_JOB) is None
    finally:
        os.close(read)


def test_a_message_over_the_limit_is_neither_sent_nor_taken() -> None:
    with pytest.raises(frames.FrameError, match="limit"):
        frames.pack({"text": "x" * 100}, 50)
    with pytest.raises(frames.FrameError, match="limit"):
        frames.body_size(b"\xff\xff\xff\xff", frames.MAX_ANSWER)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_no_message(body: bytes) -> None:
    with pytest.raises(frames.FrameError):
        frames.unpack(body)


def test_the_tests_are_written_over_the_candidates_files(tmp_path: Path) -> None:
    workspace.fill({"test_a.py": "mine", "a.py": "x = 1"}, {"test_a.py": TEST}, PLAN, str(tmp_path))
    assert (tmp_path / "test_a.py").read_text() == TEST
    assert (tmp_path / "a.py").read_text() == "x = 1"


@pytest.mark.parametrize(
    "path", ["conftest.py", "deep/conftest.py", "sitecustomize.py", "test_a/__init__.py", "test_a.pyi", "test_a.py/x"]
)
def test_a_judged_candidate_brings_nothing_that_steers(path: str) -> None:
    assert workspace.contents({path: "evil"}, {"test_a.py": TEST}, PLAN).get(path, "") == ""


def test_a_candidate_that_is_not_judged_keeps_all_its_files() -> None:
    assert workspace.contents({"conftest.py": "x"}, {}, None) == {"conftest.py": "x"}


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "", ".", "a\x00b", "\ud800"])
def test_a_path_out_of_the_workspace_is_refused_once_more(tmp_path: Path, path: str) -> None:
    with pytest.raises(OSError, match="not a path"):
        workspace.fill({path: "x"}, {}, None, str(tmp_path))


@pytest.mark.parametrize(
    "files", [{"a" * 300: "x"}, {"a": "x", "a/b": "x"}, {"a/b": "x", "a": "x"}, {f"{n}": "" for n in range(2_001)}]
)
def test_what_can_not_be_written_is_refused_without_a_crash(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(OSError, match=r"Errno|limit is 2,000|both a file and a folder"):
        workspace.fill(files, {}, None, str(tmp_path))


def test_two_thousand_files_are_not_too_many(tmp_path: Path) -> None:
    workspace.fill({f"{n}": "" for n in range(1_999)}, {"last": "x"}, None, str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2_000


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path: Path) -> None:
    workspace.fill({"a": "\ud800"}, {}, None, str(tmp_path))
    assert (tmp_path / "a").read_bytes() == b"?"


@pytest.mark.parametrize(
    ("exit_code", "text", "limit"),
    [
        (0, "No space left on device", None),
        (1, "OSError: [Errno 28] No space left on device", "disk"),
        (1, "RuntimeError: can't start new thread", "processes"),
        (1, "AssertionError", None),
        (1, "    os.fork()\nBlockingIOError: [Errno 11] Resource temporarily unavailable", "processes"),
        (1, "    pipe.read()\nBlockingIOError: [Errno 11] Resource temporarily unavailable", None),
        (2, "sh: 1: Cannot fork", "processes"),
        (153, "", "disk"),
    ],
)
def test_a_limit_is_read_from_what_a_failed_program_told(exit_code: int, text: str, limit: str | None) -> None:
    ended = supervisor.Ended(exit_code=exit_code, stderr=text.encode(), disk=0.9, crowd=0.9)
    assert supervisor.limit_from_text(ended, [], lambda: 0.0) == limit
    ended.crowd = 0.0
    assert supervisor.limit_from_text(ended, [], lambda: 1.0) == limit


@pytest.mark.parametrize("text", ["OSError: [Errno 28] No space left on device", "can't start new thread",
                                  "fork: Resource temporarily unavailable"])  # fmt: skip
def test_words_alone_name_no_limit(text: str) -> None:
    ended = supervisor.Ended(exit_code=1, stderr=text.encode(), disk=0.1, crowd=0.5)
    assert supervisor.limit_from_text(ended, [text], lambda: 0.5) is None


def job(**given: object) -> dict[str, object]:
    limits = {"seconds": 1, "output_kb": 1, "processes": 8, "disk_mb": 1}
    return {"command": ["true"], "files": {}, "tests": {}, "control": "", "limits": limits, **given}


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [([], 4), ([""], 127), (["true", "a\x00b"], 126), (["\ud800"], 126), (["pytest", "-\ud800"], 126)],
)
def test_a_command_that_can_not_be_is_refused_in_a_line(command: list[str], exit_code: int) -> None:
    answer = runner.perform(job(command=command), 0, "gvisor", {}, lambda _: None)
    assert answer["exit_code"] == exit_code
    assert answer["stderr"].startswith("golden: ")
    assert answer["stderr"].count("\n") == 1


def test_a_refusal_is_text_that_every_store_can_hold() -> None:
    assert runner.refusal(1, "a\ud800\x00")["stderr"] == "golden: a\\ud800\\x00\n"


def test_files_that_can_not_be_written_are_refused_without_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace.fill, "__defaults__", (str(tmp_path),))
    for files, said in (({"../x": ""}, "'../x' is not a path"), ({"a": "", "a/b": ""}, "'a' is both a file and a")):
        stderr = runner.perform(job(files=files), 0, "gvisor", {}, lambda _: None)["stderr"]
        assert said in stderr
        assert "Errno" not in stderr


def test_a_want_of_memory_in_a_crowd_is_one_of_processes() -> None:
    capture = Capture(1_000)
    assert docker_pool._wanting(capture) == "oom"
    capture.take(frames.pack_chunks({frames.CROWD: b"40", "stdout": b"x"}))
    assert (docker_pool._wanting(capture), capture.text("stdout")) == ("processes", "x")


def test_our_runtime_is_added_beside_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    file.write_text('{"log-driver": "local", "runtimes": {"other": {"path": "x"}}}')
    assert engine.merge_runtime(file, "ours", {"path": "runsc"})
    assert json.loads(file.read_text()) == {
        "log-driver": "local",
        "runtimes": {"other": {"path": "x"}, "ours": {"path": "runsc"}},
    }
    assert not engine.merge_runtime(file, "ours", {"path": "runsc"})
    assert [path.name for path in tmp_path.iterdir()] == ["daemon.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"runtimes": []}'])
def test_a_configuration_that_is_not_dockers_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match="mend it by hand"):
        engine.merge_runtime(file, "ours", {"path": "runsc"})
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("version", "platform"),
    [
        ("runsc version 0.0~20221219.0\nspec: 1.0.2-dev\n", "ptrace"),
        ("runsc version release-20240807.0\nspec: 1.1.0-rc.1\n", "systrap"),
        ("runsc version unknown", "ptrace"),
    ],
)
def test_the_platform_fits_the_age_of_runsc(version: str, platform: str) -> None:
    assert engine.runsc_platform(version) == platform


def test_the_images_content_is_all_that_is_copied_into_it() -> None:
    assert len(image.content_hash()) == 64
    imported = {
        line.split()[3]
        for name in image.INSIDE
        for line in (image.FOLDER / name).read_text().splitlines()
        if line.strip().startswith("from deploy.sandbox import") and "," not in line
    }
    assert {f"{name}.py" for name in imported} <= set(image.INSIDE)


def entry(holder: str, state: str, age: timedelta) -> dict[str, object]:
    created = (datetime.now(UTC) - age).timestamp()
    return {"Labels": {docker_lease.HOLDER: holder}, "State": state, "Created": created}


def test_a_living_holders_containers_are_never_left() -> None:
    mine = docker_lease.labels("me")[docker_lease.HOLDER]
    now = datetime.now(UTC)
    assert not docker_lease.is_left(entry(mine, "created", timedelta(days=1)), now)
    machine = mine.partition("/")[0]
    assert docker_lease.is_left(entry(f"{machine}/{os.getpid()}/1", "running", timedelta()), now)
    assert docker_lease.is_left(entry(f"{machine}/4194304/1", "created", timedelta()), now)


def test_a_holder_that_can_not_be_seen_is_given_time() -> None:
    now = datetime.now(UTC)
    assert not docker_lease.is_left(entry("elsewhere/1/1", "running", timedelta(days=1)), now)
    assert not docker_lease.is_left(entry("elsewhere/1/1", "created", timedelta(seconds=5)), now)
    assert docker_lease.is_left(entry("elsewhere/1/1", "created", timedelta(days=1)), now)
