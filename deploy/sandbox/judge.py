"""What a pytest run must show to pass, found before the candidate is there. Standard library only."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from deploy.sandbox import control
from deploy.sandbox.discovery import expected_tests, tools

CONFIGURATION = ("pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
EMPTY_CONFIGURATION = "/opt/golden/pytest.ini"
ALLOWED_OPTION = re.compile(
    r"-[qvsxl]+|-r[A-Za-z]+|--(quiet|verbose|exitfirst|strict-markers|strict-config|no-header|no-summary)"
    r"|--tb=(auto|long|short|line|native|no)|--(maxfail|durations)=\d{1,4}"
)
MAX_MESSAGE = 2_000
MAX_TESTS, MAX_ID, ALL_IDS, ALL_MESSAGES = 5_000, 300, 4 << 20, 512 << 10
"""In bytes, as JSON: a candidate may write its report itself, and its answer has to fit into a frame and in memory."""
NAMED, MAX_NAME, LONGEST_PHASE = 5, 80, 1e6
WORST_FIRST = ("failed", "error", "missing", "skipped", "passed")
FORMS = ("pytest", "py.test"), ("python", "python3")


class UsageError(Exception):
    """The command is a pytest form with something in it that could change the judging."""


@dataclass(frozen=True)
class Plan:
    """A pytest run: its arguments, the files it collects from, the tests that must report, and what stands over them.

    Attributes:
        judges: the files that judge, as they are written over the candidate's; changed, in a control.
        must_fail: in a control, the names of the functions that have to fail with its token.
        matchers: in a control, the tests' classes whose values may be equal to anything.
        tools: the standard modules that the tests judge with.
    """

    arguments: tuple[str, ...]
    test_files: tuple[str, ...]
    expected: tuple[str, ...]
    judges: Mapping[str, str] = field(default_factory=dict)
    must_fail: frozenset[str] = frozenset()
    matchers: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()


def plan(command: list[str], files: dict[str, str], tests: dict[str, str], token: str = "") -> Plan | None:
    """The plan of a pytest form; None when the command is something else.

    Without tests of its own the job is judged by the tests among its files. With a token it is a control.

    Raises:
        UsageError: it could change the judging, or there is nothing to judge by.
    """
    given = pytest_arguments(command)
    if given is None:
        return None
    judges = tests or files
    options, targets = [part for part in given if part.startswith("-")], [p for p in given if not p.startswith("-")]
    for option in options:
        if not ALLOWED_OPTION.fullmatch(option):
            raise UsageError(f"pytest's option {option} is not allowed here")
    test_files = tuple(path for path in sorted(judges) if _is_selected(path, targets))
    if not test_files:
        raise UsageError("there is no test file for this command")
    expected = tuple(
        test for path in test_files for test in expected_tests(path, judges[path]) if _matches(test, targets)
    )
    selected = [target for target in targets if "::" in target]
    whole = [path for path in test_files if not any(target.startswith(f"{path}::") for target in selected)]
    # All tests of a control fail, and each has to.
    options = [*(options or ["-q"]), *(["--maxfail=0"] if token else [])]
    judging = tests or {path: files[path] for path in test_files}
    changed, must_fail, matchers = _changed(judging, token) if token else (judging, NOTHING, NOTHING)
    return Plan(
        arguments=(*FIXED, *_configuration(judges), *options, *whole, *selected),
        test_files=test_files,
        expected=expected,
        judges=changed,
        must_fail=must_fail,
        matchers=matchers,
        tools=tools(text for path, text in judging.items() if path.endswith(".py")),
    )


def _changed(judges: Mapping[str, str], token: str) -> tuple[Mapping[str, str], frozenset[str], frozenset[str]]:
    try:
        return control.changed_files(judges, token)
    except ValueError as error:
        raise UsageError(str(error)) from error


NOTHING: frozenset[str] = frozenset()
FIXED = (
    "--rootdir=/work",
    "--confcutdir=/work",
    "--import-mode=importlib",
    "--disable-plugin-autoload",
    "--capture=no",
    "--tb=short",
    "--color=no",
    "-pno:cacheprovider",
    "-pno:faulthandler",
)
"""Later options win over these, so none that judges may be among the allowed ones."""


def pytest_arguments(command: list[str]) -> list[str] | None:
    """The arguments to pytest, when the command is `pytest …` or `python -m pytest …`."""
    direct, python = FORMS
    if command and command[0] in direct:
        return command[1:]
    if len(command) >= 3 and command[0] in python and command[1:3] == ["-m", "pytest"]:
        return command[3:]
    return None


def verdicts(plan: Plan, report: bytes, limit: str | None) -> list[dict[str, Any]]:
    """One outcome for each expected or collected test; what did not report is missing."""
    return _fitting(_outcomes(plan, report, limit))


def control_verdicts(plan: Plan, report: bytes, token: str) -> list[dict[str, Any]]:
    """Of a control: `passed` is a test that failed with the token, or one that was not changed and passed."""
    outcomes = {}
    for test, told in _outcomes(plan, report, None).items():
        if function_of(test).rpartition("::")[2] in plan.must_fail:
            # The line of the source holds the token too.
            honest = told["outcome"] == "failed" and f"AssertionError: {token}" in told["message"]
        else:
            honest = told["outcome"] == "passed"
        outcomes[test] = {**told, "outcome": "passed" if honest else "failed"}
    return _fitting(outcomes)


def _outcomes(plan: Plan, report: bytes, limit: str | None) -> dict[str, dict[str, Any]]:
    told = _Told(limit)
    told.expect(map(_id, plan.expected))
    for record in _records(report):
        told.take(record)
    return told.verdicts()


def _fitting(outcomes: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    room, fitting = ALL_MESSAGES, []  # beyond it the messages are empty
    for test, outcome in outcomes.items():
        room -= len(json.dumps(outcome["message"])) if room > 0 else 0
        fitting.append({"id": test, **outcome, "message": outcome["message"] if room > 0 else ""})
    return fitting


@dataclass
class _Told:
    """What a report has told so far."""

    limit: str | None
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    finished: bool = False
    room: int = ALL_IDS
    crowded: bool = False

    def take(self, record: dict[str, Any]) -> None:
        kind, test = record.get("kind"), _id(record.get("id"))
        if kind == "collected":
            ids = record.get("ids")
            self.expect([_id(one) for one in ids] if isinstance(ids, list) else [])
        elif kind == "start" and test in self.outcomes:
            ending = f"the run ended in this test ({self.limit})" if self.limit else "the run ended in this test"
            self.outcomes[test] = self.outcomes[test] | {"message": ending}
        elif kind == "phase" and self._has_room(test):
            self.outcomes[test] = _worse(self.outcomes.get(test), record)
        elif kind == "broken":
            self.broken[test] = _message(record.get("message"))
        elif kind == "replaced":
            self.replaced.add(test[:MAX_NAME])
        elif kind == "finished":
            self.finished = True

    def expect(self, ids: Iterable[str]) -> None:
        """With their parameters, in place of the functions that were known before."""
        for test in ids:
            self.outcomes.pop(function_of(test), None)
            if self._has_room(test):
                self.outcomes[test] = _outcome("missing", "the test did not report")

    def _has_room(self, test: str) -> bool:
        if test in self.outcomes:
            return True
        self.room -= len(json.dumps(test))
        fits = len(self.outcomes) < MAX_TESTS and self.room >= 0
        self.crowded |= not fits
        return fits

    def verdicts(self) -> dict[str, dict[str, Any]]:
        """The outcomes, with what the whole run says of each."""
        outcomes = dict(self.outcomes)
        for test, outcome in outcomes.items():
            path = test.split("::")[0]
            if outcome["outcome"] == "missing" and path in self.broken:
                outcomes[test] = _outcome("error", self.broken[path])
        if self.crowded:
            said = f"there are more tests than can be judged in one run: at most {MAX_TESTS:,}, with short names"
            outcomes = {"session": _outcome("missing", said), **outcomes}
        elif not self.finished:
            outcomes["session"] = _outcome("missing", "pytest did not come to its end")
        if self.replaced:
            names = sorted(self.replaced)
            more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
            said = f"the program replaced {', '.join(names[:NAMED])}{more}"
            return {test: _outcome("error", said) for test in outcomes}
        return outcomes


def _is_selected(path: str, targets: list[str]) -> bool:
    name = PurePosixPath(path).name
    if not name.endswith(".py"):
        return False
    named = [target.split("::")[0].rstrip("/").removeprefix("./") for target in targets]
    if path in named:
        return True
    if not (name.startswith("test_") or name.endswith("_test.py")):
        return False
    return not named or any(target in (".", "") or path.startswith(f"{target}/") for target in named)


def _matches(test: str, targets: list[str]) -> bool:
    path = test.split("::")[0]
    chosen = [target.split("[")[0] for target in targets if target.startswith(f"{path}::")]
    return not chosen or any(test == target or test.startswith(f"{target}::") for target in chosen)


def _configuration(judges: dict[str, str]) -> list[str]:
    """Only the tests' own configuration and conftest files count."""
    own = next((name for name in CONFIGURATION if name in judges), None)
    has_conftest = any(PurePosixPath(path).name == "conftest.py" for path in judges)
    return [f"-c{own or EMPTY_CONFIGURATION}", *([] if has_conftest else ["--noconftest"])]


