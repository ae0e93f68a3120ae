"""Pictures of dashboards: every panel is there, with what was measured and nothing else."""

import re
from xml.etree import ElementTree

import pytest

from deploy.dashboards import marks
from deploy.dashboards.build import DASHBOARDS
from deploy.dashboards.draw import Series, colour_of, picture
from deploy.dashboards.marks import Box, Plot
from deploy.dashboards.panel import Dashboard, Panel, Query, Unit, kept
from tests.support.pages import DOCS

PAGE = DOCS / "dashboards.md"
SECONDS = 60.0


def texts(drawn: str) -> list[str]:
    """Everything that is written in a picture, which has to be well-formed for it."""
    return [each.text or "" for each in ElementTree.fromstring(drawn).iter() if each.tag.endswith("text")]  # noqa: S314


def drawn(panel: Panel, *series: Series) -> str:
    return picture(Dashboard("golden-x", "X", "X.", (panel,)), [series], SECONDS)


def graph(*, stacked: bool = False, limit: float = 3.0) -> Panel:
    query = Query("up", "{{job}}")
    return Panel("P", "timeseries", "short", "P.", (query,), ((limit, "red"),), stacked=stacked)


def line(value: float, name: str = "a") -> Series:
    return Series(0, {"job": name}, [(0.0, value), (60.0, value)])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_docs_show_a_picture_of_each_dashboard_with_all_its_panels(name: str) -> None:
    said = texts((DOCS / "dashboards" / f"{name}.svg").read_text())
    assert {panel.title for panel in DASHBOARDS[name].panels} <= set(said), "run `python bench/dashboards.py`"
    assert "nothing yet" not in said
    assert f"]({'dashboards/' + name}.svg)" in PAGE.read_text()
    assert DASHBOARDS[name].about in PAGE.read_text()


def test_a_query_without_data_is_said_to_have_none() -> None:
    assert texts(drawn(graph())) == ["X", "P", "nothing yet"]


def test_a_threshold_is_drawn_only_where_values_come_near_it() -> None:
    assert "stroke-dasharray" in drawn(graph(), line(4.0))
    assert "stroke-dasharray" not in drawn(graph(limit=300.0), line(4.0))


def test_parts_of_one_number_stand_on_one_another() -> None:
    def heights(stacked: bool) -> list[float]:
        found = re.findall(
            r'polyline points="[\d.]+,([\d.]+)', drawn(graph(stacked=stacked), line(2.0), line(2.0, "b"))
        )
        return [float(each) for each in found]

    apart, together = heights(False), heights(True)
    assert apart[0] == apart[1]
    assert together[0] > together[1]


def test_a_stat_has_the_colour_of_its_threshold() -> None:
    slo = kept("gateway-availability")
    assert (colour_of(slo, 0.9991), colour_of(slo, 0.9989)) == ("green", "red")
    assert (colour_of(graph(), 2.9), colour_of(graph(), 3.0)) == ("green", "red")
    assert "99.91 %" in texts(drawn(slo, Series(0, {}, [(0.0, 0.5), (60.0, 0.9991)])))


def test_a_table_has_a_row_for_each_key_and_an_empty_cell_for_what_is_not_there() -> None:
    panel = Panel("P", "table", "short", "P.", (Query("a", "one"), Query("b", "two")), key="job")
    said = texts(drawn(panel, Series(0, {"job": "x"}, [(60.0, 7.0)]), Series(1, {"job": "y"}, [(60.0, 9.0)])))
    assert said[2:] == ["job", "one", "two", "y", "", "9", "x", "7", ""]


def test_a_bucket_counts_what_the_one_below_it_does_not() -> None:
    panel = Panel("P", "heatmap", "s", "P.", (Query("a"),))
    buckets = {"1": 2.0, "2": 2.0, "5": 3.0, "+Inf": 3.0}
    made = drawn(panel, *(Series(0, {"le": le}, [(60.0, value)]) for le, value in buckets.items()))
    assert made.count('fill="#d9480f"') == 2
    assert [each for each in texts(made) if each.startswith("≤")] == ["≤ 1 s", "≤ 2 s", "≤ 5 s"]


def test_names_from_labels_can_not_break_out_of_the_picture() -> None:
    assert "<b>&" in texts(drawn(graph(), line(1.0, "<b>&")))


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.0125, "s", "12.5 ms"), (90, "s", "90 s"), (600, "s", "10 min"), (0.5, "percentunit", "50 %"),
        (0.0042, "currencyUSD", "$0.0042"), (1234.5, "currencyUSD", "$1,234.50"), (2.5, "cpm", "2.5 /min"),
        (50_000_000, "short", "50 M"), (float("inf"), "s", "∞"),
    ],
)  # fmt: skip
def test_values_are_written_with_their_units(value: float, unit: Unit, said: str) -> None:
    assert marks.written(value, unit) == said


@pytest.mark.parametrize(("top", "said"), [(1.0, 1.0), (1.05, 1.2), (47.2, 60.0), (0.0031, 0.0032), (9.9, 10.0)])
def test_an_axis_ends_at_a_round_number(top: float, said: float) -> None:
    assert marks.rounded(top) == pytest.approx(said)


def test_nothing_is_drawn_outside_of_its_plot() -> None:
    plot = Plot(Box(0, 0, 400, 200), SECONDS, 1.0)
    assert plot.place(90.0, 7.0) == plot.place(SECONDS, 1.0)
    assert plot.place(-5.0, 0.0) == plot.place(0.0, 0.0)
