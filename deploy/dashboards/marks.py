"""What pictures of panels are made of: frames, axes, lines, areas, cells, numbers with their units."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from deploy.dashboards.panel import Unit

SHADES = ("#2a6f97", "#c8553d", "#588157", "#e9b44c", "#7b5ea7", "#4ea8de", "#a05c3b", "#8a8a8a", "#d16ba5", "#3c6e71")
COLOURS = {"green": "#3a8f5c", "yellow": "#c99700", "orange": "#d9730d", "red": "#c92a2a"}
HEAT = "#d9480f"
LEFT, RIGHT, TOP, BOTTOM = 68, 20, 34, 50
"""Of a plot within its panel."""
LETTER = 6.8
"""About the width of a letter of 11 pixels."""
TICKS = 4


@dataclass(frozen=True)
class Box:
    """A panel's place in the picture, in pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Plot:
    """Seconds to the right, values from 0 to `top` upwards."""

    box: Box
    seconds: float
    top: float

    def place(self, at: float, value: float) -> tuple[float, float]:
        """The pixel of a value."""
        wide, high = self.box.width - LEFT - RIGHT, self.box.height - TOP - BOTTOM
        right = self.box.x + LEFT + min(max(at / self.seconds, 0.0), 1.0) * wide
        return right, self.box.y + TOP + (1 - min(value / self.top, 1.0)) * high


def rounded(top: float) -> float:
    """The next number above with ticks that are easily read."""
    size = 10.0 ** math.floor(math.log10(top))
    return size * next(step for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * size >= top * (1 - 1e-9))


def written(value: float, unit: Unit) -> str:
    """A value with its unit, as people read it."""
    if not math.isfinite(value):
        return "∞"
    if unit == "s":
        return _seconds(value)
    if unit == "percentunit":
        return f"{100 * value:.4g} %"
    if unit == "currencyUSD":
        return f"${value:,.4g}" if abs(value) < 1 else f"${value:,.2f}"
    return _short(value) + {"cps": " /s", "reqps": " /s", "cpm": " /min"}.get(unit, "")


def _seconds(value: float) -> str:
    size = abs(value)
    if size == 0:
        return "0 s"
    if size < 1:
        return f"{1000 * value:.3g} ms"
    if size < 120:
        return f"{value:.3g} s"
    return f"{value / 60:.3g} min" if size < 7200 else f"{value / 3600:.3g} h"


def _short(value: float) -> str:
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def frame(box: Box, title: str) -> str:
    """A panel without its content."""
    return (
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="3" fill="white" '
        f'stroke="#d8d9da"/><text x="{box.x + 10:g}" y="{box.y + 19:g}" font-weight="bold">{escape(title)}</text>'
    )


def nothing(box: Box) -> str:
    """Where a query returned nothing."""
    return _text(box.x + box.width / 2, box.y + box.height / 2 + 8, "nothing yet", 'text-anchor="middle" fill="#999"')


def large(box: Box, text: str, colour: str) -> str:
    """One number."""
    style = f'text-anchor="middle" font-size="30" fill="{colour}"'
    return _text(box.x + box.width / 2, box.y + box.height / 2 + 22, text, style)


def axes(plot: Plot, unit: Unit) -> list[str]:
    """Lines and values of the upward axis, and minutes below."""
    parts = []
    for step in range(TICKS + 1):
        x, y = plot.place(0, plot.top * step / TICKS)
        right, _ = plot.place(plot.seconds, 0)
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{right:.1f}" stroke="#ececec"/>')
        parts.append(_text(x - 6, y + 4, written(plot.top * step / TICKS, unit), 'text-anchor="end" fill="#666"'))
    return [*parts, *_minutes(plot)]


def _minutes(plot: Plot) -> list[str]:
    every = max(30.0, math.ceil(plot.seconds / 6 / 30) * 30.0)
    parts = []
    for number in range(int(plot.seconds / every) + 1):
        x, y = plot.place(number * every, 0)
        told = f"{int(number * every) // 60}:{int(number * every) % 60:02}"
        parts.append(_text(x, y + 15, told, 'text-anchor="middle" fill="#666"'))
    return parts


