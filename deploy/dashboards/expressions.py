"""Expressions of Prometheus over metrics of the table: what a process counts is added up, what the fleet is at is not.

Every replica of the exporter shows the whole fleet, so that its largest number is taken.
"""

from schema.metrics import Metric

WINDOW = "$__rate_interval"
"""Grafana puts in four scrapes, or a step of the picture where that is longer."""


def rate(metric: Metric, *by: str, where: str = "", minute: bool = False) -> str:
    """Events a second, or a minute, of a counter of processes or of a histogram.

    Raises:
        ValueError: the metric has no such label, or nothing that could be added up.
    """
    return _scaled(f"sum{_by(metric, by)} (rate({_counter(metric)}{_where(where)}[{WINDOW}]))", minute)


def fleet_rate(metric: Metric, *by: str, where: str = "", minute: bool = False) -> str:
    """The same of a counter of the exporter."""
    return _scaled(f"max{_by(metric, by)} (rate({_counter(metric)}{_where(where)}[{WINDOW}]))", minute)


def most(metric: Metric, *by: str, where: str = "") -> str:
    """The largest number that anybody shows.

    Raises:
        ValueError: the metric has no such label.
    """
    return f"max{_by(metric, by)} ({metric.name}{_where(where)})"


def total(metric: Metric, *by: str, where: str = "") -> str:
    """The sum of what processes show each for themselves.

    Raises:
        ValueError: the metric has no such label.
    """
    return f"sum{_by(metric, by)} ({metric.name}{_where(where)})"


def age(metric: Metric, *by: str) -> str:
    """Seconds since the latest time that anybody shows.

    Raises:
        ValueError: the metric has no such label.
    """
    return f"time() - {most(metric, *by)}"


def quantile(share: float, metric: Metric, *by: str, where: str = "") -> str:
    """What so large a share of a histogram's values is at most, as Prometheus estimates it within a bucket.

    Raises:
        ValueError: the metric is no histogram, or has no such label.
    """
    return f"histogram_quantile({share:g}, {buckets(metric, *by, where=where)})"


def buckets(metric: Metric, *by: str, where: str = "") -> str:
    """Events a second by the upper edge of their bucket.

    Raises:
        ValueError: the metric is no histogram, or has no such label.
    """
    if metric.kind != "histogram":
        raise ValueError(f"{metric.name} is a {metric.kind}")
    _by(metric, by)
    return f"sum by ({', '.join((*by, 'le'))}) (rate({metric.name}_bucket{_where(where)}[{WINDOW}]))"


def share(part: str, whole: str) -> str:
    """A part of a whole, from 0 to 1; 0 while there is no part, and nothing without a whole."""
    return f"{part} / ({whole} > 0) or 0 * {whole}"


def _counter(metric: Metric) -> str:
    if metric.kind == "gauge":
        raise ValueError(f"{metric.name} is a gauge")
    return metric.name if metric.kind == "counter" else f"{metric.name}_count"


def _by(metric: Metric, labels: tuple[str, ...]) -> str:
    unknown = [label for label in labels if label not in metric.labels]
    if unknown:
        raise ValueError(f"{metric.name} has no label {unknown[0]}")
    return f" by ({', '.join(labels)})" if labels else ""


def _where(matchers: str) -> str:
    return f"{{{matchers}}}" if matchers else ""


def _scaled(expression: str, minute: bool) -> str:
    return f"60 * {expression}" if minute else expression
