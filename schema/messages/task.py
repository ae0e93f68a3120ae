"""A coding task: what a client submits, and what it reads back (design §5 and §17)."""

import ast
import re
import sys
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

from schema.characters import clean
from schema.messages.base import Message, Tenant, WorkspacePath, field_fault
from schema.messages.commands import check_pytest_options, check_text, is_test_file, pytest_arguments
from schema.messages.sandbox import Finding, Isolation, TestOutcome
from schema.messages.vote import Explanation, VotePolicy
from schema.paths import spelling

MAX_FILES_BYTES = 1024 * 1024
MAX_FILES = 200

_DEADLINE = re.compile(r"^([0-9]{1,6})([smhd])$")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class TaskState(StrEnum):
    """Where a task is; the last four are final. The values are those of `GoldenState`."""

    SUBMITTED = "submitted"
    QUEUED = "queued"
    PLANNING = "planning"
    DEVELOPING = "developing"
    PROVING = "proving"
    REPAIRING = "repairing"
    VOTING = "voting"
    ESCALATED = "escalated"
    PARKED = "parked"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in FINAL_STATES


FINAL_STATES = frozenset({TaskState.ACCEPTED, TaskState.REJECTED, TaskState.FAILED, TaskState.CANCELLED})


def parse_deadline(text: str) -> int:
    """Seconds of a duration such as `30m`.

    Raises:
        ValueError: it is not digits and one of s, m, h, d, or lies outside 10 seconds to 7 days.
    """
    match = _DEADLINE.fullmatch(text)
    if match is None:
        raise ValueError("a deadline is digits and one of s, m, h or d, for example 30m")
    seconds = int(match[1]) * _UNIT_SECONDS[match[2]]
    if not 10 <= seconds <= 7 * 86400:
        raise ValueError("a deadline must be from 10s to 7d")
    return seconds


def _check_deadline(text: str) -> str:
    parse_deadline(text)
    return text


def _check_line(text: str) -> str:
    if clean(text) != text or "\n" in text or "\t" in text:
        raise ValueError("must be one line without control, invisible or direction-changing characters")
    if text != text.strip():
        raise ValueError("must not begin or end with white space")
    return text


Text = Annotated[str, AfterValidator(check_text)]
Instructions = Annotated[
    str, StringConstraints(min_length=1, max_length=20_000, pattern=r"\S"), AfterValidator(check_text)
]
Title = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(check_text), AfterValidator(_check_line)
]


class AutoFix(Message):
    """What is done about the findings of the guards.

    Attributes:
        tools: fixes that real tools make, such as a linter's.
        model: the developer is shown what is left.
        follow_up: what happens to findings that stay: nothing, a task to submit is suggested, or it is created.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tools: bool = True
    model: bool = True
    follow_up: Literal["off", "suggest", "create"] = "suggest"


ImageName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
"""A sandbox image by its name in the settings' allow-list."""


Deadline = Annotated[str, AfterValidator(_check_deadline)]
"""Digits and one of s, m, h or d: from 10s to 7d."""

Labels = Annotated[
    dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")], Title],
    Field(max_length=20),
]
"""What a client sorts its tasks by."""


