"""The guard `security`: bandit's rules, without its configuration, its comments or its way of finding files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

from deploy.sandbox.guards.material import (
    DETERMINISTIC,
    HIGH,
    LOW,
    MEDIUM,
    MODEL,
    NONE,
    Found,
    Material,
    is_python,
    is_test,
    lines_of,
)
from deploy.sandbox.remedies.calls import remedied

LEFT_OUT = frozenset(
    # To import or to start a program is no fault; the call says whether it is one. B105 to B107 are `secrets`.
    {"B403", "B404", "B405", "B406", "B407", "B408", "B409", "B410", "B411", "B603", "B607", "B105", "B106", "B107"}
)
SEVERITIES = {
    "B602": HIGH,
    "B605": HIGH,
    "B324": HIGH,
    "B506": HIGH,
    "B301": HIGH,
    "B307": HIGH,
    "B102": HIGH,
    "B101": LOW,
}
"""Where ours differ from bandit's, which goes by what it can see of the arguments."""
_SEVERITIES = {"LOW": LOW, "MEDIUM": MEDIUM, "HIGH": HIGH}


class SecurityGuard:
    """Bandit's findings by their ids. Tests may assert and are left out."""

    name = "security"

    def applies_to(self, path: str) -> bool:
        return is_python(path) and not is_test(path)

    def run(self, material: Material) -> Iterator[Found]:
        for path, text in material.changed.items():
            tree = material.tree(path) if self.applies_to(path) else None
            if tree is None or isinstance(tree, Exception):
                continue
            answered = remedied(text)
            kept, lines = material.kept_lines(path), lines_of(text)
            for issue in scan(path, text):
                if kept and lines[issue.lineno - 1 : issue.lineno] and lines[issue.lineno - 1] in kept:
                    continue
                rule, severity = issue.test_id, SEVERITIES.get(issue.test_id, _SEVERITIES.get(issue.severity, LOW))
                if rule == "B602" and issue.severity == "LOW":
                    severity = MEDIUM  # the whole command is a literal
                fix = DETERMINISTIC if (rule, issue.lineno) in answered else NONE if severity == LOW else MODEL
                yield Found(rule, severity, path, issue.lineno, str(issue.text), fix)


@cache
def load() -> tuple[ModuleType, Any]:
    """Bandit and its tests; to import them takes longer than all else here, so it is done ahead."""
    from bandit import core  # type: ignore[import-not-found]

    profile = {"exclude": set(LEFT_OUT)}
    return core, core.test_set.BanditTestSet(core.config.BanditConfig(), profile=profile)


def scan(path: str, text: str) -> list[Any]:
    """Bandit's issues of one file that Python can read."""
    core, tests = load()
    data = text.encode("utf-8", "replace")
    counted = core.manager.metrics.Metrics()
    counted.begin(path)
    # bandit makes a module's name of a path, and of none of the candidate's choosing.
    visitor = core.node_visitor.BanditNodeVisitor(
        "module.py", io.BytesIO(data), core.meta_ast.BanditMetaAst(), tests, debug=False, nosec_lines={},
        metrics=counted,
    )  # fmt: skip
    visitor.process(data)
    return sorted(visitor.tester.results, key=lambda issue: (issue.lineno, issue.test_id))
