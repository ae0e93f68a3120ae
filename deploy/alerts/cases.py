"""What promtool tries the rules with: series over time, and all that fires of them, which is told in full.

Every case has the series that healthy processes show, so that whatever fires beside what is expected is found too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MINUTES = 480
"""How long the series of a case are."""

Series = dict[str, str]
Firing = frozenset[tuple[str, str]]
"""The names of alerts, each with the label that tells its instances apart."""

NOTHING: Firing = frozenset()

# Each is shown once a minute, or interval, from 1970 on: a timestamp that is always of now grows by as many seconds.
HEALTHY: Series = {
    'golden_fleet_read_timestamp_seconds{instance="a"}': f"0+60x{MINUTES}",
    'golden_audit_verified_timestamp_seconds{instance="a"}': f"0+60x{MINUTES}",
    'golden_audit_failures_total{instance="a"}': f"0x{MINUTES}",
    'temporal_worker_task_slots_available{task_queue="sandbox",worker_type="ActivityWorker"}': f"2x{MINUTES}",
}


@dataclass(frozen=True)
class Case:
    """One try.

    Attributes:
        series: of these, and of the healthy ones that have not the same name and labels.
        at: when to look, in minutes.
        fires: all that fires then.
        without: how the names of healthy series begin that are not there.
        interval: between two values of a series.
    """

    name: str
    series: Series
    at: int
    fires: Firing = NOTHING
    without: tuple[str, ...] = ()
    interval: str = "1m"

    def render(self) -> dict[str, Any]:
        """As promtool reads it."""
        kept = {name: values for name, values in HEALTHY.items() if not name.startswith(self.without or ("-",))}
        return {
            "name": self.name,
            "interval": self.interval,
            "input_series": [{"series": name, "values": values} for name, values in (kept | self.series).items()],
            "promql_expr_test": [
                {
                    "expr": f"{FIRING} or on() vector(0)" if not self.fires else FIRING,
                    "eval_time": f"{self.at}m",
                    "exp_samples": [
                        {"labels": f'{{alertname="{name}"{_labelled(which)}}}', "value": 1}
                        for name, which in sorted(self.fires)
                    ]
                    or [{"labels": "{}", "value": 0}],
                }
            ],
        }


TOLD_APART = ("window", "queue", "task_queue", "kind", "circuit", "role", "horizontalpodautoscaler", "source")


def _labelled(which: str) -> str:
    return f',which="{which}"' if which else ""


def _which() -> str:
    """The alerts that fire, each by its name and the first of its labels that tells its instances apart."""
    joined = ", ".join(f'"{label}"' for label in TOLD_APART)
    named = f'label_join(ALERTS{{alertstate="firing"}}, "which", "", {joined})'
    return f"count by (alertname, which) ({named})"


FIRING = _which()


def fires(*alerts: str, which: str = "") -> Firing:
    """These alerts, each once."""
    return frozenset((name, which) for name in alerts)


def render(cases: Sequence[Case], rules: str, every: str = "1m") -> dict[str, Any]:
    """A file of promtool's, for a rules file beside it that is evaluated so often."""
    return {"rule_files": [rules], "evaluation_interval": every, "tests": [case.render() for case in cases]}
