"""The guard `lint`: ruff, with rules of ours and no configuration or suppression of the candidate's.

Standard library only, beside ruff.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from deploy.sandbox.guards import tools
from deploy.sandbox.guards.material import DETERMINISTIC, HIGH, LOW, MEDIUM, MODEL, Found, Material, is_python, lines_of
from deploy.sandbox.remedies import statements
from deploy.sandbox.remedies.edits import Source
from deploy.sandbox.remedies.imports import could_be_imported

WRONG = "F502,F503,F507,F508,F509,F521,F522,F524,F601,F621,F622,F631,F633,F701,F702,F704,F706,F707,F821,F822,F823,PLE"
"""What fails, or will, where it is reached."""
DOUBTFUL = (
    "F402,F404,F501,F504,F505,F506,F523,F525,F632,F811,E711,E712,E713,E714,E721,E722,W605,"
    "B002,B003,B004,B005,B006,B008,B012,B015,B016,B018,B020,B021,B023,B024,B025,B026,B029,B030,B031,B032,B033,B035"
)
UNTIDY = "F401,F403,F405,F502,F541,F841,E402,E731,E741,B007,B009,B010,B013,B014,B904"
LAYOUT = (
    "E101,E111,E112,E114,E117,E201,E202,E211,E221,E222,E225,E227,E228,E231,E251,E261,E262,E271,E272,E273,E274,E275,"
    "E301,E302,E303,E304,E305,E306,E701,E702,E703,W191,W291,W293,W391"
)
"""What a formatter sees to: one finding for each file."""
NO_NEWLINE = "W292"
FORMAT = "format"
UNREAD = "not-linted"
OPTIONS = (
    "check", "--isolated", "--no-cache", "--preview", "--ignore-noqa", "--no-fix", "--exit-zero", "--quiet",
    "--output-format=json", "--target-version=py311",
)  # fmt: skip
SELECTED = f"--select={WRONG},{DOUBTFUL},{UNTIDY},{LAYOUT},{NO_NEWLINE}"


class LintGuard:
    """Ruff's rules by their codes; everything about layout is one finding `format`."""

    name = "lint"

    def applies_to(self, path: str) -> bool:
        return is_python(path)

    def run(self, material: Material) -> Iterator[Found]:
        texts = {
            path: text
            for path, text in material.changed.items()
            # What Python can't read is the finding of another guard.
            if self.applies_to(path) and not isinstance(material.tree(path), Exception)
        }
        if not texts:
            return
        with tools.copied(texts) as copies:
            paths = {str(copy): path for path, copy in copies.items()}
            said = json.loads(tools.ruff(*OPTIONS, SELECTED, "--", *paths))
        untidy: dict[str, list[int]] = {}
        lines = {path: lines_of(text) for path, text in texts.items()}
        kept = {path: material.kept_lines(path) for path in texts}
        mended = {path: _places(text) for path, text in texts.items()}
        for entry in said:
            path, line, code = paths[entry["filename"]], int(entry["location"]["row"]), entry["code"]
            if code is None:
                # Python reads it and ruff does not, so that no rule was looked for: that is no pass.
                yield Found(UNREAD, HIGH, path, line, "ruff can't read it, and looked for nothing here", MODEL)
                continue
            # A whole line that the task gave stays its own matter, suppressed or not.
            if kept[path] and _at(lines[path], line) in kept[path]:
                continue
            if code in LAYOUT:
                untidy.setdefault(path, []).append(line)
            else:
                yield Found(code, severity_of(code), path, line, entry["message"], _fix(entry, material, mended[path]))
        for path, places in untidy.items():
            said_of = f"{len(places):,} places are not laid out as the formatter does it"
            yield Found(FORMAT, LOW, path, min(places), said_of, DETERMINISTIC)


def severity_of(code: str) -> str:
    if code in WRONG.split(",") or code.startswith("PLE"):
        return HIGH
    return MEDIUM if code in DOUBTFUL else LOW


def _places(text: str) -> set[tuple[str, int]]:
    """The rules and lines that a remedy of statements answers in this text."""
    source = Source.of(text)
    makers = (statements.own_defaults, statements.caught_exceptions, statements.single_definitions)
    return {(change.rule, line) for make in makers for change in make(source) for line in change.lines}


def _fix(entry: dict[str, Any], material: Material, mended: set[tuple[str, int]]) -> str:
    safe = (entry.get("fix") or {}).get("applicability") == "safe"
    if safe or entry["code"] == NO_NEWLINE or (entry["code"], int(entry["location"]["row"])) in mended:
        return DETERMINISTIC
    if entry["code"] == "F821":
        name = entry["message"].split("`")[1] if "`" in entry["message"] else ""
        return DETERMINISTIC if could_be_imported(name, material.files) else MODEL
    return MODEL


def _at(lines: list[str], number: int) -> str:
    return lines[number - 1] if 0 < number <= len(lines) else ""
