"""What the product promises, as objectives over 30 days, and the rules that tell when a promise is being broken.

The method is the multi-window, multi-burn-rate alert of "Alerting on SLOs", chapter 5 of Google's Site Reliability
Workbook. A burn rate of 1 spends the error budget in exactly 30 days. A rule fires when the long window says that it
matters and the short one, a twelfth of it, that it goes on: 14.4 for an hour is 2 % of the budget, 6 for six hours
5 %, 1 for three days 10 %. Few events say little: a rule wants a least number of events, and of bad ones, in its long
window.
"""

from dataclasses import dataclass
from decimal import Decimal

from deploy.alerts.rule import Alert, Group, Record, Severity
from schema import metrics

LEAST_BAD = 5
"""Fewer bad events than this, in the long window, tell nobody: one failure on a quiet night is no trend."""

PROBES = "/healthz|/readyz|unknown"
"""Routes that no client asks for: their answers would thin out the others'."""
WAITING = "/v1/tasks/[^/]+/events|/v1/sandbox/executions|/v1/audit/verify"
"""Routes that are as slow as what they wait for or read: a stream, a program of the client's, a whole chain."""


@dataclass(frozen=True)
class Burn:
    """A pair of windows and how fast the budget must burn in both."""

    severity: Severity
    long: str
    short: str
    factor: Decimal


BURNS = (
    Burn("page", "1h", "5m", Decimal("14.4")),
    Burn("page", "6h", "30m", Decimal(6)),
    Burn("ticket", "3d", "6h", Decimal(1)),
)
WINDOWS = ("5m", "30m", "1h", "6h", "3d")
LONG_WINDOWS = ("1h", "6h", "3d")


@dataclass(frozen=True)
class Objective:
    """One promise.

    Attributes:
        name: the label `slo`.
        alert: the alert's name, and its page's.
        good: the share of events that must be good, in 30 days.
        errors: bad events within `WINDOW`, as an expression.
        events: all of them.
        least: how many events the long window must have.
        about: what is bad, for a person.
    """

    name: str
    alert: str
    good: Decimal
    errors: str
    events: str
    least: int
    about: str

    @property
    def budget(self) -> Decimal:
        """The share of events that may be bad."""
        return 1 - self.good


def edge(seconds: float) -> str:
    """Matches a bucket's edge as every client library writes it: 150 and 150.0."""
    return f'le=~"{seconds:g}(\\\\.0)?"' if seconds == int(seconds) else f'le="{seconds:g}"'


def slow(metric: metrics.Metric, within: float, *matchers: str) -> tuple[str, str]:
    """The events of a histogram that took longer than an edge of its buckets, and all of them.

    Raises:
        ValueError: there is no such edge.
    """
    if within not in metric.buckets:
        raise ValueError(f"{metric.name} has no bucket that ends at {within:g}")
    events = f"sum(increase({metric.name}_count{{{','.join(matchers)}}}[WINDOW]))"
    good = f"sum(increase({metric.name}_bucket{{{','.join((*matchers, edge(within)))}}}[WINDOW]))"
    return f"{events} - {good}", events


def _requests(*matchers: str) -> str:
    named = ",".join((f'route!~"{PROBES}"', *matchers))
    return f"sum(increase({metrics.HTTP_REQUESTS.name}{{{named}}}[WINDOW]))"


def _ended(matcher: str = "") -> str:
    """Every replica of the exporter shows the same counts: the largest increase of each state, not the sum."""
    return f"sum(max by (state) (increase({metrics.TASKS_ENDED.name}{{{matcher}}}[WINDOW])))"


_LATE = slow(metrics.HTTP_SECONDS, 0.5, f'route!~"{PROBES}|{WAITING}"')
_LONG_VOTES = slow(metrics.CONSENSUS_SECONDS, 150.0)
_LATE_STARTS = slow(metrics.SANDBOX_START_SECONDS, 2.0)
_AUDIT_FAILURES = f"sum(increase({metrics.AUDIT_FAILURES.name}[WINDOW]))"

OBJECTIVES = (
    Objective(
        "gateway-availability", "GoldenGatewayErrorBudgetBurn", Decimal("0.999"),
        _requests('status=~"5.."'), _requests(), 50,
        "requests were answered with a server's error",
    ),
    Objective(
        "gateway-latency", "GoldenLatencyErrorBudgetBurn", Decimal("0.99"), *_LATE, 50,
        "requests waited longer than 0.5 s for the first byte of their answer",
    ),
    Objective(
        "task-success", "GoldenTaskErrorBudgetBurn", Decimal("0.99"), _ended('state="failed"'), _ended(), 10,
        "tasks ended as failed",
    ),
    Objective(
        "consensus-time", "GoldenConsensusErrorBudgetBurn", Decimal("0.95"), *_LONG_VOTES, 10,
        "votes took longer than 150 s",
    ),
    Objective(
        "sandbox-start", "GoldenSandboxStartErrorBudgetBurn", Decimal("0.99"), *_LATE_STARTS, 20,
        "sandbox runs waited longer than 2 s for a sandbox",
    ),
    Objective(
        "audit-writes", "GoldenAuditWriteErrorBudgetBurn", Decimal("0.999"), _AUDIT_FAILURES,
        f"{_AUDIT_FAILURES} + sum(increase({metrics.AUDIT_RECORDS.name}[WINDOW]))", 50,
        "records could not be appended to the audit log, and what they told was refused",
    ),
)  # fmt: skip


def group(objective: Objective) -> Group:
    """The rules of one objective: what is computed ahead for each window, then the alerts."""
    labels = (("slo", objective.name),)
    records = [record for window in WINDOWS for record in _records(objective, window, labels)]
    return Group(f"golden-slo-{objective.name}", (*records, *(_alert(objective, burn) for burn in BURNS)))


def percent(share: Decimal) -> str:
    """A share as people read it."""
    return f"{float(100 * share):g} %"


def _records(objective: Objective, window: str, labels: tuple[tuple[str, str], ...]) -> tuple[Record, ...]:
    events = objective.events.replace("WINDOW", window)
    # A series that appears with its first bad event is not there before: then there was none.
    errors = f"({objective.errors.replace('WINDOW', window)}) or 0 * ({events})"
    ratio = f"{_series('golden_errors:increase', objective, window)} / "
    ratio += f"({_series('golden_events:increase', objective, window)} > 0)"
    return (
        Record(f"slo:golden_events:increase{window}", events, labels),
        Record(f"slo:golden_errors:increase{window}", errors, labels),
        Record(f"slo:golden_errors_per_events:ratio{window}", ratio, labels),
    )


def _series(name: str, objective: Objective, window: str) -> str:
    return f'slo:{name}{window}{{slo="{objective.name}"}}'


def _alert(objective: Objective, burn: Burn) -> Alert:
    most = f"{burn.factor} * {objective.budget}"
    clauses = (
        *(f"{_series('golden_errors_per_events:ratio', objective, each)} > {most}" for each in (burn.long, burn.short)),
        f"{_series('golden_events:increase', objective, burn.long)} >= {objective.least}",
        f"{_series('golden_errors:increase', objective, burn.long)} >= {LEAST_BAD}",
    )
    return Alert(
        objective.alert,
        burn.severity,
        "\nand ".join(clauses),
        f"Too many {objective.about}: the objective is at most {percent(objective.budget)} in 30 days.",
        f"{{{{ $value | humanizePercentage }}}} of all in {burn.long}, and it goes on: more than {burn.factor} times "
        f"what the objective of {percent(objective.good)} allows.",
        labels=(("slo", objective.name), ("window", burn.long)),
    )
