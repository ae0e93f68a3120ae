"""The rules: in step with the tables that they are made of, of metrics that exist, and tried by promtool."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.alerts import cases, rules, slo_cases
from deploy.alerts.cause_cases import CAUSE_CASES, UNVERIFIED
from deploy.alerts.rule import Alert
from deploy.alerts.rules import ALERTS, GROUPS, RULES_FILE
from deploy.alerts.slos import BURNS, OBJECTIVES, slow
from schema import metrics

SUFFIXES = ("", "_bucket", "_count", "_sum")
ADDED = {"le", "slo", "window", "source", "instance", "job"}
WORDS = re.compile(r"\b[a-z_:]+[a-z0-9_:]*\b")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it; where it is not installed the test is skipped, and fails where CI=true."""
    if shutil.which("promtool") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool is not installed: `make tools`")
        pytest.skip("promtool is not installed: `make tools`")
    # What failed is told on standard error, what succeeded is not: one stream keeps their order.
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def test_the_files_are_what_the_tables_make() -> None:
    assert RULES_FILE.read_text() == rules.render(), "run `python -m deploy.alerts.rules`"
    for file, text in rules.render_tests().items():
        assert file.read_text() == text, "run `python -m deploy.alerts.rules`"


def test_promtool_finds_no_fault_in_the_rules() -> None:
    checked = promtool("check", "rules", RULES_FILE)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.skipif(os.environ.get("GOLDEN_WHOLE") != "1", reason="group by group it takes a tenth of the time")
@pytest.mark.parametrize("file", rules.render_tests(), ids=lambda file: file.name)
def test_all_rules_together_fire_what_they_must_and_nothing_else(file: Path) -> None:
    tried = promtool("test", "rules", file)
    assert tried.returncode == 0, tried.stdout


def test_each_rule_fires_when_it_must_and_not_when_it_must_not(tmp_path: Path) -> None:
    files = []
    for group in GROUPS:
        (tmp_path / f"{group.name}.rules.yaml").write_text(yaml.safe_dump({"groups": [group.render("")]}))
        expressions = " ".join(rule.expr for rule in group.rules)
        for every, tried in (("1m", rules.CASES), ("5m", rules.LONG_CASES)):
            told = [only(case, *group.alerts) for case in tried if concerns(case, expressions, group.alerts)]
            if told:
                files.append(tmp_path / f"{group.name}.{every}.yaml")
                files[-1].write_text(yaml.safe_dump(cases.render(told, f"{group.name}.rules.yaml", every)))
    tried_all = promtool("test", "rules", *files)
    assert tried_all.returncode == 0, tried_all.stdout
    assert len(files) == len(GROUPS) + 1


def concerns(case: cases.Case, expressions: str, alerts: Sequence[Alert]) -> bool:
    """Whether a case says something of alerts: their series are in it beside the healthy ones, or one of them fires."""
    if case.fires & {(alert.name, which) for alert in alerts for _, which in case.fires}:
        return True
    return any(name.split("{")[0] in expressions for name in case.series.keys() - cases.HEALTHY.keys())


def expressions() -> Iterator[str]:
    for group in GROUPS:
        for rule in group.rules:
            yield rule.expr


def test_expressions_name_only_metrics_and_labels_of_the_table() -> None:
    recorded = {rule.name for group in GROUPS for rule in group.rules if not isinstance(rule, Alert)}
    shown = {name + suffix: each for name, each in metrics.BY_NAME.items() for suffix in SUFFIXES}
    for expression in expressions():
        selectors = re.findall(r"((?:golden|temporal|kube|slo:)[\w:]*)(?:\{([^}]*)\})?", without_strings(expression))
        assert selectors
        for name, matchers in selectors:
            assert name in shown or name in recorded, name
            labels = set(re.findall(r"(\w+)\s*[=!]", matchers))
            assert labels <= (set(shown[name].labels) if name in shown else set()) | ADDED, (name, labels)


def test_expressions_group_only_by_labels_of_the_table() -> None:
    known = {label for metric in metrics.METRICS for label in metric.labels} | ADDED
    for expression in expressions():
        for named in re.findall(r"\b(?:by|on|without|ignoring) \(([^)]*)\)", expression):
            assert {label.strip() for label in named.split(",")} <= known


