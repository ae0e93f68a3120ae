"""The metrics that every process shows."""

from deploy.reference.markdown import code, head, table
from schema.metrics import METRICS, Metric, Source

ABOUT = """Each process serves its metrics on `GOLDEN_METRICS_PORT`, which is never the public port. Seconds, bytes and
totals; no label holds a task's id, a path or a word of a user. Alerts, dashboards and autoscalers use these and no
others."""
SOURCES: dict[Source, str] = {
    "gateway": "Of each gateway: add them up",
    "worker": "Of each worker: add them up",
    "exporter": "Of the fleet, by `golden exporter` (or a gateway): take the maximum, never the sum",
    "temporal": "Of Temporal's SDK in workers, as far as ours are built on them",
    "prometheus": "Of Prometheus",
    "kubernetes": "Of kube-state-metrics",
}


def page() -> str:
    """Every metric, by who shows it."""
    parts = [head("Metrics", ABOUT)]
    for source, title in SOURCES.items():
        rows = [_row(metric) for metric in METRICS if metric.source == source]
        parts.append(f"## {title}\n\n{table(('name', 'kind', 'labels', 'what it says'), rows)}")
    return "\n".join(parts)


def _row(metric: Metric) -> tuple[str, str, str, str]:
    edges = f". Edges: {', '.join(f'{edge:g}' for edge in metric.buckets)}" if metric.buckets else ""
    return code(metric.name), metric.kind, ", ".join(map(code, metric.labels)), metric.help + edges
