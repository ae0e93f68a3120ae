"""Turns what a model said into the answer that is stored, or refuses it with a reason that the model can act on.

Everything is untrusted until `parser_for`'s parser returns it. Types are in `answer_types`, JSON is read in
`answer_json`, plain code in `plain_code`; here an answer is held against its task.
"""

import json
import re
from collections.abc import Callable

from pydantic_core import PydanticCustomError

from activities.answer_json import AnswerRefused, parse_json
from activities.answer_types import CandidateAnswer, FileAnswer, answer_type
from activities.plain_code import main_path, parse_code
from schema.messages.steps import Asked
from schema.messages.task import TaskSpec, check_no_clash
from schema.messages.vote import Ballot, Evidence
from schema.paths import spelling

__all__ = [
    "AnswerRefused",
    "answer_type",
    "candidate_files",
    "canonical_candidate",
    "main_path",
    "parser_for",
    "read_candidate",
]

# Files that change what a test run collects or how it judges.
_PROTECTED = re.compile(
    r"(conftest\.py|\.?pytest\.(ini|toml)|pyproject\.toml|setup\.cfg|tox\.ini|(site|user)customize\.py|.*\.pth)"
)


def parser_for(role: Asked, spec: TaskSpec, evidence: Evidence | None, *, lean: bool) -> Callable[[str], str]:
    """What turns a role's raw answer into the text that is stored: canonical, or AnswerRefused."""
    wanted = answer_type(role, evidence, lean=lean)

    def parse_candidate(text: str) -> str:
        answer = parse_code(text, main_path(spec)) if lean else parse_json(text, CandidateAnswer)
        return canonical_candidate(candidate_files(spec, answer))

    def parse_ballot(text: str) -> str:
        return Ballot.model_validate(parse_json(text, wanted).model_dump()).model_dump_json()

    def parse_plan(text: str) -> str:
        return parse_json(text, wanted).model_dump_json()

    if role == "developer":
        return parse_candidate
    return parse_plan if evidence is None else parse_ballot


def candidate_files(spec: TaskSpec, answer: CandidateAnswer) -> dict[str, str]:
    """All files of a candidate: what the task brought, with the answer's files over it.

    Raises:
        AnswerRefused: the answer touches a test or a file that changes how tests are judged, or its files would
            hide one another where file systems tell fewer names apart.
    """
    given = {spelling(path): path for path in spec.files}
    tests = {spelling(path) for path in spec.tests}
    files = dict(spec.files)
    seen: set[str] = set()
    for file in answer.files:
        spelt = spelling(file.path)
        if spelt in tests:
            raise AnswerRefused(f"{file.path} is an acceptance test: tests must not be changed")
        if spelt in seen or given.get(spelt, file.path) != file.path:
            raise AnswerRefused(f"{file.path} is there twice")
        if _PROTECTED.fullmatch(spelt.rsplit("/", 1)[-1]) and file.path not in spec.files:
            raise AnswerRefused(f"{file.path} would change how tests are collected or judged")
        _check_content(file)
        seen.add(spelt)
        files[file.path] = file.content
    try:
        check_no_clash(files, spec.tests)
    except PydanticCustomError as clash:
        raise AnswerRefused(clash.message()) from clash
    return files


def _check_content(file: FileAnswer) -> None:
    if "\x00" in file.content:
        raise AnswerRefused(f"{file.path} holds a NUL character")


def canonical_candidate(files: dict[str, str]) -> str:
    """A candidate as stored; equal candidates have equal texts, so equal references."""
    return json.dumps({"files": files}, sort_keys=True, ensure_ascii=False)


def read_candidate(stored: str) -> dict[str, str]:
    """The files of a stored candidate."""
    files: dict[str, str] = json.loads(stored)["files"]
    return files