class TaskSpec(Message):
    """A coding task with its acceptance tests and its token budget, as a client submits it."""

    # Strict: "3" is no number and 3 is no text, so that a slip is told and not guessed at.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: Title
    instructions: Instructions
    files: dict[WorkspacePath, Text] = {}
    tests: Annotated[dict[WorkspacePath, Text], Field(min_length=1)]
    show_tests: bool = True
    command: Annotated[tuple[str, ...], Field(strict=False)] = ("python", "-m", "pytest", "-q")
    budget_tokens: Annotated[int, Field(ge=1_000, le=10_000_000)]
    candidates: Annotated[int, Field(ge=1, le=16)] = 3
    repair_rounds: Annotated[int, Field(ge=0, le=10)] = 2
    deadline: Deadline = "30m"
    policy: VotePolicy = VotePolicy()
    auto_fix: AutoFix = AutoFix()
    image: ImageName = "default"
    labels: Labels = {}

    @property
    def deadline_seconds(self) -> int:
        return parse_deadline(self.deadline)

    @field_validator("tests")
    @classmethod
    def _tests_hold_tests(cls, tests: dict[str, str]) -> dict[str, str]:
        if not any(is_test_file(path) for path in tests):
            raise ValueError("needs at least one pytest file, named test_*.py or *_test.py")
        trees = [_parse(path, text) for path, text in tests.items() if is_test_file(path)]
        if not any(_defines_test(node) for tree in trees for node in ast.walk(tree)):
            raise ValueError("define no test: pytest looks for functions whose names begin with test")
        return tests

    @field_validator("command")
    @classmethod
    def _command_is_pytest(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        arguments = pytest_arguments(command)
        if arguments is None:
            raise ValueError("must be a pytest form: [python, -m, pytest, -q] or [pytest, -q]")
        check_pytest_options(arguments)
        return command

    @model_validator(mode="after")
    def _files_fit(self) -> "TaskSpec":
        check_files(self.files, self.tests)
        check_no_shadow(self.files)
        return self


def _parse(path: str, text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise ValueError(f"{path} is no valid Python: {error.msg} in line {error.lineno}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{path} can't be read as Python") from error


def _defines_test(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")


def check_files(files: dict[str, str], tests: dict[str, str]) -> None:
    """Refuse too many or too large files, and names that would hide one another."""
    everything = {**files, **tests}
    if len(everything) > MAX_FILES:
        raise field_fault("files", f"and tests together must not be more than {MAX_FILES}")
    size = sum(len(path.encode()) + len(text.encode()) for path, text in everything.items())
    if size > MAX_FILES_BYTES:
        raise field_fault("files", f"and tests together are {size:,} bytes; the limit is {MAX_FILES_BYTES:,}")
    check_no_clash(files, tests)


def check_no_clash(files: dict[str, str], tests: dict[str, str]) -> None:
    """A name in two spellings, in both files and tests, or as file and folder would hide another."""
    seen: dict[str, str] = {}
    for path in [*files, *tests]:
        other = seen.setdefault(spelling(path), path)
        if other != path or (path in files and path in tests):
            raise field_fault("files", f"and tests hold one file in two spellings: {other!r} and {path!r}")
    for path in seen:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if "/".join(parts[:depth]) in seen:
                raise field_fault("files", f"and tests hold {'/'.join(parts[:depth])!r} as a file and as a folder")


def check_no_shadow(files: dict[str, str]) -> None:
    """The sandbox imports Python's own modules before a task's, so that no candidate can stand in for one."""
    for path in files:
        name = path.split("/")[0].removesuffix(".py")
        if name in sys.stdlib_module_names:
            raise field_fault(f"files.{path}", f"hides Python's own module {name}: give it another name")


class StepView(Message):
    """A step's progress. `step` is its stable id, for example `develop/2`."""

    step: str
    state: Literal["running", "done", "failed", "cancelled", "parked"]
    started_at: datetime
    ended_at: datetime | None = None
    detail: str = ""


class TaskView(Message):
    """A task as the API shows it.

    Attributes:
        kind: `vote` where a candidate was put to a vote by itself.
        parent: the task whose findings this one is to mend.
    """

    task_id: UUID
    tenant: Tenant
    title: str
    kind: Literal["task", "vote"] = "task"
    parent: UUID | None = None
    state: TaskState
    reason: str | None
    submitted_by: str
    submitted_at: datetime
    updated_at: datetime
    progress: tuple[StepView, ...] = ()
    links: dict[str, str] = {}


class FixView(Message):
    """A repair that was kept: what it changed and why, in one sentence.

    Attributes:
        diff: what it changed, in unified form.
        findings: the findings that it ended.
    """

    step: str
    kind: Literal["deterministic", "model"]
    sentence: str
    diff: str = ""
    findings: tuple[Finding, ...] = ()


class FollowUp(Message):
    """A task for what could not be fixed: suggested, or created with what its parent left of its budget.

    Attributes:
        task_id: None of one that is only suggested.
        reason: why it was not created although that was asked for.
    """

    title: str
    finding: Finding
    task_id: UUID | None = None
    reason: str = ""


class RoleTokens(Message):
    """Tokens that a role used."""

    input: int = 0
    output: int = 0


class TaskResult(Message):
    """What a final task came to."""

    task_id: UUID
    state: TaskState
    reason: str | None = None
    files: dict[str, str] = {}
    tests: tuple[TestOutcome, ...] = ()
    findings: tuple[Finding, ...] = ()
    fixes: tuple[FixView, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    consensus: Explanation | None = None
    prompts: dict[str, str] = {}
    tokens: dict[str, RoleTokens] = {}
    micro_usd: int | None = None
    isolation: Isolation | None = None


class TaskEvent(Message):
    """One line of a task's story; `sequence` counts from 1 within the task."""

    sequence: int
    event: Literal["state", "step", "candidate", "ballot", "verdict"]
    data: dict[str, Any]
