"""What a guard looks at, and what it says of it. Standard library only."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Protocol

MAX_READ = 500_000
"""Characters of a file that is looked at as code: the tree of a larger one would fill the sandbox's memory."""
LOW, MEDIUM, HIGH = "low", "medium", "high"
DETERMINISTIC, MODEL, NONE = "deterministic", "model", "none"


class Found(NamedTuple):
    """One thing that a guard found. `line` is 1-based; 0 is the whole file, and an empty file the whole candidate."""

    rule: str
    severity: str
    file: str
    line: int
    message: str
    fix: str = NONE


@dataclass(frozen=True)
class Material:
    """A candidate beside what its task had given.

    Attributes:
        files: all files of the candidate.
        given: the files that the task brought: what is unchanged is not the candidate's.
        tests: the acceptance tests, which are written over the candidate's files.
        outcomes: what became of the tests, `{id, outcome, message}` each; only after the run.
    """

    files: Mapping[str, str]
    given: Mapping[str, str] = field(default_factory=dict)
    tests: Mapping[str, str] = field(default_factory=dict)
    outcomes: Sequence[Mapping[str, Any]] = ()
    _trees: dict[str, ast.Module | Exception] = field(default_factory=dict, compare=False, repr=False)

    @property
    def changed(self) -> dict[str, str]:
        """The files that the candidate brought or changed, by path, in order."""
        return {path: text for path, text in sorted(self.files.items()) if self.given.get(path) != text}

    def tree(self, path: str) -> ast.Module | Exception:
        """A file as Python reads it, or why Python can't; read once."""
        if path not in self._trees:
            self._trees[path] = parsed(self.files[path])
        return self._trees[path]

    def kept_lines(self, path: str) -> frozenset[str]:
        """The lines that the task itself had given in this file."""
        return frozenset(lines_of(self.given.get(path, "")))


class Guard(Protocol):
    """One guard. `run` is given only candidates that have a changed file to which it applies."""

    name: str

    def applies_to(self, path: str) -> bool:
        """Whether this file is one that it looks at."""
        ...

    def run(self, material: Material) -> Iterable[Found]:
        """What it finds. Whatever it raises is a finding of its own, never a pass."""
        ...


def parsed(text: str) -> ast.Module | Exception:
    """Text as Python reads it, or why Python can't. Nothing of it is run."""
    if len(text) > MAX_READ:
        return ValueError("too large")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
            # What only shows when names are bound: a return outside of a function.
            compile(text, "candidate", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        return error
    return tree


def lines_of(text: str) -> list[str]:
    """The lines of a text as Python counts them, without their ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def is_python(path: str) -> bool:
    return path.endswith((".py", ".pyi"))


def is_test(path: str) -> bool:
    """Whether it is a test, where an assertion is in its place."""
    name = PurePosixPath(path).name
    return name == "conftest.py" or (name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py")))
