"""What a process shows that it has only read: numbers of the fleet, each as it was last given."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from schema.metrics import Metric

Values = Mapping[tuple[str, ...], float]
"""Numbers by the values of their labels, in the table's order."""


class Board(Collector):
    """Shows exactly what it was last given, and of a metric that it was never given nothing."""

    def __init__(self) -> None:
        self._shown: dict[Metric, Values] = {}

    def show(self, metric: Metric, values: Values | float) -> None:
        """Show these and no others. A counter never falls: a sum that was read too low would look like a new start.

        Raises:
            ValueError: their labels are not as many as the table has.
        """
        given = values if isinstance(values, Mapping) else {(): values}
        if any(len(labels) != len(metric.labels) for labels in given):
            raise ValueError(f"{metric.name} has the labels {', '.join(metric.labels)}")
        before = self._shown.get(metric, {}) if metric.kind == "counter" else {}
        # Put there as a whole: whoever reads meanwhile sees the old numbers or the new.
        self._shown[metric] = {labels: max(value, before.get(labels, value)) for labels, value in given.items()}

    def value(self, metric: Metric, *labels: str) -> float | None:
        """What is shown now."""
        return self._shown.get(metric, {}).get(labels)

    def clear(self) -> None:
        """Show nothing."""
        self._shown.clear()

    def collect(self) -> Iterator[Family]:
        """What the registry asks for."""
        for metric, values in list(self._shown.items()):
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family
