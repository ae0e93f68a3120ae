"""What an expression of Prometheus reads: metrics with the labels that it asks them for."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from deploy.chart_files import HERE
from deploy.dashboards.build import DASHBOARDS
from schema.metrics import BY_NAME, Metric

_STRING = re.compile(r'"(?:\\.|[^"\\])*"')
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_NAME = re.compile(r"(?<![\w.:])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(\s*\()?")
_WORDS = {"and", "or", "unless", "offset", "bool"}


@dataclass(frozen=True)
class Reading:
    """Attributes:
    selectors: each metric, as it is written, with the labels of its matchers.
    grouped: labels that are grouped or joined by.
    """

    selectors: tuple[tuple[str, frozenset[str]], ...]
    grouped: frozenset[str]


def read(expression: str) -> Reading:
    """What an expression reads."""
    text = _STRING.sub('""', expression)
    grouped = {label.strip() for labels in _GROUPING.findall(text) for label in labels.split(",") if label.strip()}
    text = _RANGE.sub("", _GROUPING.sub(" ", text))
    selectors = [
        (name, frozenset(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)))
        for name, matchers, called in _NAME.findall(text)
        if not called and name not in _WORDS
    ]
    return Reading(tuple(selectors), frozenset(grouped))


def metric_of(name: str) -> Metric | None:
    """The metric of the table that a series of this name is of: a histogram has three."""
    found = BY_NAME.get(name)
    if found is None:
        found = BY_NAME.get(re.sub(r"_(bucket|count|sum)$", "", name))
        return found if found is not None and found.kind == "histogram" else None
    return found if found.kind != "histogram" else None


def rules() -> list[Mapping[str, Any]]:
    """Every rule of the rule files that operators load: records, alerts, and what autoscalers read."""
    files = sorted((HERE / "alerts").glob("*.rules.yaml"))
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def recorded() -> set[str]:
    """The names of all records."""
    return {rule["record"] for rule in rules() if "record" in rule}


def dashboard_expressions() -> list[str]:
    """Every query of every dashboard."""
    return [query.expr for each in DASHBOARDS.values() for panel in each.panels for query in panel.queries]


def metrics_of(expressions: Iterable[str]) -> set[Metric]:
    """The metrics of the table that expressions read."""
    names = {name for expression in expressions for name, _ in read(expression).selectors}
    return {metric for metric in map(metric_of, names) if metric is not None}
