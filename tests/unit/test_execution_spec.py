"""What may be run in the sandbox by itself, field by field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy.sandbox import judge
from gateway.problems import faults_of
from schema.messages.commands import check_pytest_options
from schema.messages.execution import ExecutionSpec

PYTEST = ["python", "-m", "pytest"]
TEST = {"test_a.py": "def test_a(): pass"}


def read(**fields: Any) -> ExecutionSpec:
    return ExecutionSpec.model_validate_json(json.dumps({"command": ["python", "main.py"], **fields}))


@pytest.mark.parametrize(
    "command",
    [
        ["python", "-c", "print('a b')"],
        ["sh", "-c", "ls | wc -l; exit 3"],
        ["env"],
        ["python", *(str(number) for number in range(99))],
        ["python", "-c", "#" * 30_000],
        ["python", "main.py", "", "ü", "\n"],
    ],
    ids=lambda command: command[-1][:10],
)
def test_any_command_may_be_run(command: list[str]) -> None:
    assert list(read(files={"main.py": "print(1)"}, command=command).command) == command


@pytest.mark.parametrize(
    ("arguments", "files", "tests"),
    [
        ([], TEST, {}),
        (["-q"], {}, TEST),
        (["-vv", "--tb=short", "--maxfail=1"], {"a.py": ""}, TEST),
        (["test_a.py"], TEST, {}),
        (["test_a.py::test_a", "-x"], TEST, {}),
        (["tests/", "."], {"tests/test_a.py": ""}, {}),
        (["check.py"], {"check.py": "def test_a(): pass"}, {}),
    ],
    ids=str,
)
def test_a_pytest_form_is_judged_by_its_tests_or_by_those_among_its_files(
    arguments: list[str], files: dict[str, str], tests: dict[str, str]
) -> None:
    for form in (PYTEST, ["python3", "-m", "pytest"], ["pytest"], ["py.test"]):
        spec = read(files=files, tests=tests, command=[*form, *arguments])
        assert judge.plan(list(spec.command), spec.files, spec.tests)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"command": []}, "command"),
        ({"command": ["", "x"]}, "command"),
        ({"command": [" "]}, "command"),
        ({"command": "python main.py"}, "command"),
        ({"command": ["python"] * 101}, "command"),
        ({"command": ["python", "x" * 30_001]}, "command.1"),
        ({"command": ["python", "a\x00b"]}, "command.1"),
        ({"command": ["python", 7]}, "command.1"),
        ({"command": [*PYTEST, "-p", "evil"], "tests": TEST}, "command"),
        ({"command": [*PYTEST, "--override-ini=addopts=-x"], "tests": TEST}, "command"),
        ({"command": [*PYTEST, "--deselect=test_a.py::test_a"], "tests": TEST}, "command"),
        ({"command": ["pytest", "--co"], "tests": TEST}, "command"),
        ({"command": ["py.test", "-k", "nothing"], "tests": TEST}, "command"),
        ({"command": [*PYTEST, "/etc/test_a.py"], "tests": TEST}, "command"),
        ({"command": [*PYTEST, "../test_a.py::test_a"], "tests": TEST}, "command"),
        ({"command": [*PYTEST, "own.py"], "tests": TEST, "files": {"own.py": ""}}, "command"),
        ({"command": PYTEST}, "tests"),
        ({"command": PYTEST, "files": {"main.py": ""}}, "tests"),
        ({"command": PYTEST, "tests": TEST, "files": {"json.py": ""}}, "files.json.py"),
        ({"files": {"../a": ""}}, "files.../a"),
        ({"files": {"/a": ""}}, "files./a"),
        ({"files": {"a": "", "A": ""}}, "files"),
        ({"files": {"a": "x" * 1_048_577}}, "files"),
        ({"files": {str(number): "" for number in range(201)}}, "files"),
        ({"files": TEST, "tests": TEST}, "files"),
        ({"files": {"a": "\x00"}}, "files.a"),
        ({"files": {"a": 1}}, "files.a"),
        ({"limits": {"seconds": 0}}, "limits.seconds"),
        ({"limits": {"seconds": 301}}, "limits.seconds"),
        ({"limits": {"seconds": "30"}}, "limits.seconds"),
        ({"limits": {"memory_mb": 63}}, "limits.memory_mb"),
        ({"limits": {"memory_mb": 1e300}}, "limits.memory_mb"),
        ({"limits": {"processes": 257}}, "limits.processes"),
        ({"limits": {"output_kb": True}}, "limits.output_kb"),
        ({"limits": {"disk_mb": None}}, "limits.disk_mb"),
        ({"limits": {"cpus": 1}}, "limits.cpus"),
        ({"image": "../x"}, "image"),
        ({"control": "x"}, "control"),
        ({"network": True}, "network"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_cannot_be_run_is_refused_by_the_name_of_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read(**fields)

    assert field in [name for name, _ in faults_of(caught.value)]


def test_no_command_names_its_field() -> None:
    with pytest.raises(ValidationError) as caught:
        ExecutionSpec.model_validate_json("{}")

    assert faults_of(caught.value) == [("command", "is required")]


@given(st.from_regex(r"-{0,2}[a-zA-Z-]{1,12}(=[a-z0-9]{1,4})?", fullmatch=True))
def test_the_gateway_lets_no_option_through_that_the_judge_refuses(option: str) -> None:
    try:
        check_pytest_options((option,))
    except ValueError:
        return
    assert judge.ALLOWED_OPTION.fullmatch(option)