def line(plot: Plot, points: Sequence[tuple[float, float]], colour: str) -> str:
    """A line through points."""
    return f'<polyline points="{_path(plot, points)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def area(plot: Plot, above: Sequence[tuple[float, float]], below: Sequence[tuple[float, float]], colour: str) -> str:
    """What lies between two lines."""
    around = f"{_path(plot, above)} {_path(plot, list(reversed(below)))}"
    return f'<polygon points="{around}" fill="{colour}" fill-opacity="0.3"/>'


def limit(plot: Plot, at: float, colour: str) -> str:
    """A threshold."""
    x, y = plot.place(0, at)
    right, _ = plot.place(plot.seconds, at)
    return f'<path d="M{x:.1f} {y:.1f}H{right:.1f}" stroke="{colour}" stroke-dasharray="5 4"/>'


def legend(box: Box, names: Sequence[str]) -> str:
    """Names in the colours of their lines, on two lines at most; of those that have no room only how many they are."""
    left, right, x, y = box.x + 14, box.x + box.width - 90, box.x + 14, box.y + box.height - 20
    parts = []
    for number, name in enumerate(names):
        wide = 24 + LETTER * len(name)
        if x + wide > right and x > left:
            if y > box.y + box.height - 12:
                parts.append(_text(x, y, f"and {len(names) - number} more"))
                break
            x, y = left, y + 14
        parts.append(f'<rect x="{x:.1f}" y="{y - 8:.1f}" width="9" height="9" fill="{SHADES[number % len(SHADES)]}"/>')
        parts.append(_text(x + 13, y, name))
        x += wide
    return "".join(parts)


def grid(box: Box, rows: Sequence[Sequence[str]]) -> list[str]:
    """A table: the first row is its head, the first column stands left."""
    parts = []
    wide = (box.width - 24) / len(rows[0])
    for number, row in enumerate(rows):
        y = box.y + 46 + number * 24
        style = 'fill="#666"' if number == 0 else ""
        parts.append(_text(box.x + 12, y, row[0], style))
        for column, text in enumerate(row[1:], 2):
            parts.append(_text(box.x + 12 + column * wide, y, text, f'text-anchor="end" {style}'))
        parts.append(f'<path d="M{box.x + 10:g} {y + 8:g}H{box.x + box.width - 10:g}" stroke="#ececec"/>')
    return parts


def cells(plot: Plot, rows: Sequence[tuple[str, Mapping[float, float]]]) -> list[str]:
    """Rows from below upwards, each with its name and values by their time; the larger the darker."""
    fullest = max((value for _, row in rows for value in row.values()), default=0.0) or 1.0
    moments = sorted({at for _, row in rows for at in row})
    step = min((late - early for early, late in pairwise(moments)), default=plot.seconds)
    parts = _minutes(plot)
    for number, (name, row) in enumerate(rows):
        x, bottom = plot.place(0, number / len(rows))
        _, top = plot.place(0, (number + 1) / len(rows))
        parts.append(_text(x - 6, (top + bottom) / 2 + 4, name, 'text-anchor="end" fill="#666"'))
        for at, value in row.items():
            if value > 0:
                left, right = plot.place(at - step, 0)[0], plot.place(at, 0)[0]
                parts.append(_cell(left, right, top, bottom, value / fullest))
    return parts


def _cell(left: float, right: float, top: float, bottom: float, full: float) -> str:
    where = f'x="{left:.1f}" y="{top + 0.5:.1f}" width="{right - left:.1f}" height="{bottom - top - 1:.1f}"'
    return f'<rect {where} fill="{HEAT}" fill-opacity="{0.12 + 0.88 * full:.2f}"/>'


def _path(plot: Plot, points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in (plot.place(*point) for point in points))


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
