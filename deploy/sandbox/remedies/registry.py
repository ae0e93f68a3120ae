"""All remedies, in the order in which they are tried. Standard library only, beside ruff."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.sandbox.guards import tools
from deploy.sandbox.guards.lint import DOUBTFUL, NO_NEWLINE, UNTIDY, WRONG
from deploy.sandbox.remedies import calls, imports, statements
from deploy.sandbox.remedies.edits import Change, Source
from deploy.sandbox.remedies.syntax import mended

Finding = Mapping[str, Any]
Rules = frozenset[tuple[str, str]]
MEND = (
    "--isolated", "--no-cache", "--preview", "--ignore-noqa", "--fix-only", "--exit-zero", "--quiet",
    "--target-version=py311",
)  # fmt: skip


@dataclass(frozen=True)
class Remedy:
    """One remedy.

    Attributes:
        rules: the findings that it answers, by guard and rule; a rule `*` is any.
        why: what it did and why, in one sentence, for whoever reads the result.
        gentle: the code does the same after it, so that it stays when bolder ones were dropped.
        apply: a text, its findings and the candidate's paths to the new text; the same where it has no answer.
        changes: of a remedy that knows the places: what it would change, wherever it could.
    """

    name: str
    rules: Rules
    why: str
    gentle: bool
    apply: Callable[[str, Sequence[Finding], Sequence[str]], str] | None = None
    changes: Callable[[Source], Iterator[Change]] | None = None

    def answers(self, findings: Sequence[Finding]) -> list[Finding]:
        """Those of a file's findings that it may mend."""
        return [
            one
            for one in findings
            if one["fix"] == "deterministic" and self.rules & {(one["guard"], one["rule"]), (one["guard"], "*")}
        ]


def _readable(text: str, _found: Sequence[Finding], _files: Sequence[str]) -> str:
    result = mended(text)
    return text if result is None else result[0]


def _imported(text: str, found: Sequence[Finding], files: Sequence[str]) -> str:
    names = {match[1] for one in found if (match := re.search(r"`(\w+)`", one["message"]))}
    return imports.with_imports(Source.of(text), names, files)


def _ruff(*arguments: str) -> Callable[[str, Sequence[Finding], Sequence[str]], str]:
    def apply(text: str, found: Sequence[Finding], _files: Sequence[str]) -> str:
        # In an `__init__.py` an import that nothing uses is what the package offers.
        path = found[0]["file"]
        with tools.copied({path: text}) as copies:
            copy = copies[path]
            tools.ruff(*arguments, "--", str(copy))
            return copy.read_bytes().decode("utf-8")

    return apply


def _rules(guard: str, *names: str) -> Rules:
    return frozenset((guard, name) for name in names)


_SAFE = f"--select={WRONG},{DOUBTFUL},{UNTIDY},{NO_NEWLINE}"
REMEDIES = (
    Remedy(
        "readable", _rules("syntax", "syntax-error", "unreadable"),
        "took away what is no Python, or made its indentation even, since nothing in a file that can't be read works",
        True, _readable,
    ),
    Remedy(
        "single definitions", _rules("lint", "F811"),
        "removed a definition that a later one of the same name replaces, since only the last counts",
        True, changes=statements.single_definitions,
    ),
    Remedy(
        "own defaults", _rules("lint", "B006"),
        "made a default value anew in each call, since all calls shared one object that they could change",
        False, changes=statements.own_defaults,
    ),
    Remedy(
        "caught exceptions", _rules("lint", "E722"),
        "named what a bare except catches, since it also swallowed exits and Ctrl-C",
        False, changes=statements.caught_exceptions,
    ),
    Remedy(
        "safe YAML", _rules("security", "B506"),
        "loaded YAML with safe_load, since load makes any object that the text names",
        False, changes=calls.safe_yaml,
    ),
    Remedy(
        "no shell", _rules("security", "B602"),
        "gave a command as a list of words, since no shell is needed to read it",
        False, changes=calls.without_shell,
    ),
    Remedy(
        "strong hashes", _rules("security", "B324"),
        "replaced MD5 or SHA-1 by SHA-256, since others can make texts of the same hash",
        False, changes=calls.strong_hashes,
    ),
    Remedy(
        "checks", _rules("security", "B101"),
        "replaced an assert by a check that raises, since python -O removes asserts",
        False, changes=statements.assertions,
    ),
    Remedy(
        "imports", _rules("lint", "F821"),
        "imported what the code uses from the standard library, since the name would not be known when it runs",
        True, _imported,
    ),
    Remedy(
        "lint", _rules("lint", "*"),
        "let ruff make its safe fixes, such as to remove unused imports",
        True, _ruff("check", *MEND, _SAFE),
    ),
    Remedy(
        "layout", _rules("lint", "format", NO_NEWLINE),
        "laid the file out as the formatter does, so that changes to it can be read",
        True, _ruff("format", "--isolated", "--no-cache", "--quiet", "--target-version=py311", "--line-length=120"),
    ),
)  # fmt: skip
