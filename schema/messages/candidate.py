"""A vote by itself: a candidate that somebody has, with what is known of it (docs/tasks.md)."""

import json
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

from schema.messages.base import Message, WorkspacePath, field_fault
from schema.messages.commands import check_text
from schema.messages.sandbox import Finding, TestOutcome
from schema.messages.task import (
    AutoFix,
    Deadline,
    ImageName,
    Instructions,
    Labels,
    TaskSpec,
    Text,
    Title,
    check_files,
    check_no_shadow,
)
from schema.messages.vote import VotePolicy
from schema.paths import check_workspace_path

_RESERVED = frozenset({"tests", "diff", "plan"})
_NO_FIXES = AutoFix(tools=False, model=False, follow_up="off")

Plan = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"\S"), AfterValidator(check_text)]
Said = Annotated[str, StringConstraints(max_length=4_000), AfterValidator(check_text)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]


def _path_or_none(path: str) -> str:
    return check_workspace_path(path) if path else path


class StatedTest(TestOutcome):
    """What became of a test, as the submitter says."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(check_text)]
    message: Said = ""
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class StatedFinding(Finding):
    """What some tool found, as the submitter says. Voters cite its `id`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Name
    guard: Name
    rule: Name
    file: Annotated[str, AfterValidator(_path_or_none)] = ""
    line: Annotated[int, Field(ge=0)] = 0
    message: Said

    @field_validator("id")
    @classmethod
    def _is_no_other_evidence(cls, name: str) -> str:
        if name in _RESERVED:
            raise ValueError("must not be tests, diff or plan, which name other evidence")
        return name


class StatedEvidence(Message):
    """What the submitter of a vote says about the candidate; the voters are told that nobody here proved it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tests: Annotated[tuple[StatedTest, ...], Field(max_length=1_000)] = ()
    findings: Annotated[tuple[StatedFinding, ...], Field(max_length=200)] = ()

    @model_validator(mode="after")
    def _says_something_once(self) -> "StatedEvidence":
        if not self.tests and not self.findings:
            raise field_fault("tests", "or findings must not be empty: state at least one")
        for name, ids in (
            ("tests", [test.id for test in self.tests]),
            ("findings", [found.id for found in self.findings]),
        ):
            if len(set(ids)) < len(ids):
                raise field_fault(name, "must each have an id of their own")
        return self


class VoteSpec(Message):
    """A candidate that is put to a vote, as a client submits it.

    Attributes:
        instructions: what the candidate was asked to do.
        files: the candidate: every file that is new or changed, whole.
        given: what was there before; what `files` doesn't name stays as it was.
        tests: acceptance tests by which Golden proves the candidate itself; else `evidence`, never both.
        plan: how the candidate was meant to be made, which voters may cite.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: Title
    instructions: Instructions
    files: Annotated[dict[WorkspacePath, Text], Field(min_length=1)]
    given: dict[WorkspacePath, Text] = {}
    tests: dict[WorkspacePath, Text] = {}
    show_tests: bool = True
    command: Annotated[tuple[str, ...], Field(strict=False)] = ("python", "-m", "pytest", "-q")
    plan: Plan | None = None
    evidence: StatedEvidence | None = None
    budget_tokens: Annotated[int, Field(ge=1_000, le=10_000_000)]
    deadline: Deadline = "30m"
    policy: VotePolicy = VotePolicy()
    image: ImageName = "default"
    labels: Labels = {}

    @field_validator("tests")
    @classmethod
    def _tests_hold_tests(cls, tests: dict[str, str]) -> dict[str, str]:
        return TaskSpec._tests_hold_tests(tests) if tests else tests

    @field_validator("command")
    @classmethod
    def _command_is_pytest(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        return TaskSpec._command_is_pytest(command)

    @model_validator(mode="after")
    def _can_be_judged(self) -> "VoteSpec":
        if self.tests and self.evidence is not None:
            raise field_fault("evidence", "and tests exclude each other: with tests, Golden proves it")
        if not self.tests and self.evidence is None:
            raise field_fault("tests", "or evidence is required: a vote needs something to go by")
        check_files(self.candidate, self.tests)
        check_no_shadow(self.candidate)
        if self.candidate == self.given:
            raise field_fault("files", "change nothing of what was given: there is nothing to vote on")
        self._check_findings()
        return self

    def _check_findings(self) -> None:
        for index, found in enumerate(self.evidence.findings if self.evidence else ()):
            if not found.file:
                continue
            text = self.candidate.get(found.file)
            if text is None:
                raise field_fault(f"evidence.findings.{index}.file", "names no file of the candidate")
            if found.line > len(text.splitlines()):
                raise field_fault(f"evidence.findings.{index}.line", f"is beyond the end of {found.file}")

    @property
    def candidate(self) -> dict[str, str]:
        """All files of the candidate: what was given, with what is new or changed over it."""
        return {**self.given, **self.files}

    def as_task(self) -> "CandidateSpec":
        """The same as the row of a task holds it: nothing is developed and nothing repaired."""
        return CandidateSpec(
            title=self.title,
            instructions=self.instructions,
            files=self.given,
            tests=self.tests,
            show_tests=self.show_tests,
            command=self.command,
            budget_tokens=self.budget_tokens,
            candidates=1,
            repair_rounds=0,
            deadline=self.deadline,
            policy=self.policy,
            auto_fix=_NO_FIXES,
            image=self.image,
            labels=self.labels,
            candidate=self.candidate,
            plan=self.plan,
            evidence=self.evidence,
        )


class CandidateSpec(TaskSpec):
    """A vote by itself, in the form of a task.

    Attributes:
        files: what was there before.
        tests: none where the evidence is stated.
        candidate: all files of the candidate, whole.
    """

    tests: dict[WorkspacePath, Text] = {}
    candidate: Annotated[dict[WorkspacePath, Text], Field(min_length=1)]
    plan: Plan | None = None
    evidence: StatedEvidence | None = None

    @field_validator("tests")
    @classmethod
    def _tests_hold_tests(cls, tests: dict[str, str]) -> dict[str, str]:
        return TaskSpec._tests_hold_tests(tests) if tests else tests

    @model_validator(mode="after")
    def _files_fit(self) -> "CandidateSpec":
        check_files(self.candidate, self.tests)
        check_no_shadow(self.candidate)
        return self


def spec_of(text: str) -> TaskSpec | CandidateSpec:
    """What a task's row says that is to be done: a task, or a vote on a candidate that is there.

    Raises:
        ValueError: it is neither (pydantic's `ValidationError`).
    """
    brings_candidate = "candidate" in json.loads(text)
    return (CandidateSpec if brings_candidate else TaskSpec).model_validate_json(text)
