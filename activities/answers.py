"""Turns what a model said into a typed answer, or refuses it with a reason that the model can act on.

Everything here is untrusted until it is returned: nothing is repaired silently, nothing unknown is ignored.
"""

import ast
import json
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticCustomError

from schema.messages.base import WorkspacePath
from schema.messages.steps import Role
from schema.messages.task import TaskSpec, check_no_clash
from schema.messages.vote import Ballot, Evidence

MAX_ANSWER_CHARACTERS = 400_000
MAX_FILE_CHARACTERS = 200_000

_FENCE = re.compile(
    r"^[ \t]*```[ \t]*(?:python|py)?[ \t]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE | re.IGNORECASE
)
# Files that change what a test run collects or how it judges.
_PROTECTED = re.compile(
    r"^(conftest\.py|\.?pytest\.(ini|toml)|pyproject\.toml|setup\.cfg|tox\.ini|(site|user)customize\.py|.*\.pth)$",
    re.IGNORECASE,
)


Answer = TypeVar("Answer", bound=BaseModel)


class AnswerRefused(ValueError):
    """The answer is not of the type asked for; the text says why, in words for the model."""


class PlanAnswer(BaseModel):
    """The architect's answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    summary: str = Field(max_length=400)
    steps: list[str] = Field(max_length=8)


class FileAnswer(BaseModel):
    """One whole file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: WorkspacePath
    content: str = Field(max_length=MAX_FILE_CHARACTERS)


class CandidateAnswer(BaseModel):
    """The developer's answer: every file that is new or changed, whole."""

    model_config = ConfigDict(extra="forbid", strict=True)

    files: list[FileAnswer] = Field(min_length=1, max_length=50)


class ObjectionAnswer(BaseModel):
    """What a voter holds against the candidate."""

    model_config = ConfigDict(extra="forbid", strict=True)

    category: Literal["correctness", "tests", "security", "requirements", "maintainability"]
    severity: Literal["low", "medium", "high"]
    where: str = Field(max_length=300)
    evidence: list[str] = Field(max_length=8)


class BallotAnswer(BaseModel):
    """A voter's answer. The rationale comes first: models choose better after they have said why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rationale: str = Field(max_length=400)
    choice: Literal["approve", "reject", "abstain"]
    confidence: float = Field(ge=0, le=1)
    evidence: list[str] = Field(max_length=8)
    objections: list[ObjectionAnswer] = Field(max_length=4)


def ballot_type(evidence: Evidence, *, lean: bool = False) -> type[BaseModel]:
    """A ballot's type in which only evidence that exists can be cited; a lean one holds one of each at most."""
    cited: Any = list[Literal[evidence.ids]]  # type: ignore[name-defined]
    citations = (cited, Field(max_length=1 if lean else 8))
    objection: Any = create_model("Objection", __base__=ObjectionAnswer, evidence=citations)
    fields: dict[str, Any] = {
        "evidence": citations,
        "objections": (list[objection], Field(max_length=1 if lean else 4)),
    }
    if lean:
        # A grammar of numbers lets a small model write digits without end.
        fields["confidence"] = (Literal[0.5, 0.7, 0.9], ...)
        fields["rationale"] = (str, Field(max_length=80))
    return create_model("Ballot", __base__=BallotAnswer, **fields)


class LeanPlanAnswer(PlanAnswer):
    """The architect's answer, short."""

    summary: str = Field(max_length=120)
    steps: list[Annotated[str, Field(max_length=60)]] = Field(max_length=3)


def answer_type(role: Role, evidence: Evidence | None, *, lean: bool) -> type[BaseModel]:
    """The type that a role's answer must have."""
    if evidence is not None:
        return ballot_type(evidence, lean=lean)
    if role == "architect":
        return LeanPlanAnswer if lean else PlanAnswer
    return CandidateAnswer


def parse_json(unverified_text: str, wanted: type[Answer]) -> Answer:
    """Parse strictly.

    Raises:
        AnswerRefused: it is too long, no JSON, has prose around it, a key twice, NaN, or is not of type `wanted`.
    """
    if len(unverified_text) > MAX_ANSWER_CHARACTERS:
        raise AnswerRefused(f"the answer is longer than {MAX_ANSWER_CHARACTERS} characters")
    try:
        value = json.loads(unverified_text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except RecursionError as error:
        raise AnswerRefused("the answer is nested too deeply") from error
    except ValueError as error:
        raise AnswerRefused(f"the answer is not the JSON asked for: {error}") from error
    if _holds_nul(value):
        raise AnswerRefused("the answer holds a NUL character")
    try:
        return wanted.model_validate_json(json.dumps(value))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:5])
        raise AnswerRefused(f"the answer does not fit the schema: {faults}") from error


