"""What a sandbox wrote is kept as it comes, and cut at its limits whatever the runner sends."""

import json

import pytest

from activities.docker_capture import Capture
from deploy.sandbox import frames, supervisor
from schema.messages.sandbox import SandboxJob

TESTS = {"test_a.py": "def test_one():\n    pass\n\n\ndef test_two():\n    pass\n"}


def test_chunks_come_out_of_a_message_as_they_went_in() -> None:
    chunks = {"stdout": b"\x00\xff", "report": b"{}"}
    assert frames.unpack_chunks(frames.unpack(json.dumps(frames.pack_chunks(chunks)).encode())) == chunks


@pytest.mark.parametrize("chunks", [None, [], "x", {"stdout": 1}, {"stdout": "%"}, {"stdout": "a"}, {"other": "YQ=="}])
def test_what_is_no_chunk_is_refused(chunks: object) -> None:
    with pytest.raises(frames.FrameError):
        Capture(10).take({"chunks": chunks})


def test_output_is_cut_where_both_streams_together_reach_the_limit() -> None:
    capture = Capture(10)
    for _ in range(3):
        capture.take(frames.pack_chunks({"stdout": b"1234", "stderr": b"abcd"}))
    assert (capture.text("stdout"), capture.text("stderr")) == ("123412", "abcd")


def test_the_report_is_cut_at_its_own_limit() -> None:
    capture = Capture(10)
    capture.take(frames.pack_chunks({"report": bytes(supervisor.MAX_REPORT)}))
    capture.take(frames.pack_chunks({"report": b"more", "stdout": b"said"}))
    assert len(capture.text("report")) == supervisor.MAX_REPORT
    assert capture.text("stdout") == "said"


def test_half_a_character_and_no_character_become_text() -> None:
    capture = Capture(10)
    capture.take(frames.pack_chunks({"stdout": b"\xf0\x9f"}))
    capture.take(frames.pack_chunks({"stdout": b"\x90\x8d\x00\xff"}))
    assert capture.text("stdout") == "\U0001f40d\ufffd\ufffd"


def test_the_tests_of_a_run_without_an_answer_are_those_that_told() -> None:
    records: list[dict[str, object]] = [
        {"kind": "collected", "ids": ["test_a.py::test_one", "test_a.py::test_two"]},
        {"kind": "phase", "id": "test_a.py::test_one", "outcome": "passed", "message": "", "seconds": 0.1},
        {"kind": "start", "id": "test_a.py::test_two"},
    ]
    capture = Capture(10)
    capture.take(frames.pack_chunks({"report": b"".join(json.dumps(one).encode() + b"\n" for one in records)}))
    told = capture.tests(SandboxJob(files={}, tests=TESTS, command=("pytest",)), "oom")
    assert {test["id"]: test["outcome"] for test in told} == {
        "test_a.py::test_one": "passed",
        "test_a.py::test_two": "missing",
        "session": "missing",
    }
    assert told[1]["message"] == "the run ended in this test (oom)"


@pytest.mark.parametrize("command", [("python", "main.py"), ("pytest", "-k", "one")])
def test_what_is_not_judged_has_no_tests(command: tuple[str, ...]) -> None:
    assert Capture(10).tests(SandboxJob(files={}, tests=TESTS, command=command), "oom") == []
