"""Runs pytest in the candidate's process and tells the runner, on a pipe, what became of each test."""

import builtins
import importlib
import json
import os
import sys
import unittest
from collections.abc import Collection, Mapping, Sequence
from types import ModuleType

import pytest

from deploy.sandbox.expected import WITNESS
from deploy.sandbox.witness import Witness

MAX_MESSAGE = 2_000


MAY_REPLACE = frozenset({"print", "input", "open", "breakpoint", "_"})
"""Built-ins that honest programs put others in place of."""


class Reporter:
    """A pytest plugin; the runner believes no report that was not announced, and no run without an end."""

    def __init__(self, report: int, tools: Collection[str]) -> None:
        self._report = report
        self._modules = [module for name in sorted(tools) for module in _imported(name)]
        self._tools = _tools(self._modules)

    def _tell(self, **record: object) -> None:
        rest = json.dumps(record).encode() + b"\n"
        while rest:
            rest = rest[os.write(self._report, rest) :]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A test file that can't be imported has no tests to report: its error stands for them."""
        if report.failed:
            self._tell(kind="broken", id=report.nodeid, message=report.longreprtext[-MAX_MESSAGE:])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """All that will report, parameters included."""
        self._tell(kind="collected", ids=[item.nodeid for item in session.items])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Names the test that a run was in when it ended early."""
        self._tell(kind="start", id=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A pass is told once, by the call; whatever else a phase has to say counts too."""
        if report.passed and report.when != "call":
            return
        outcome = report.outcome
        if report.failed and report.when != "call":
            outcome = "error"  # type: ignore[assignment]  # pytest has no such outcome, we do
        message = "" if report.passed else report.longreprtext[-MAX_MESSAGE:]
        self._tell(kind="phase", id=report.nodeid, outcome=outcome, message=message, seconds=report.duration)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """The run came to its own end, with the tools that tests are made with as they were."""
        for name, tool in _tools(self._modules).items():
            if self._tools.get(name, tool) is not tool:
                self._tell(kind="replaced", id=name)
        self._tell(kind="finished", status=int(exitstatus))


def _public(owner: object) -> dict[str, object]:
    """Functions and classes; what is private its owner may change."""
    return {name: tool for name, tool in vars(owner).items() if callable(tool) and not name.startswith("_")}


def _imported(name: str) -> list[ModuleType]:
    """A standard module, where this Python has it."""
    try:
        return [importlib.import_module(name)]
    except ImportError:
        return []


def _tools(modules: Sequence[ModuleType]) -> dict[str, object]:
    """What tests judge with, by name."""
    places: dict[str, Mapping[str, object]] = {
        "": {name: tool for name, tool in vars(builtins).items() if name not in MAY_REPLACE and name[:2] != "__"},
        "pytest.": {name: getattr(pytest, name) for name in pytest.__all__},
        "TestCase.": vars(unittest.TestCase),
        "raises.": vars(pytest.RaisesExc),
        "approx.": vars(type(pytest.approx(1.0))),
    }
    for module in modules:
        places[f"{module.__name__}."] = _public(module)
        for name, tool in _public(module).items():
            if isinstance(tool, type) and tool.__module__ == module.__name__:
                places[f"{module.__name__}.{name}."] = _public(tool)
    return {f"{place}{name}": tool for place, tools in places.items() for name, tool in tools.items()}


def run(
    arguments: Sequence[str], folders: Sequence[str], matchers: Collection[str], tools: Collection[str], report: int
) -> int:
    """Run pytest here and give its exit code. `folders` come last on the path: they can't stand in for pytest."""
    setattr(builtins, WITNESS, Witness(matchers))
    sys.argv = ["pytest"]
    # The runner's own package makes room for a candidate's of the same name.
    sys.path = [*sys.path[1:], *folders]
    for name in [name for name in sys.modules if name.partition(".")[0] == "deploy"]:
        del sys.modules[name]
    # Byte code is neither written nor looked for where the candidate could put it.
    sys.dont_write_bytecode = True
    sys.pycache_prefix = "/opt/golden/no-bytecode"
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    code = pytest.main(list(arguments), plugins=[Reporter(report, tools)])
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code)
