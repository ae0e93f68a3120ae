"""A dashboard as one SVG picture of what a Prometheus has: for pages where no Grafana is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from deploy.dashboards import marks
from deploy.dashboards.marks import COLOURS, SHADES, Box, written
from deploy.dashboards.panel import COLUMNS, Dashboard, Panel, places

COLUMN, ROW, HEAD, GAP = 50, 32, 44, 4
MOST_ROWS = 7

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Series:
    """What a query returned for one set of labels.

    Attributes:
        query: which of the panel's queries.
        points: seconds since the picture's beginning, and values; none of them NaN.
    """

    query: int
    labels: Mapping[str, str]
    points: Points

    def name(self, panel: Panel) -> str:
        """As its legend says."""
        text = panel.queries[self.query].legend
        for key, value in self.labels.items():
            text = text.replace(f"{{{{{key}}}}}", value)
        return text


Data = Sequence[Sequence[Series]]
"""The series of each panel, in the dashboard's order."""


def picture(dashboard: Dashboard, data: Data, seconds: float) -> str:
    """The picture of so many seconds, as the text of an SVG file.

    Raises:
        ValueError: there are not as many lists of series as panels.
    """
    areas = places(dashboard)
    width, height = COLUMNS * COLUMN, HEAD + ROW * max(y + high for _, y, _, high in areas)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="11" fill="#333">',
        f'<rect width="{width}" height="{height}" fill="#f4f5f5"/>',
        f'<text x="12" y="28" font-size="18">{escape(dashboard.title)}</text>',
    ]
    for panel, series, (column, row, wide, high) in zip(dashboard.panels, data, areas, strict=True):
        box = Box(column * COLUMN + GAP, HEAD + row * ROW + GAP, wide * COLUMN - 2 * GAP, high * ROW - 2 * GAP)
        parts.append(f"<g>{marks.frame(box, panel.title)}")
        parts += KINDS[panel.kind](panel, series, box, seconds) if series else [marks.nothing(box)]
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _lines(panel: Panel, series: Sequence[Series], box: Box, seconds: float) -> list[str]:
    """Lines, or areas on one another; thresholds as far as the values come near them."""
    # The largest first: they are named where not all can be.
    ordered = sorted(series, key=lambda each: (-max(value for _, value in each.points), each.name(panel)))
    drawn = _stacked(ordered) if panel.stacked else [(each.points, ()) for each in ordered]
    top = max((value for points, _ in drawn for _, value in points), default=0.0)
    plot = marks.Plot(box, seconds, marks.rounded(max(top * 1.05, _least(panel))))
    parts = marks.axes(plot, panel.unit)
    for number, (points, below) in enumerate(drawn):
        colour = SHADES[number % len(SHADES)]
        if panel.stacked:
            parts.append(marks.area(plot, points, below, colour))
        parts.append(marks.line(plot, points, colour))
    parts += [marks.limit(plot, at, COLOURS[colour]) for at, colour in panel.thresholds if at <= plot.top]
    return [*parts, marks.legend(box, [each.name(panel) for each in ordered])]


def _least(panel: Panel) -> float:
    """What an axis reaches at least, so that noise does not look like a mountain."""
    return {"s": 0.01, "percentunit": 0.01, "currencyUSD": 0.0001}.get(panel.unit, 1.0)


def _stacked(series: Sequence[Series]) -> list[tuple[Points, Points]]:
    """Each series on those before it, and what it stands on; one that has no value counts for 0."""
    moments = sorted({at for each in series for at, _ in each.points})
    below: Points = [(at, 0.0) for at in moments]
    found: list[tuple[Points, Points]] = []
    for each in series:
        values = dict(each.points)
        above = [(at, base + values.get(at, 0.0)) for at, base in below]
        found.append((above, below))
        below = above
    return found


def _number(panel: Panel, series: Sequence[Series], box: Box, seconds: float) -> list[str]:
    """The newest value in its threshold's colour."""
    del seconds
    newest = max(series, key=lambda each: each.points[-1][0])
    value = newest.points[-1][1]
    text = newest.name(panel) if panel.named else written(value, panel.unit)
    return [marks.large(box, text, COLOURS[colour_of(panel, value)])]


def colour_of(panel: Panel, value: float) -> str:
    """The colour that thresholds give a value."""
    colour = "red" if panel.falling else "green"
    for at, above in panel.thresholds:
        colour = above if value >= at else colour
    return colour


def _table(panel: Panel, series: Sequence[Series], box: Box, seconds: float) -> list[str]:
    """A row for each value of the key, a column for each query."""
    del seconds
    cells = {(each.labels[panel.key], each.query): each.points[-1][1] for each in series}
    keys = sorted({key for key, _ in cells}, key=lambda key: -max(v for (k, _), v in cells.items() if k == key))
    rows = [[panel.key, *(query.legend for query in panel.queries)]]
    for key in keys[:MOST_ROWS]:
        values = [cells.get((key, number)) for number in range(len(panel.queries))]
        rows.append([key, *("" if value is None else written(value, panel.unit) for value in values)])
    return marks.grid(box, rows)


def _heat(panel: Panel, series: Sequence[Series], box: Box, seconds: float) -> list[str]:
    """A line of cells for each bucket that anything fell into, the fuller the darker."""
    edges = sorted(((float(each.labels["le"]), dict(each.points)) for each in series), key=lambda each: each[0])
    rows = [("≤ " + written(edges[0][0], panel.unit), edges[0][1])]
    for (_, low), (edge, high) in pairwise(edges):
        name = f"≤ {written(edge, panel.unit)}" if math.isfinite(edge) else "more"
        rows.append((name, {at: max(value - low.get(at, 0.0), 0.0) for at, value in high.items()}))
    used = [number for number, (_, cells) in enumerate(rows) if any(cells.values())] or [0]
    shown = rows[used[0] : used[-1] + 1]
    return marks.cells(marks.Plot(box, seconds, 1.0), shown)


KINDS = {"timeseries": _lines, "stat": _number, "table": _table, "heatmap": _heat}