def _holds_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(_holds_nul(part) for part in value)
    return isinstance(value, str) and "\x00" in value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return keys


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def parse_code(unverified_text: str, path: str) -> CandidateAnswer:
    """Read a plain answer, code with or without prose and fences around it, as one whole file.

    Raises:
        AnswerRefused: there is no code in it.
    """
    if len(unverified_text) > MAX_FILE_CHARACTERS:
        raise AnswerRefused(f"the answer is longer than {MAX_FILE_CHARACTERS} characters")
    blocks = [block.strip("\n") for block in _FENCE.findall(unverified_text)]
    code = next((block for block in blocks if _parses(block) and block.strip()), None)
    if code is None:
        code = _longest_prefix_that_parses(blocks[0] if blocks else unverified_text)
    if not code.strip():
        raise AnswerRefused("the answer holds no code")
    return CandidateAnswer(files=[FileAnswer(path=path, content=code.rstrip() + "\n")])


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _longest_prefix_that_parses(text: str) -> str:
    """Small models add prose after the code; what is left when it is cut must still define something."""
    lines = text.splitlines()[:400]
    for end in range(len(lines), 0, -1):
        code = "\n".join(lines[:end])
        if ("def " in code or "class " in code) and _parses(code):
            return code
    return text


def candidate_files(spec: TaskSpec, answer: CandidateAnswer) -> dict[str, str]:
    """All files of a candidate: what the task brought, with the answer's files over it.

    Raises:
        AnswerRefused: the answer touches a test or a file that changes how tests are judged.
    """
    given = {path.casefold(): path for path in spec.files}
    tests = {path.casefold() for path in spec.tests}
    files = dict(spec.files)
    seen: set[str] = set()
    for file in answer.files:
        folded = file.path.casefold()
        if folded in tests:
            raise AnswerRefused(f"{file.path} is an acceptance test: tests must not be changed")
        if folded in seen or given.get(folded, file.path) != file.path:
            raise AnswerRefused(f"{file.path} is there twice")
        if _PROTECTED.match(file.path.rsplit("/", 1)[-1]) and file.path not in spec.files:
            raise AnswerRefused(f"{file.path} would change how tests are collected or judged")
        if "\x00" in file.content:
            raise AnswerRefused(f"{file.path} holds a NUL character")
        seen.add(folded)
        files[file.path] = file.content
    try:
        check_no_clash(files, spec.tests)
    except PydanticCustomError as clash:
        raise AnswerRefused(clash.message()) from clash
    return files


def main_path(spec: TaskSpec) -> str:
    """The one file that a plain-code answer is taken for: the task's only module, or what its tests import."""
    modules = [path for path in spec.files if path.endswith(".py")]
    imported = [name for name in _imports(spec.tests) if f"{name}.py" not in spec.tests]
    for name in imported:
        if f"{name}.py" in spec.files:
            return f"{name}.py"
    if len(modules) == 1:
        return modules[0]
    return f"{imported[0]}.py" if imported else "solution.py"


def _imports(tests: dict[str, str]) -> list[str]:
    """Top-level modules that the tests import and Python does not bring, in order."""
    known = set(sys.stdlib_module_names) | {"pytest", "hypothesis", "__future__"}
    names: list[str] = []
    for text in tests.values():
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names += [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.append(node.module.split(".")[0])
    return [name for name in dict.fromkeys(names) if name not in known]


def canonical_candidate(files: dict[str, str]) -> str:
    """A candidate as stored; equal candidates have equal texts, so equal references."""
    return json.dumps({"files": files}, sort_keys=True, ensure_ascii=False)


def read_candidate(stored: str) -> dict[str, str]:
    """The files of a stored candidate."""
    files: dict[str, str] = json.loads(stored)["files"]
    return files


def parser_for(role: Role, spec: TaskSpec, evidence: Evidence | None, *, lean: bool) -> Callable[[str], str]:
    """What turns a role's raw answer into the text that is stored: canonical, or AnswerRefused."""

    def parse_candidate(text: str) -> str:
        answer = parse_code(text, main_path(spec)) if lean else parse_json(text, CandidateAnswer)
        return canonical_candidate(candidate_files(spec, answer))

    def parse_ballot(text: str) -> str:
        return Ballot.model_validate(parse_json(text, wanted).model_dump()).model_dump_json()

    wanted = answer_type(role, evidence, lean=lean)
    if role == "developer":
        return parse_candidate
    return parse_ballot if evidence is not None else lambda text: parse_json(text, wanted).model_dump_json()
