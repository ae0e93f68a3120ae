"""Dashboards as Grafana's JSON, after "Dashboard JSON model" in its documentation."""

import json
from typing import Any

from deploy.alerts.rule import RUNBOOKS
from deploy.dashboards.panel import Dashboard, Panel, Query, places

SCHEMA_VERSION = 39
"""Grafana brings older ones up to date by itself; this one is of Grafana 11."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
LEAST_COLOUR = "green"


def render(dashboard: Dashboard, base: str = "") -> str:
    """The file's text; `base` is where the folder of this repository is shown, for the links to runbooks."""
    return json.dumps(document(dashboard, base), indent=1, ensure_ascii=False) + "\n"


def document(dashboard: Dashboard, base: str = "") -> dict[str, Any]:
    """The dashboard as Grafana reads it. It has no id: that is the database's of one Grafana."""
    panels = zip(dashboard.panels, places(dashboard), strict=True)
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": ["golden"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_source_variable(), _runbooks_variable(base)]},
        "annotations": {"list": []},
        "links": [{"type": "dashboards", "title": "Golden", "tags": ["golden"], "asDropdown": True, "keepTime": True}],
        "panels": [_panel(number, panel, place) for number, (panel, place) in enumerate(panels, 1)],
    }


def _source_variable() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1,
            "hide": 0, "includeAll": False, "multi": False, "options": [], "current": {}}  # fmt: skip


def _runbooks_variable(base: str) -> dict[str, Any]:
    """Where the runbooks are read: whoever has them elsewhere types it in."""
    said = {"selected": True, "text": base, "value": base}
    return {"name": "runbooks", "label": "Runbooks below", "type": "textbox", "query": base, "hide": 0,
            "options": [said], "current": said}  # fmt: skip


def _panel(number: int, panel: Panel, place: tuple[int, int, int, int]) -> dict[str, Any]:
    column, row, width, height = place
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": {"x": column, "y": row, "w": width, "h": height},
        "targets": [_target(panel, query, ref) for query, ref in zip(panel.queries, _refs(panel), strict=True)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        "links": [
            {"title": alert, "url": f"${{runbooks}}/{RUNBOOKS}/{alert}.md", "targetBlank": True}
            for alert in panel.runbooks
        ],
        **_transformations(panel),
    }


def _refs(panel: Panel) -> list[str]:
    return [chr(ord("A") + number) for number in range(len(panel.queries))]


def _target(panel: Panel, query: Query, ref: str) -> dict[str, Any]:
    once = panel.kind in ("stat", "table")
    formats = {"table": "table", "heatmap": "heatmap"}
    return {
        "refId": ref,
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": "{{le}}" if panel.kind == "heatmap" else query.legend,
        "format": formats.get(panel.kind, "time_series"),
        "instant": once,
        "range": not once,
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    first = "red" if panel.falling else LEAST_COLOUR
    steps = [{"color": first, "value": None}, *({"color": colour, "value": at} for at, colour in panel.thresholds)]
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "noValue": "nothing yet",
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.kind == "timeseries":
        custom: dict[str, Any] = {"fillOpacity": 30 if panel.stacked else 0, "lineWidth": 1, "showPoints": "never"}
        custom["stacking"] = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        if panel.thresholds:
            custom["thresholdsStyle"] = {"mode": "dashed"}
        defaults |= {"custom": custom, "min": 0, "color": {"mode": "palette-classic"}}
    elif panel.kind == "stat":
        defaults |= {"color": {"mode": "thresholds"}}
    return defaults


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.kind == "stat":
        reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {
            "reduceOptions": reduce,
            "graphMode": "none",
            "colorMode": "value",
            "textMode": "name" if panel.named else "value",
        }
    if panel.kind == "heatmap":
        return {
            "calculate": False,
            "yAxis": {"unit": panel.unit},
            "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
            "cellGap": 1,
            "tooltip": {"mode": "single", "yHistogram": False},
        }
    return {"showHeader": True, "cellHeight": "sm"}


def _transformations(panel: Panel) -> dict[str, Any]:
    """A table's queries side by side: a row for each value of its key, a column for each query."""
    if panel.kind != "table":
        return {}
    single = len(panel.queries) == 1
    columns = ("Value" if single else f"Value #{ref}" for ref in _refs(panel))
    values = {column: query.legend for column, query in zip(columns, panel.queries, strict=True)}
    organised = {"excludeByName": {"Time": True}, "renameByName": values}
    return {"transformations": [{"id": "merge", "options": {}}, {"id": "organize", "options": organised}]}
