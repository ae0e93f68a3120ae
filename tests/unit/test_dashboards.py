"""The dashboards: in step with the code that makes them, of metrics that exist, and as Grafana reads them."""

import json
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.alerts.rule import RUNBOOKS
from deploy.alerts.rules import ALERTS
from deploy.alerts.slos import OBJECTIVES
from deploy.dashboards import build, expressions
from deploy.dashboards.build import DASHBOARDS, FOLDER
from deploy.dashboards.grafana import document
from deploy.dashboards.panel import COLUMNS, places
from schema import metrics
from tests.support import queries
from tests.unit.test_alerts import promtool

ROOT = FOLDER.parent.parent
ADDED = {"le", "slo", "job"}
"""Labels that histograms, records and Prometheus bring."""

PANELS = [(name, panel) for name, dashboard in DASHBOARDS.items() for panel in dashboard.panels]


def shown(name: str) -> dict[str, Any]:
    """A dashboard as its file has it."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def test_the_files_are_what_the_code_makes() -> None:
    assert {path: path.read_text() for path in FOLDER.glob("*.json")} == build.files(), (
        "run `python -m deploy.dashboards`"
    )


def test_queries_read_only_metrics_and_labels_of_the_table() -> None:
    recorded = queries.recorded()
    for expression in queries.dashboard_expressions():
        reading = queries.read(expression)
        assert reading.selectors, expression
        asked = set(reading.grouped)
        known = set(ADDED)
        for name, labels in reading.selectors:
            metric = queries.metric_of(name)
            assert metric is not None or name in recorded, (name, expression)
            own = set(metric.labels) if metric is not None else set()
            assert labels <= own | ADDED, (name, labels)
            known |= own
        assert asked <= known, expression


def test_legends_and_keys_name_labels_that_the_series_have() -> None:
    for _, panel in PANELS:
        for query in panel.queries:
            kept = set(queries.read(query.expr).grouped) | ADDED
            named = {part.split("}}")[0] for part in query.legend.split("{{")[1:]} | ({panel.key} - {""})
            assert named <= kept, (panel.title, query)


def test_every_metric_of_ours_is_on_a_dashboard() -> None:
    absent = set(metrics.OURS) - queries.metrics_of(queries.dashboard_expressions())
    assert {metric.name for metric in absent} == set()


@pytest.mark.parametrize(
    ("expression", "selectors", "grouped"),
    [
        ("time() - max(a_seconds) > 120", {("a_seconds", frozenset())}, set()),
        ('60 * sum by (x, y) (rate(a_total{z!~"b|{c}"}[5m]))', {("a_total", frozenset({"z"}))}, {"x", "y"}),
        ("up offset 1h and on (job) a:b:rate1h / 1e6 or vector(0)",
         {("up", frozenset()), ("a:b:rate1h", frozenset())}, {"job"}),
        ('label_replace(absent(up{x="1"}), "to", "b", "", "")', {("up", frozenset({"x"}))}, set()),
    ],
)  # fmt: skip
def test_what_an_expression_reads_is_found(expression: str, selectors: set[object], grouped: set[str]) -> None:
    reading = queries.read(expression)
    assert (set(reading.selectors), set(reading.grouped)) == (selectors, grouped)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: `make tools`")
def test_promtool_reads_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace(expressions.WINDOW, "1m")}
        for number, expression in enumerate(queries.dashboard_expressions())
    ]
    file = tmp_path / "queries.rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    checked = promtool("check", "rules", file)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_as_grafana_reads_one(name: str) -> None:
    found = shown(name)
    assert "id" not in found
    assert found["schemaVersion"] >= 36
    assert found["uid"] == f"golden-{name}"
    assert [each["name"] for each in found["templating"]["list"] if each["type"] == "datasource"] == ["datasource"]
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    for panel in found["panels"]:
        assert panel["title"]
        assert panel["description"].endswith((".", "?")), panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None
        assert [step["value"] for step in steps[1:]] == sorted(step["value"] for step in steps[1:])
        assert panel["targets"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_fill_the_grid_without_lying_on_one_another(name: str) -> None:
    areas = places(DASHBOARDS[name])
    assert all(x + width <= COLUMNS for x, _, width, _ in areas)
    for (x, y, width, height), (x2, y2, width2, height2) in combinations(areas, 2):
        assert x + width <= x2 or x2 + width2 <= x or y + height <= y2 or y2 + height2 <= y


def test_every_objective_has_its_threshold_and_its_runbook() -> None:
    panels = {panel["title"]: panel for panel in shown("overview")["panels"]}
    for objective in OBJECTIVES:
        panel = panels[objective.name.replace("-", " ").capitalize()]
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert [(step["color"], step["value"]) for step in steps] == [("red", None), ("green", float(objective.good))]
        assert [link["title"] for link in panel["links"]] == [objective.alert]


def test_links_lead_to_runbooks_that_are_there() -> None:
    named = {alert.name for alert in ALERTS}
    linked = {runbook for _, panel in PANELS for runbook in panel.runbooks}
    assert linked <= named
    assert named - linked == set(), "an alert that no panel leads to"
    for name in DASHBOARDS:
        for panel in shown(name)["panels"]:
            for link in panel["links"]:
                assert link["url"] == f"${{runbooks}}/{RUNBOOKS}/{link['title']}.md"
                assert (ROOT / RUNBOOKS / f"{link['title']}.md").is_file()


def test_runbooks_elsewhere_are_linked_there() -> None:
    variables = document(DASHBOARDS["overview"], "https://git.example/golden")["templating"]["list"]
    (runbooks,) = [each for each in variables if each["name"] == "runbooks"]
    assert runbooks["current"]["value"] == runbooks["query"] == "https://git.example/golden"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: expressions.rate(metrics.LLM_TOKENS, "tenant"), "has no label tenant"),
        (lambda: expressions.rate(metrics.CIRCUITS), "is a gauge"),
        (lambda: expressions.quantile(0.5, metrics.LLM_TOKENS), "is a counter"),
        (lambda: expressions.buckets(metrics.LLM_SECONDS, "role"), "has no label role"),
    ],
)
def test_what_the_table_does_not_have_can_not_be_drawn(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
