"""What the workers count. It goes through Temporal's meter, and so stands beside the SDK's own on the worker's port.

Names, labels and buckets are `schema/metrics.py`'s. Without a meter, as in a test, nothing is counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from temporalio.common import MetricCounter, MetricHistogramFloat, MetricMeter

from schema import metrics
from schema.messages.steps import Asked
from schema.metrics import Metric

ASKED = tuple(name for names in get_args(Asked) for name in get_args(names))
"""The roles that a model may be asked for."""
CALL_OUTCOMES = ("ok", "invalid", "refused", "failed", "timeout", "cancelled")
TOKEN_KINDS = ("input", "output", "uncertain")

# What the SDK calls them, in its own counters.
ACTIVITY_FAILURE = "ActivityError"
WORKFLOW_FAILURES = ("WorkflowError", "NonDeterminismError")
OPERATIONS = (
    *("RespondWorkflowTaskCompleted", "RespondActivityTaskCompleted", "RecordActivityTaskHeartbeat"),
    *("StartWorkflowExecution", "SignalWorkflowExecution"),
)
OUTAGES = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")


class Meters:
    """The metrics of a worker's process, as one meter counts them."""

    def __init__(self, meter: MetricMeter) -> None:
        own = [metric for metric in metrics.OURS if metric.source == "worker"]
        self._counters: dict[str, MetricCounter] = {
            # The exporter adds the suffix again.
            metric.name: meter.create_counter(metric.name.removesuffix("_total"), metric.help)
            for metric in own
            if metric.kind == "counter"
        }
        self._histograms: dict[str, MetricHistogramFloat] = {
            metric.name: meter.create_histogram_float(metric.name, metric.help)
            for metric in own
            if metric.kind == "histogram"
        }

    def add(self, metric: Metric, value: int, labels: Sequence[str]) -> None:
        """Add to a counter, with the values of its labels in the table's order."""
        self._counters[metric.name].add(value, _attributes(metric, labels))

    def observe(self, metric: Metric, value: float, labels: Sequence[str]) -> None:
        """Put a value into a histogram, with the values of its labels in the table's order."""
        self._histograms[metric.name].record(max(value, 0.0), _attributes(metric, labels))


_meters = Meters(MetricMeter.noop)


def start(meter: MetricMeter, models: Iterable[str]) -> None:
    """Count with this meter from now on; once, in a composition root.

    What is bounded is there with 0 before its first event: from nothing to 1 no rate is seen.

    Args:
        models: the names of every model of every route.
    """
    global _meters
    _meters = Meters(meter)
    for model in models:
        for outcome in CALL_OUTCOMES:
            count(metrics.LLM_REQUESTS, 0, model, outcome)
    for role in ASKED:
        count(metrics.LLM_MICRO_USD, 0, role)
        for kind in TOKEN_KINDS:
            count(metrics.LLM_TOKENS, 0, role, kind)


def start_sdk(
    meter: MetricMeter, namespace: str, queue: str, workflows: Sequence[str], activities: Sequence[str]
) -> None:
    """Have the SDK's counters of failures begin with 0 as well: by itself it shows each from its first failure on.

    Args:
        workflows: the types of every workflow: any of them may call the activities.
        activities: the types that are run on `queue`.
    """
    shared = {"namespace": namespace, "task_queue": queue}
    tasks, attempts, requests = (
        meter.create_counter(metric.name.removesuffix("_total"), metric.help)
        for metric in (metrics.WORKFLOW_TASK_FAILURES, metrics.ACTIVITY_FAILURES, metrics.REQUEST_FAILURES)
    )
    for workflow_type in workflows:
        for reason in WORKFLOW_FAILURES:
            tasks.add(0, {**shared, "workflow_type": workflow_type, "failure_reason": reason})
        for activity_type in activities:
            called = {"workflow_type": workflow_type, "activity_type": activity_type}
            attempts.add(0, {**shared, **called, "failure_reason": ACTIVITY_FAILURE})
    for operation in OPERATIONS:
        for status in OUTAGES:
            requests.add(0, {"namespace": namespace, "operation": operation, "status_code": status})


def count(metric: Metric, value: int, *labels: str) -> None:
    """Add to a counter of the table.

    Raises:
        ValueError: the labels are not as many as the table has.
    """
    _meters.add(metric, value, labels)


def observe(metric: Metric, value: float, *labels: str) -> None:
    """Put a value into a histogram of the table.

    Raises:
        ValueError: the labels are not as many as the table has.
    """
    _meters.observe(metric, value, labels)


def buckets() -> Mapping[str, Sequence[float]]:
    """The edges of every histogram that the worker's port shows, for `PrometheusConfig`."""
    shown = (each for each in metrics.METRICS if each.source in ("worker", "temporal") and each.buckets)
    return {_inner_name(metric): metric.buckets for metric in shown}


def _inner_name(metric: Metric) -> str:
    """The SDK knows its own by their names before prefix and unit are put to them; another name changes nothing."""
    if metric.source == "temporal":
        return metric.name.removeprefix("temporal_").removesuffix("_seconds")
    return metric.name


def _attributes(metric: Metric, labels: Sequence[str]) -> Mapping[str, str]:
    return dict(zip(metric.labels, labels, strict=True))
