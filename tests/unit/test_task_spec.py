"""What a task may be, field by field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schema.messages.task import TaskSpec, parse_deadline
from schema.paths import check_workspace_path
from tests.support.specs import spec


def read(**fields: Any) -> TaskSpec:
    return TaskSpec.model_validate_json(json.dumps({**spec("A task"), **fields}))


def test_the_least_that_a_task_needs_has_sensible_defaults() -> None:
    least = {"title": "T", "instructions": "Do.", "tests": {"test_a.py": "def test_a(): pass"}, "budget_tokens": 1000}
    task = TaskSpec.model_validate_json(json.dumps(least))
    assert (task.candidates, task.repair_rounds, task.deadline_seconds, task.image) == (3, 2, 1800, "default")
    assert task.policy.quorum_needed == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"title": ""},
        {"title": "x" * 201},
        {"title": "two\nlines"},
        {"title": "evil \u202e txt"},
        {"title": 7},
        {"instructions": " \n "},
        {"instructions": "x" * 20_001},
        {"instructions": "a\x00b"},
        {"tests": {}},
        {"tests": {"notes.txt": "no test"}},
        {"tests": {"test_a.py": ""}},
        {"tests": {"test_a.py": "def test_a(:"}},
        {"tests": {"../test_a.py": ""}},
        {"tests": {"/test_a.py": ""}},
        {"files": {"a\\b.py": ""}},
        {"files": {"con.py": ""}},
        {"files": {"A.py": "", "a.py": ""}},
        {"files": {"a": "", "a/b.py": ""}},
        {"files": {"test_work.py": "mine"}},
        {"files": {"big.py": "x" * (1024 * 1024)}},
        {"files": {"json.py": ""}},
        {"files": {"queue/__init__.py": ""}},
        {"command": ["rm", "-rf", "/"]},
        {"command": ["python", "-m", "pytest", "-p", "evil"]},
        {"command": ["python", "-c", "print()"]},
        {"command": []},
        {"budget_tokens": 0},
        {"budget_tokens": 999},
        {"budget_tokens": 10_000_001},
        {"budget_tokens": "20000"},
        {"budget_tokens": 1e300},
        {"budget_tokens": True},
        {"candidates": 0},
        {"candidates": 17},
        {"repair_rounds": 11},
        {"deadline": "30"},
        {"deadline": "9s"},
        {"deadline": "8d"},
        {"deadline": 60},
        {"deadline": "10s\n"},
        {"command": ["pytest", "-q\n"]},
        {"policy": {"threshold": True}},
        {"policy": {"threshold": "0.6"}},
        {"policy": {"voters": {"reviewer": 0}}},
        {"policy": {"voters": {"boss": 5000}}},
        {"policy": {"quorum": 5}},
        {"policy": {"voters": {"reviewer": 5000}, "quorum": 2}},
        {"policy": {"threshold": 0}},
        {"policy": {"threshold": 0.5, "reject_threshold": 0.5}},
        {"image": "../evil"},
        {"labels": {"a b": "c"}},
        {"surprise": 1},
    ],
    ids=lambda fields: json.dumps(fields)[:40],
)
def test_what_makes_no_sense_is_refused_at_its_field(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        read(**fields)
    (name,) = fields
    fault = refused.value.errors()[0]
    assert name in (*fault["loc"], fault.get("ctx", {}).get("field", "").split(".")[0])


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "L'été d'Ölaf 🎉 — שלום"},
        {"instructions": "Prevent SQL injection: '; DROP TABLE users; --"},
        {"files": {"page.html": "<script>alert(1)</script>", "run.sh": "#!/bin/sh\nrm -rf ./tmp\n"}},
        {"command": ["pytest", "-q", "--tb=short"]},
        {"deadline": "7d"},
        {"policy": {"voters": {"reviewer": 10000}}},
    ],
    ids=lambda fields: json.dumps(fields)[:40],
)
def test_honest_content_passes_unharmed(fields: dict[str, Any]) -> None:
    task = read(**fields)
    for name, value in fields.items():
        if name in ("title", "instructions", "files"):
            assert getattr(task, name) == value


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10), ("30m", 1800), ("2h", 7200), ("7d", 604_800)])
def test_a_deadline_is_digits_and_a_unit(text: str, seconds: int) -> None:
    assert parse_deadline(text) == seconds


@given(st.text(max_size=60))
def test_no_path_that_passes_leaves_the_workspace(path: str) -> None:
    try:
        check_workspace_path(path)
    except ValueError:
        return
    assert not path.startswith(("/", "~", "-"))
    assert ".." not in path.split("/")
    assert "\\" not in path
    assert path == path.strip()
