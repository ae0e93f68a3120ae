"""What may be put to a vote by itself, and how a task's row tells a vote from a task."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.bodies import parse_body, validate
from gateway.problems import Problem
from schema.messages.candidate import CandidateSpec, VoteSpec, spec_of
from schema.messages.task import TaskSpec
from schema.texts import canonical_json
from tests.support.specs import spec

ROOT = Path(__file__).parent.parent.parent
TESTS = {"test_a.py": "def test_a(): pass"}
REPORT = {"tests": [{"id": "test_a.py::test_a", "outcome": "passed"}]}
FINDING = {"id": "lint/1", "guard": "lint", "rule": "F401", "severity": "low", "message": "unused", "file": "a.py"}


def read(**fields: Any) -> VoteSpec:
    least = {"title": "T", "instructions": "Add.", "files": {"a.py": "x = 1\n"}, "budget_tokens": 1000}
    return validate({**least, **fields}, VoteSpec)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "tests"),
        ({"tests": TESTS, "evidence": REPORT}, "evidence"),
        ({"tests": {"test_a.py": "x = 1"}}, "tests"),
        ({"evidence": {}}, "evidence.tests"),
        ({"evidence": {"tests": REPORT["tests"] * 2}}, "evidence.tests"),
        ({"evidence": {"findings": [{**FINDING, "id": "diff"}]}}, "evidence.findings.0.id"),
        ({"evidence": {"findings": [{**FINDING, "file": "b.py"}]}}, "evidence.findings.0.file"),
        ({"evidence": {"findings": [{**FINDING, "file": "../a.py"}]}}, "evidence.findings.0.file"),
        ({"evidence": {"findings": [{**FINDING, "line": 2}]}}, "evidence.findings.0.line"),
        ({"evidence": REPORT, "files": {}}, "files"),
        ({"evidence": REPORT, "given": {"a.py": "x = 1\n"}}, "files"),
        ({"evidence": REPORT, "candidates": 3}, "candidates"),
        ({"evidence": REPORT, "command": ["rm", "-r"]}, "command"),
    ],
)
def test_what_cannot_be_voted_on_is_refused_by_the_name_of_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Problem) as refused:
        read(**fields)
    assert [name for name, _ in refused.value.faults] == [field]


@pytest.mark.parametrize("fields", [{"tests": TESTS}, {"evidence": {**REPORT, "findings": [FINDING]}, "plan": "Add."}])
def test_a_vote_is_read_back_from_its_row_as_it_was_stored(fields: dict[str, Any]) -> None:
    stored = read(given={"b.py": "y = 2\n"}, **fields).as_task()
    found = spec_of(canonical_json(stored.model_dump(mode="json")))
    assert found == stored
    assert isinstance(found, CandidateSpec)
    assert found.candidate == {"a.py": "x = 1\n", "b.py": "y = 2\n"}


def test_a_task_is_read_back_as_a_task() -> None:
    assert type(spec_of(json.dumps(spec("A task")))) is TaskSpec


def test_the_example_is_the_one_of_the_documentation_and_can_be_voted_on() -> None:
    example = (ROOT / "examples" / "votes" / "slugify.yaml").read_bytes()
    told = (ROOT / "docs" / "tasks.md").read_text()
    (shown,) = re.findall(r"```yaml\n(title: Is this.*?)```", told, re.DOTALL)

    assert parse_body(example, "application/yaml", VoteSpec) == parse_body(shown.encode(), "application/yaml", VoteSpec)
