"""A run in the sandbox: what goes in and what comes out (design §10)."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from pydantic.json_schema import SkipJsonSchema

from schema.messages.base import Message, WorkspacePath

Limit = Literal["timeout", "oom", "processes", "output", "disk"]
Isolation = Literal["gvisor", "runc"]
Outcome = Literal["passed", "failed", "error", "skipped", "missing"]
Severity = Literal["low", "medium", "high"]
GuardName = Literal["tests", "syntax", "lint", "security", "secrets", "scope", "dependencies"]
GuardRule = Annotated[str, StringConstraints(min_length=1, max_length=100)]
GuardPolicy = Literal["on", "off"] | Annotated[dict[GuardRule, Severity | Literal["off"]], Field(max_length=400)]
"""Whether a guard runs; or, by rule, the severity of what it finds, or that it is not told."""


class SandboxLimits(Message):
    """What one run may use."""

    seconds: Annotated[int, Field(ge=1, le=300)] = 30
    memory_mb: Annotated[int, Field(ge=64, le=2048)] = 512
    processes: Annotated[int, Field(ge=8, le=256)] = 64
    output_kb: Annotated[int, Field(ge=1, le=1024)] = 256
    disk_mb: Annotated[int, Field(ge=1, le=256)] = 64


class SandboxJob(Message):
    """One run: `tests` are written over `files`, so that a candidate can't bring its own.

    Attributes:
        control: not empty in a control run, whose changed tests have to fail with this token (docs/sandbox.md).
        kind: `mend` runs nothing: remedies answer the `findings`, and only those after which the code does the same
            where it is `gentle`.
        guards: what the policy says of guards; None lets none look.
        given: the files that the task brought: guards look at what is new or changed.
    """

    files: dict[WorkspacePath, str]
    tests: dict[WorkspacePath, str] = {}
    command: tuple[str, ...]
    limits: SandboxLimits = SandboxLimits()
    image: str = "default"
    control: str = ""
    kind: Literal["run", "mend"] = "run"
    guards: dict[GuardName, GuardPolicy] | None = None
    given: dict[WorkspacePath, str] | None = None
    findings: tuple["Finding", ...] = ()
    gentle: bool = False


class TestOutcome(Message):
    """What became of one acceptance test. `id` is pytest's node id; `missing` is one that never reported."""

    __test__ = False

    id: str
    outcome: Outcome
    message: str = ""
    seconds: float = 0.0


class Usage(Message):
    """What a run used. `wall_seconds` is as the worker saw it."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0


class Finding(Message):
    """What a guard found (design §12). `line` is 1-based; 0 is the whole file."""

    id: str
    guard: str
    rule: str
    severity: Severity
    file: str = ""
    line: int = 0
    message: str
    fix: Literal["deterministic", "model", "none"] = "none"


class Remedied(Message):
    """A remedy that changed something, and in one sentence what and why."""

    name: str
    sentence: str


class Mended(Message):
    """What remedies made of a candidate: the changed files, whole."""

    files: dict[WorkspacePath, str] = {}
    remedies: tuple[Remedied, ...] = ()


class SandboxRun(Message):
    """The result of a run. `limit` is the limit that ended it; such a run is never a pass.

    Attributes:
        isolation: that it really had; None where a submitter states a result that nobody here made.

    Attributes:
        findings: what the guards found, the gravest first.
        weights: by guard, what all its findings weigh together: 1, 10 or 100 each by severity. Not part of a report.
        mended: of a job of that kind; None where the remedies came to no end. Not part of a report.
    """

    exit_code: int
    limit: Limit | None = None
    tests: tuple[TestOutcome, ...] = ()
    stdout: str = ""
    stderr: str = ""
    findings: tuple[Finding, ...] = ()
    weights: Annotated[dict[str, int], SkipJsonSchema(), Field(exclude=True)] = {}
    mended: Annotated[Mended | None, SkipJsonSchema(), Field(exclude=True)] = None
    usage: Usage = Usage()
    isolation: Isolation | None

    @property
    def passed(self) -> bool:
        """Every test that was expected ran and passed, no limit was hit, and there was at least one test."""
        return (
            self.exit_code == 0
            and self.limit is None
            and bool(self.tests)
            and all(test.outcome == "passed" for test in self.tests)
        )
