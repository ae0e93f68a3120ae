"""Bodies: strict JSON, tame YAML, and every malformed submission told by its field."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bodies import parse_body
from gateway.problems import Problem
from gateway.strict_json import MAX_DEPTH, MAX_VALUES, Malformed, parse_json
from gateway.strict_yaml import parse_yaml
from schema.messages.task import TaskSpec
from tests.support.http import SPEC, spec

JSON = "application/json"
YAML = "application/yaml"


def faults(content: str | bytes, media_type: str = JSON) -> dict[str, str]:
    raw = content.encode() if isinstance(content, str) else content
    with pytest.raises(Problem) as caught:
        parse_body(raw, media_type, TaskSpec)
    assert caught.value.kind.status == 422
    return dict(caught.value.faults)


def test_json_and_yaml_of_one_task_are_one_task() -> None:
    yaml = (
        "title: Add two numbers\ninstructions: Write add(a, b).\nbudget_tokens: 20000\ntests:\n  test_add.py: |\n"
        "    from add import add\n\n\n    def test_add():\n        assert add(1, 2) == 3\n"
    )

    from_json = parse_body(json.dumps(SPEC).encode(), JSON, TaskSpec)

    assert parse_body(yaml.encode(), YAML, TaskSpec) == from_json
    assert parse_body(json.dumps(SPEC).encode(), YAML, TaskSpec) == from_json


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"unknown": 1}, "unknown"),
        ({"title": ""}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": "two\nlines"}, "title"),
        ({"title": "a\u202eb"}, "title"),
        ({"instructions": "   "}, "instructions"),
        ({"instructions": "x" * 20_001}, "instructions"),
        ({"instructions": "a\x00b"}, "instructions"),
        ({"files": {"../etc/passwd": ""}}, "files.../etc/passwd"),
        ({"files": {"/etc/passwd": ""}}, "files./etc/passwd"),
        ({"files": {"a/../../b": ""}}, "files.a/../../b"),
        ({"files": {"C:\\x": ""}}, "files.C:\\x"),
        ({"files": {"": ""}}, "files."),
        ({"files": {"a.py": 3}}, "files.a.py"),
        ({"files": {"a.py": "x" * 1_100_000}}, "files"),
        ({"files": {"test_add.py": ""}}, "files"),
        ({"files": {"a": "", "a/b": ""}}, "files"),
        ({"files": None}, "files"),
        ({"files": []}, "files"),
        ({"files": {f"f{n}": "" for n in range(300)}}, "files"),
        ({"tests": {}}, "tests"),
        ({"tests": {"notes.txt": ""}}, "tests"),
        ({"tests": {"../test_x.py": ""}}, "tests.../test_x.py"),
        ({"budget_tokens": 0}, "budget_tokens"),
        ({"budget_tokens": -1}, "budget_tokens"),
        ({"budget_tokens": 10**30}, "budget_tokens"),
        ({"budget_tokens": 2_000.5}, "budget_tokens"),
        ({"budget_tokens": "2000"}, "budget_tokens"),
        ({"budget_tokens": True}, "budget_tokens"),
        ({"candidates": 0}, "candidates"),
        ({"candidates": 17}, "candidates"),
        ({"repair_rounds": 11}, "repair_rounds"),
        ({"deadline": "soon"}, "deadline"),
        ({"deadline": "8d"}, "deadline"),
        ({"deadline": 30}, "deadline"),
        ({"command": ["rm", "-rf", "/"]}, "command"),
        ({"command": "pytest"}, "command"),
        ({"command": ["pytest", "-p", "evil"]}, "command"),
        ({"show_tests": "yes"}, "show_tests"),
        ({"policy": {"quorum": 5}}, "policy.quorum"),
        ({"policy": {"quorum": 4, "voters": {"tester": 100}}}, "policy.quorum"),
        ({"policy": {"threshold": 0.5, "reject_threshold": 0.5}}, "policy.threshold"),
        ({"policy": {"threshold": 2}}, "policy.threshold"),
        ({"policy": {"voters": {"mallory": 1}}}, "policy.voters.mallory"),
        ({"policy": {"voters": {"tester": 0}}}, "policy.voters"),
        ({"policy": {"bogus": 1}}, "policy.bogus"),
        ({"image": "../evil"}, "image"),
        ({"labels": {"team": "a\nb"}}, "labels.team"),
        ({"labels": {"te am": "a"}}, "labels.te am"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_malformed_submission_is_told_by_its_field(changes: dict[str, Any], field: str) -> None:
    assert field in faults(json.dumps(spec(**changes)))


@pytest.mark.parametrize("field", ["title", "instructions", "tests", "budget_tokens"])
def test_what_is_missing_is_told(field: str) -> None:
    without = {name: value for name, value in SPEC.items() if name != field}

    assert faults(json.dumps(without)) == {field: "is required"}


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("", "body", "is not JSON"),
        ("{", "body", "line 1"),
        ("[]", "body", "must be a mapping"),
        ('"text"', "body", "must be a mapping"),
        ("null", "body", "must be a mapping"),
        ("\ufeff{}", "body", "byte-order mark"),
        (b'{"title": "\xff"}', "body", "is not UTF-8"),
        (json.dumps(SPEC).encode("utf-16"), "body", "is not UTF-8"),
        ('{"title": "a", "title": "b"}', "title", "more than once"),
        ('{"files": {"a.py": "", "a.py": "x"}}', "files.a.py", "more than once"),
        ('{"budget_tokens": NaN}', "budget_tokens", "finite"),
        ('{"budget_tokens": -Infinity}', "budget_tokens", "finite"),
        ('{"budget_tokens": 1e999}', "budget_tokens", "finite"),
        ('{"budget_tokens": ' + "9" * 5_000 + "}", "body", "too many digits"),
        ('{"title": "\\ud800"}', "title", "unpaired surrogate"),
        ('{"files": {"\\udfff": ""}}', "files", "unpaired surrogate"),
        ('{"a": ' + "[" * 30 + "]" * 30 + "}", "a" + ".0" * 19, "nested deeper"),
        ("[" * 200_000, "body", "nested deeper"),
        ('{"a": [' + "1," * 30_000 + "1]}", "body", "more than 20,000 values"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_json_that_is_not_strict_is_told(text: str | bytes, field: str, message: str) -> None:
    assert message in faults(text)[field]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x", "anchors or aliases"),
        ("a: &x 1", "anchors or aliases"),
        ("a: !!python/object/apply:os.system [x]", "tags"),
        ("a: !!binary aGk=", "tags"),
        ("a: [", "is not YAML"),
        ("\ta: 1", "is not YAML"),
        ("--- {}\n--- {}", "one document"),
        ("? [a]\n: 1", "names of fields must be text"),
        ("- " * 40 + "x", "nested deeper"),
        ("[" * 100_000, "nested deeper"),
        ("a: [" + "1," * 60_000 + "]", "must not hold more than"),
        ("a: \x01", "is not YAML"),
        ("", "must be a mapping"),
        ("just text", "must be a mapping"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_yaml_that_could_hide_or_blow_up_a_value_is_told(text: str, message: str) -> None:
    assert message in faults(text, YAML)["body"]


def test_yaml_keys_given_twice_are_told() -> None:
    assert faults("title: a\ntitle: b", YAML)["title"] == "is given more than once"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-23", "2026-11-23"),
        ("2026-11-23 10:00:00", "2026-11-23 10:00:00"),
        ("yes", "yes"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("'3'", "3"),
        ("3", 3),
        ("-3.5", -3.5),
        ("1e3", 1000.0),
        ("true", True),
        ("~", None),
        ("|\n  3\n", "3\n"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_yaml_scalars_mean_what_they_look_like(text: str, value: object) -> None:
    parsed = parse_yaml(f"a: {text}".encode())["a"]

    assert parsed == value
    assert type(parsed) is type(value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    # What UTF-8 can't hold is refused, and tested above.
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(deadline=None)  # a busy machine is not a fault
@given(json_values)
def test_every_sane_json_value_is_read_as_it_was_written(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@settings(deadline=None)  # a busy machine is not a fault
@given(st.binary(max_size=200))
def test_no_bytes_break_the_parsers(content: bytes) -> None:
    for parse in (parse_json, parse_yaml):
        try:
            value = parse(content)
        except Malformed:
            continue
        assert not isinstance(value, float) or math.isfinite(value)


@settings(deadline=None)  # a busy machine is not a fault
@given(st.text(max_size=200))
def test_no_text_is_more_than_refused(text: str) -> None:
    for media_type in (JSON, YAML):
        with pytest.raises(Problem, match="invalid-request"):
            parse_body(text.encode("utf-8", "surrogatepass"), media_type, TaskSpec)


def test_the_limits_are_what_the_tests_above_assume() -> None:
    assert (MAX_DEPTH, MAX_VALUES) == (20, 20_000)
