"""A program that a client runs in the sandbox by itself, beside any task."""

from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from schema.messages.base import Message, Tenant, TextRef, WorkspacePath, field_fault
from schema.messages.commands import (
    Argument,
    check_pytest_options,
    check_pytest_targets,
    is_test_file,
    pytest_arguments,
)
from schema.messages.sandbox import Isolation, Limit, SandboxLimits
from schema.messages.task import ImageName, Text, check_files, check_no_shadow

CONTROL = 2
"""What a pytest form passes is run again, with twice the time, as a control (activities/judging.py)."""

MARGIN_SECONDS = 45
"""For a free sandbox, for making it, and for a second try where the container engine failed."""


class ExecutionLimits(SandboxLimits):
    """What one run may use; as a client says it, "3" is no number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ExecutionSpec(Message):
    """A command with its files. A pytest form is judged by `tests`, or by the test files among `files`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    files: dict[WorkspacePath, Text] = {}
    tests: dict[WorkspacePath, Text] = {}
    command: Annotated[tuple[Argument, ...], Field(strict=False, min_length=1, max_length=100)]
    limits: ExecutionLimits = ExecutionLimits()
    image: ImageName = "default"

    @property
    def longest_seconds(self) -> int:
        """How long it may take until there is an answer."""
        return (1 + CONTROL) * self.limits.seconds + MARGIN_SECONDS

    @model_validator(mode="after")
    def _can_be_run(self) -> "ExecutionSpec":
        if not self.command[0].strip():
            raise field_fault("command", "must begin with the program to run")
        check_files(self.files, self.tests)
        arguments = pytest_arguments(self.command)
        if arguments is not None:
            self._check_pytest(arguments)
        return self

    def _check_pytest(self, arguments: tuple[str, ...]) -> None:
        check_no_shadow(self.files)
        targets = tuple(argument for argument in arguments if not argument.startswith("-"))
        judges = self.tests or self.files
        try:
            check_pytest_options(tuple(argument for argument in arguments if argument.startswith("-")))
            check_pytest_targets(targets, judges)
        except ValueError as error:
            raise field_fault("command", str(error)) from None
        if not any(is_test_file(path) or path in targets for path in judges):
            raise field_fault("tests", "need at least one pytest file, named test_*.py or *_test.py")


class SandboxExecutionInput(Message):
    """Starts `SandboxExecution`.

    Attributes:
        job: the `ExecutionSpec`.
        longest_seconds: gives up after this time.
        actor, role, request_id: of whoever asked for it, for the audit log.
    """

    execution_id: UUID
    tenant: Tenant
    job: TextRef
    longest_seconds: int
    actor: str
    role: str
    request_id: str


class SandboxExecutionResult(Message):
    """How a run ended; the whole `SandboxRun` is behind `report`."""

    report: TextRef
    exit_code: int
    limit: Limit | None
    isolation: Isolation | None
