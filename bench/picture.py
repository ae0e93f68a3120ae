"""Line charts as SVG: a title, axes from zero, a line and a name for each series."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 110, 36, 40
COLOURS = ("#8a8a8a", "#c8553d", "#2a6f97", "#588157")


@dataclass(frozen=True)
class Line:
    """One series: its name, and its points from left to right."""

    name: str
    points: Sequence[tuple[float, float]]


def chart(title: str, across: str, lines: Sequence[Line]) -> str:
    """The chart as the text of an SVG file.

    Raises:
        ValueError: there is nothing to draw.
    """
    points = [point for line in lines for point in line.points]
    if not points:
        raise ValueError("nothing to draw")
    most_x, most_y = max(x for x, _ in points), max(y for _, y in points) * 1.08 or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across_width, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return LEFT + x / most_x * across_width, HEIGHT - BOTTOM - y / most_y * up

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
    ]
    for step in range(6):
        x, y = place(most_x * step / 5, most_y * step / 5)
        left, bottom = place(0, most_y * step / 5)
        parts.append(
            f'<line x1="{left:.1f}" y1="{bottom:.1f}" x2="{WIDTH - RIGHT}" y2="{bottom:.1f}" stroke="#e4e4e4"/>'
        )
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{most_y * step / 5:.0f}</text>')
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{most_x * step / 5:.0f}</text>'
        )
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(across)}</text>')
    for line, colour in zip(lines, COLOURS, strict=False):
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line.points))
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = place(*line.points[-1])
        parts.append(f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" fill="{colour}">{escape(line.name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
