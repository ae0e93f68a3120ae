"""A dashboard as it is written down: rows of panels, each with its queries, its unit and what it means."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from deploy.alerts.slos import OBJECTIVES, Objective, percent

Kind = Literal["timeseries", "stat", "table", "heatmap"]
Unit = Literal["s", "percentunit", "currencyUSD", "short", "cps", "reqps", "cpm"]
"""As Grafana names them: seconds, a share of 1, dollars, a number, events and requests a second, events a minute."""
Colour = Literal["green", "yellow", "orange", "red"]

COLUMNS = 24
"""Of Grafana's grid."""
HEIGHTS: dict[Kind, int] = {"timeseries": 8, "stat": 4, "table": 6, "heatmap": 8}


@dataclass(frozen=True)
class Query:
    """An expression, and the name of each series: text with `{{label}}` in it. In a table it names the column."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        about: what it shows and what to make of it, a sentence or two.
        thresholds: from which value on which colour; below the first it is green.
        falling: the reverse: green from the last threshold on, red below the first.
        runbooks: the alerts that look at the same.
        width: columns of the grid, of which there are 24.
        height: rows of the grid; 0 is what panels of its kind have.
        stacked: the series are parts of one number.
        named: a stat shows the name of its series, not the value.
        key: in a table, the label that its rows are named by.
    """

    title: str
    kind: Kind
    unit: Unit
    about: str
    queries: tuple[Query, ...]
    thresholds: tuple[tuple[float, Colour], ...] = ()
    falling: bool = False
    runbooks: tuple[str, ...] = ()
    width: int = 12
    height: int = 0
    stacked: bool = False
    named: bool = False
    key: str = ""


@dataclass(frozen=True)
class Dashboard:
    """A page of panels.

    Attributes:
        uid: never changes, links hold it.
    """

    uid: str
    title: str
    about: str
    panels: tuple[Panel, ...]


def places(dashboard: Dashboard) -> list[tuple[int, int, int, int]]:
    """Column, row, width and height of each panel on the grid, from left to right, a new row where it is full."""
    found = []
    column = row = height = 0
    for panel in dashboard.panels:
        if column + panel.width > COLUMNS:
            column, row, height = 0, row + height, 0
        high = panel.height or HEIGHTS[panel.kind]
        found.append((column, row, panel.width, high))
        column, height = column + panel.width, max(height, high)
    return found


def objective(name: str) -> Objective:
    """The objective of that name.

    Raises:
        KeyError: there is none.
    """
    return {each.name: each for each in OBJECTIVES}[name]


def kept(name: str, width: int = 4) -> Panel:
    """How well an objective was kept in three days: the share of good events, red below what was promised."""
    slo = objective(name)
    good = float(slo.good)
    return Panel(
        name.replace("-", " ").capitalize(), "stat", "percentunit",
        f"The share of good events in three days; the objective is {percent(slo.good)}. What is bad: {slo.about}.",
        (Query(f'1 - slo:golden_errors_per_events:ratio3d{{slo="{name}"}}', percent(slo.good)),),
        thresholds=((good, "green"),), falling=True, runbooks=(slo.alert,), width=width,
    )  # fmt: skip


def burns() -> Panel:
    """How fast every error budget burns."""
    return Panel(
        "Error budgets, burn rate over an hour", "timeseries", "short",
        "1 spends the budget of 30 days in exactly 30 days; 14.4 for an hour, or 6 for six hours, wakes somebody.",
        tuple(
            Query(f'slo:golden_errors_per_events:ratio1h{{slo="{slo.name}"}} / {_plain(slo.budget)}', "{{slo}}")
            for slo in OBJECTIVES
        ),
        thresholds=((1.0, "yellow"), (6.0, "orange"), (14.4, "red")),
        runbooks=tuple(slo.alert for slo in OBJECTIVES),
    )  # fmt: skip


def _plain(share: Decimal) -> str:
    return f"{share:f}"