def without_strings(expression: str) -> str:
    """Quoted values emptied: they may hold braces and words."""
    return re.sub(r'"(?:\\.|[^"\\])*"', '""', expression)


def test_an_edge_that_no_bucket_has_is_refused() -> None:
    with pytest.raises(ValueError, match="no bucket that ends at 151"):
        slow(metrics.CONSENSUS_SECONDS, 151.0)


def test_windows_and_rates_are_those_of_the_workbook() -> None:
    told = [(burn.severity, burn.long, burn.short, float(burn.factor)) for burn in BURNS]
    assert told == [("page", "1h", "5m", 14.4), ("page", "6h", "30m", 6.0), ("ticket", "3d", "6h", 1.0)]
    assert {each.name for each in OBJECTIVES} == set(slo_cases.EXPECTED)


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    tried = (*rules.CASES, *rules.LONG_CASES)
    firing = {name for case in tried for name, _ in case.fires}
    assert firing == {alert.name for alert in ALERTS}
    assert any(not case.fires for case in tried)


def mutants() -> Iterator[tuple[str, str, Alert]]:
    """Each alert with one of its comparisons turned round, one of its thresholds moved, or its pause taken away."""
    slo = OBJECTIVES[0].alert
    for alert in ALERTS:
        if alert.name != slo and alert not in GROUPS[-1].alerts:
            continue  # the other objectives are made by the same code
        for spot in re.finditer(r"(>=|==|>|<) (\d+(?:\.\d+)?)", alert.expr):
            sign, number = spot.groups()
            for what, other in (
                ("turned", f"{'<' if sign in ('>', '>=') else '!='} {number}"),
                ("moved", f"{sign} {float(number) * 2 or 1:g}"),
            ):
                yield (
                    f"{alert.name} {spot[0]} {what}",
                    alert.expr[: spot.start()] + other + alert.expr[spot.end() :],
                    alert,
                )


def mutated(alert: Alert, expression: str) -> dict[str, Any]:
    """The rules of that alert's group alone, with another expression in the place of its own."""
    (group,) = [each for each in GROUPS if any(rule is alert for rule in each.rules)]
    document = group.render("")
    for rule in document["rules"]:
        if rule.get("alert") == alert.name and rule["expr"] == alert.expr:
            rule["expr"] = expression
    if group.name == "golden-causes":
        document["rules"] = [rule for rule in document["rules"] if rule["alert"] == alert.name]
    return {"groups": [document]}


def cases_of(alert: Alert, *, slowly: bool) -> list[cases.Case]:
    """The cases that say something of that alert: its series are in them, or it fires."""
    if alert.name == OBJECTIVES[0].alert:
        return [case for case in slo_cases.SLO_CASES if any("http_requests" in name for name in case.series)]
    causes = (*CAUSE_CASES, *(UNVERIFIED if slowly else ()))
    return [case for case in causes if concerns(case, alert.expr, [alert])]


def only(case: cases.Case, *alerts: Alert) -> cases.Case:
    """That case, with what it expects of these alerts alone."""
    kept = frozenset(each for each in case.fires if each[0] in {alert.name for alert in alerts})
    return cases.Case(case.name, case.series, case.at, kept, case.without, case.interval)


def test_a_rule_that_is_changed_a_little_fails_its_cases(tmp_path: Path) -> None:
    files, names = [], []
    for number, (name, expression, alert) in enumerate(mutants()):
        rules_file = tmp_path / f"{number}.rules.yaml"
        rules_file.write_text(yaml.safe_dump(mutated(alert, expression)))
        slow_ones = alert.name == OBJECTIVES[0].alert or "86400" in expression or "172800" in expression
        every = "5m" if slow_ones else "1m"
        tried = [only(case, alert) for case in cases_of(alert, slowly=slow_ones)]
        file = tmp_path / f"{number}.tests.yaml"
        file.write_text(yaml.safe_dump(cases.render(tried, rules_file.name, every)))
        files.append(file)
        names.append(name)
    assert len(files) > 30
    told = promtool("test", "rules", *files)
    verdicts = re.findall(r"^  (SUCCESS|FAILED)", told.stdout, re.MULTILINE)
    assert len(verdicts) == len(names), told.stdout[-2_000:]
    survived = [name for name, verdict in zip(names, verdicts, strict=True) if verdict == "SUCCESS"]
    assert survived == []
