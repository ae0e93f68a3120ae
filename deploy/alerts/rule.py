"""A rule of Prometheus, as the generated files hold it."""

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["page", "ticket"]
"""Whether somebody is woken for it, or looks at it on the next working day."""

RUNBOOKS = "deploy/runbooks"
"""Where a page is, within this repository or below the base that the rules are generated with."""


@dataclass(frozen=True)
class Record:
    """A series that is computed ahead, named level:metric:operations."""

    name: str
    expr: str
    labels: tuple[tuple[str, str], ...] = ()

    def render(self, base: str) -> dict[str, Any]:
        """As the rules file has it; `base` is for alerts."""
        del base
        return {"record": self.name, "expr": self.expr, "labels": dict(self.labels)}


@dataclass(frozen=True)
class Alert:
    """An alert.

    Attributes:
        summary: one sentence; the runbooks' index has it too, so it holds no template.
        description: what Prometheus may fill in, with labels and values.
        pending: how long it must be true before it fires, as Prometheus writes durations.
        labels: beside the severity.
    """

    name: str
    severity: Severity
    expr: str
    summary: str
    description: str
    pending: str = "0m"
    labels: tuple[tuple[str, str], ...] = ()

    def render(self, base: str) -> dict[str, Any]:
        """As the rules file has it, its page below `base`."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.pending,
            "labels": {"severity": self.severity, **dict(self.labels)},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{base}{RUNBOOKS}/{self.name}.md",
            },
        }


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated in order: a record's readers come after it."""

    name: str
    rules: tuple[Record | Alert, ...]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Only what fires."""
        return tuple(rule for rule in self.rules if isinstance(rule, Alert))

    def render(self, base: str) -> dict[str, Any]:
        """As the rules file has it."""
        return {"name": self.name, "rules": [rule.render(base) for rule in self.rules]}
