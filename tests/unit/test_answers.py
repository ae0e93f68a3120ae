"""What a model said, typed or refused."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.answer_json import parse_json
from activities.answer_types import CandidateAnswer, PlanAnswer, ballot_type
from activities.answers import AnswerRefused, candidate_files, canonical_candidate, main_path, read_candidate
from activities.plain_code import parse_code
from schema.messages.task import TaskSpec
from schema.messages.vote import Evidence

NO_IMPORT = "def test_it():\n    pass\n"


def spec(**fields: Any) -> TaskSpec:
    basis = {
        "title": "T",
        "instructions": "Do it.",
        "files": {"work.py": "def work():\n    ...\n"},
        "tests": {"test_work.py": "from work import work\n\ndef test_work():\n    assert work() == 1\n"},
        "budget_tokens": 1000,
    }
    return TaskSpec.model_validate_json(json.dumps({**basis, **fields}))


def candidate(*files: tuple[str, str]) -> CandidateAnswer:
    return CandidateAnswer.model_validate({"files": [{"path": path, "content": content} for path, content in files]})


@pytest.mark.parametrize(
    "text",
    [
        '{"summary": "s", "steps": [], "steps": []}',
        '{"summary": "s", "steps": [NaN]}',
        '{"summary": NaN, "steps": []}',
        '{"summary": "s", "steps": [], "more": 1}',
        '{"summary": 1, "steps": []}',
        '{"summary": "s"}',
        '{"summary": "\\ud800", "steps": []}',
        'Here it is: {"summary": "s", "steps": []}',
        '{"summary": "s", "steps": []} Done.',
        '{"summary": "s", "steps": [',
        "I can't help with that.",
        "",
        "[" * 100_000,
        '{"summary": "a\\u0000b", "steps": []}',
        '{"summary": "s", "steps": ["\\u0000"]}',
        '{"summary": "' + "x" * 401 + '", "steps": []}',
    ],
)
def test_an_answer_that_is_not_exactly_of_its_type_is_refused(text: str) -> None:
    with pytest.raises(AnswerRefused):
        parse_json(text, PlanAnswer)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("[" * 9, "nested deeper than 8 levels"),
        ('{"summary": "' + "[" * 9 + '", "steps": ["\\"[[[[[[[[["], "more": 1}', "more: Extra inputs"),
        ('{"summary": "s", "steps": ["', "ends before its JSON does"),
        ('{"summary": "s", "steps": []', "ends before its JSON does"),
        ('{"summary": "s", "steps": []} Done.', "something follows"),
        ('```json\n{"summary": "s", "steps": []}\n```', "code fence"),
        ("I'm sorry, I can't do that.", "do what you can"),
        ('{"summary": "s", "summary": "s"}', "give each once"),
        ('{"summary": 9999999999999999999}', "18 digits"),
        ('{"summary": 1e999}', "too large"),
        ('{"summary": "\\ud800"}', "half a surrogate pair"),
        ('{"summary": "s", "steps": [], "x' + "x" * 9_000 + '": 1}', "…: Extra inputs"),
    ],
)
def test_a_refusal_says_what_to_mend(text: str, why: str) -> None:
    with pytest.raises(AnswerRefused, match=re.escape(why)):
        parse_json(text, PlanAnswer)


def test_a_right_answer_is_read() -> None:
    assert parse_json(' {"summary": "s", "steps": ["a"]}\n', PlanAnswer).steps == ["a"]


def test_a_ballot_cites_only_evidence_that_exists() -> None:
    kind = ballot_type(Evidence(tests_passed=1, tests_failed=0, findings={"S1": "high"}))
    said = {"choice": "approve", "confidence": 1, "rationale": "", "evidence": ["S1", "tests"], "objections": []}
    assert parse_json(json.dumps(said), kind)
    with pytest.raises(AnswerRefused, match="evidence"):
        parse_json(json.dumps({**said, "evidence": ["S2"]}), kind)


@pytest.mark.parametrize(
    "path", ["../x.py", "/etc/passwd", "a\\b.py", "C:x.py", "nul.py", "a/./b.py", "x.py\n", "a/" * 9 + "x.py", ".", ""]
)
def test_a_path_out_of_the_workspace_is_refused(path: str) -> None:
    with pytest.raises(AnswerRefused):
        parse_json(json.dumps({"files": [{"path": path, "content": ""}]}), CandidateAnswer)


def test_a_candidate_is_the_given_files_with_the_answer_over_them() -> None:
    files = candidate_files(spec(files={"work.py": "old", "keep.py": "kept"}), candidate(("work.py", "new")))
    assert files == {"work.py": "new", "keep.py": "kept"}


@pytest.mark.parametrize(
    "path",
    ["test_work.py", "Test_Work.py", "conftest.py", "sub/conftest.py", "pytest.ini", "sitecustomize.py", "x.pth"],
)
def test_a_candidate_that_touches_tests_or_their_judging_is_refused(path: str) -> None:
    with pytest.raises(AnswerRefused):
        candidate_files(spec(), candidate((path, "")))


@pytest.mark.parametrize("path", ["work.py/x.py", "test_work.py/x.py", "WORK.py"])
def test_a_candidate_whose_files_hide_each_other_is_refused(path: str) -> None:
    with pytest.raises(AnswerRefused):
        candidate_files(spec(), candidate((path, "")))


@pytest.mark.parametrize("confidence", ["true", '"0.5"', "1e999", "-1", "2"])
def test_a_ballots_confidence_is_a_number_from_nought_to_one(confidence: str) -> None:
    said = f'{{"choice": "approve", "confidence": {confidence}, "rationale": "", "evidence": [], "objections": []}}'
    with pytest.raises(AnswerRefused):
        parse_json(said, ballot_type(Evidence(tests_passed=1, tests_failed=0)))


def test_equal_candidates_are_stored_as_one() -> None:
    stored = canonical_candidate({"b.py": "2", "a.py": "é"})
    assert stored == canonical_candidate({"a.py": "é", "b.py": "2"})
    assert read_candidate(stored) == {"a.py": "é", "b.py": "2"}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("def f():\n    return 1", "def f():\n    return 1\n"),
        ("Sure!\n\n```python\ndef f():\n    return 1\n```\n\nThis returns 1.", "def f():\n    return 1\n"),
        ("```\ndef f():\n    return 1\n", "def f():\n    return 1\n"),
        ("```python\nnot code at all!\n```\n```py\ndef f(): pass\n```", "def f(): pass\n"),
        ("def f():\n    return 1\nThis function returns one.", "def f():\n    return 1\n"),
    ],
)
def test_plain_code_is_found_between_the_prose(said: str, code: str) -> None:
    assert parse_code(said, "work.py").files[0].content == code


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader_of_plain_code(text: str) -> None:
    try:
        answer = parse_code(text, "work.py")
    except AnswerRefused:
        return
    assert answer.files[0].content.strip()


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader_of_json(text: str) -> None:
    with pytest.raises(AnswerRefused):
        parse_json(text, PlanAnswer)


def test_plain_code_goes_where_the_tests_import_it_from() -> None:
    assert main_path(spec()) == "work.py"
    assert main_path(spec(files={})) == "work.py"
    assert main_path(spec(files={"other.py": "", "work.py": ""})) == "work.py"
    assert main_path(spec(files={"only.py": ""}, tests={"test_a.py": f"import os\n{NO_IMPORT}"})) == "only.py"
    assert main_path(spec(files={}, tests={"test_a.py": f"import os, pytest\n{NO_IMPORT}"})) == "solution.py"


def test_plain_code_goes_to_no_path_that_no_answer_may_name() -> None:
    task = spec(files={}, tests={"test_a.py": f"import aux, {'x' * 300}\n{NO_IMPORT}"})

    assert main_path(task) == "solution.py"
