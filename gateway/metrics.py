"""What the gateway counts, as the table says. Labels are route templates and statuses: never a path or an id."""

from collections.abc import Iterable

from prometheus_client import Counter, Histogram

from schema import metrics
from schema.metrics import Metric


def _counter(metric: Metric) -> Counter:
    return Counter(metric.name, metric.help, metric.labels)


REQUESTS = _counter(metrics.HTTP_REQUESTS)
SECONDS = Histogram(
    metrics.HTTP_SECONDS.name, metrics.HTTP_SECONDS.help, metrics.HTTP_SECONDS.labels,
    buckets=metrics.HTTP_SECONDS.buckets,
)  # fmt: skip
AUDIT_RECORDS = _counter(metrics.AUDIT_RECORDS)
AUDIT_FAILURES = _counter(metrics.AUDIT_FAILURES)
AUDIT_ANCHORS = _counter(metrics.AUDIT_ANCHORS)
RATE_LIMITED = _counter(metrics.RATE_LIMITED)

UNKNOWN_ROUTE = "unknown"
FAULTS = ("500", "503")
"""Statuses that are our own fault, and count against the gateway's availability."""


def begin(routes: Iterable[str], limits: Iterable[str], outcomes: Iterable[str]) -> None:
    """Have what is bounded there with 0 before its first event: from nothing to 1 no rate is seen."""
    for route in routes:
        SECONDS.labels(route)
        for status in FAULTS:
            REQUESTS.labels(route, status)
    for limit in limits:
        RATE_LIMITED.labels(limit)
    for outcome in outcomes:
        AUDIT_RECORDS.labels(outcome)
    for result in ("kept", "failed"):
        AUDIT_ANCHORS.labels(result)