def _records(report: bytes) -> Iterator[dict[str, Any]]:
    for line in report.splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record


def _worse(known: dict[str, Any] | None, record: dict[str, Any]) -> dict[str, Any]:
    """Several reports of one test: the worst counts, so that a forged pass after a failure changes nothing."""
    outcome = record.get("outcome")
    if outcome not in WORST_FIRST or outcome == "missing":
        outcome = "error"
    seconds = record.get("seconds")
    taken = seconds if isinstance(seconds, float) and 0.0 <= seconds <= LONGEST_PHASE else 0.0
    new = _outcome(outcome, _message(record.get("message")), taken)
    if known is None or known["outcome"] == "missing":
        return new
    worst = min(known, new, key=lambda one: WORST_FIRST.index(one["outcome"]))
    return worst | {"seconds": known["seconds"] + new["seconds"]}


def _outcome(outcome: str, message: str = "", seconds: float = 0.0) -> dict[str, Any]:
    return {"outcome": outcome, "message": message, "seconds": seconds}


def _text(value: object) -> str:
    """Text from the candidate's process as text that every store can hold."""
    text = value if isinstance(value, str) else ""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _message(value: object) -> str:
    """What is said of a test: the end tells most."""
    return _text(value[-MAX_MESSAGE:] if isinstance(value, str) else "")


def _id(value: object) -> str:
    """A test's id; one that is too long stays another than all others."""
    text = _text(value)
    if len(text) <= MAX_ID:
        return text
    return f"{text[: MAX_ID - 17]}~{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def function_of(test: str) -> str:
    """A node id without its parameters, which hold what is expected."""
    bracket = test.find("[", max(test.find("::"), 0))
    return test if bracket < 0 else test[:bracket]
