"""What docs/operate/capacity.md reckons: connections from the code and the chart, an example from what was measured."""

import math
import re
from pathlib import Path
from typing import Any

import yaml

from deploy.chart_files import CHART, HERE
from gateway import exporter
from schema.database import Database
from schema.settings import Settings
from tests.support.pages import DOCS, ROOT
from workers.kinds import KINDS

PAGE = DOCS / "operate" / "capacity.md"
MIGRATION = 1
TASKS_A_SECOND, DAY_SECONDS, CALL_SECONDS, RUN_SECONDS = 1.0, 28_800, 8.0, 1.4
VOTES, DAYS_KEPT = 4, 7
ROUNDED_UP = 0.25
"""Kubernetes' share of pods that a rollout has besides, and which it rounds up (the chart names it too)."""


def pools(settings: Settings, **values: int) -> int:
    """The most connections that the pools of a process may open."""
    database = Database.from_settings(settings, **values)
    engines: list[Any] = [database._service.engine, database._tenant.engine]
    assert all(engine.pool._max_overflow == 0 for engine in engines)
    return sum(engine.pool.size() for engine in engines)


def listeners() -> int:
    """Connections that a gateway opens beside its pools."""
    return sum(path.read_text().count("AsyncConnection.connect(") for path in (ROOT / "gateway").glob("*.py"))


def connections(settings: Settings) -> dict[str, int]:
    """The most that each kind of process opens."""
    worker = pools(settings)
    return {
        "gateway": worker + listeners(),
        **dict.fromkeys(KINDS, worker),
        "exporter": pools(settings, pool_size=exporter.CONNECTIONS),
        "migration": MIGRATION,
    }


def pods(values: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Pods by the chart's values: at least, at most, and at most while all of them are rolled out."""
    found = {}
    for name in ("gateway", "exporter"):
        replicas = values[name]["replicas"]
        found[name] = (replicas, replicas, replicas + 1)
    for kind in KINDS:
        scale = values["workers"][kind]["autoscaling"]
        found[kind] = (scale["min"], scale["max"], scale["max"] + math.ceil(ROUNDED_UP * scale["max"]))
    found["migration"] = (1, 1, 1)
    return found


def compose_services() -> dict[str, int]:
    """Processes of ours in deploy/compose.yaml by kind."""
    services = yaml.safe_load((HERE / "compose.yaml").read_text())["services"]
    found = dict.fromkeys([*KINDS, "gateway", "exporter", "migration"], 0)
    for service in services.values():
        command = service.get("command") or [""]
        kind = {"worker": command[-1], "db": "migration"}.get(command[0], command[0])
        if kind in found:
            found[kind] += 1
    return found


def connection_table(settings: Settings) -> str:
    """The page's table of connections."""
    each, here = connections(settings), compose_services()
    there = pods(yaml.safe_load((CHART / "values.yaml").read_text()))
    rows = {name: (here[name] * count, *(number * count for number in there[name])) for name, count in each.items()}
    sums = [sum(column) for column in zip(*rows.values(), strict=True)]
    return "\n".join(
        [
            "| process | each | compose | chart, least | chart, most | in a rollout |",
            "| --- | --- | --- | --- | --- | --- |",
            *(f"| {name} | {each[name]} | {' | '.join(str(cell) for cell in row)} |" for name, row in rows.items()),
            f"| all | | {' | '.join(str(number) for number in sums)} |",
        ]
    )


def measured(text: str, what: str) -> float:
    """A figure of the page's measured table."""
    found = re.search(rf"^\| {re.escape(what)} \| ([\d,.]+) \|$", text, re.MULTILINE)
    assert found, what
    return float(found[1].replace(",", ""))


def example(text: str) -> str:
    """The page's example, from its measured table."""
    calls, runs = measured(text, "model calls"), measured(text, "sandbox runs, controls included")
    book, log = measured(text, "PostgreSQL's data, KiB"), measured(text, "PostgreSQL's log, KiB")
    history, tasks = measured(text, "Temporal's histories, KiB"), TASKS_A_SECOND * DAY_SECONDS
    # One after the other: plan, develop, prove with its control, vote; candidates and voters side by side.
    task_seconds = 3 * CALL_SECONDS + 2 * RUN_SECONDS
    at_once = TASKS_A_SECOND * task_seconds
    pool = Settings.model_fields["sandbox_pool"].default
    orchestrators = TASKS_A_SECOND * (calls - VOTES) * CALL_SECONDS / (KINDS["orchestrator"].concurrent_activities or 1)
    hubs = TASKS_A_SECOND * VOTES * CALL_SECONDS / (KINDS["peer-hub"].concurrent_activities or 1)
    rows = [
        ("tasks at once", f"{math.ceil(at_once)}: {math.ceil(at_once / 8)} tenants with 8 slots, or more slots"),
        ("sandbox workers", f"{math.ceil(TASKS_A_SECOND * runs * RUN_SECONDS / pool)}"),
        ("orchestrators, by slots", f"{math.ceil(orchestrators)}; the chart's rule has {math.ceil(at_once / 10)}"),
        ("peer hubs, by slots", f"{math.ceil(hubs)}"),
        ("model calls a minute", f"{TASKS_A_SECOND * calls * 60:,.0f}"),
        ("PostgreSQL's data", f"{gib(tasks * book):.1f} GiB a day, {gib(tasks * book) * 260:,.0f} GiB in 260 days"),
        ("its log, before compression", f"{gib(tasks * log):.1f} GiB a day"),
        (f"Temporal's histories, {DAYS_KEPT} days kept", f"{gib(tasks * history) * DAYS_KEPT:.1f} GiB"),
    ]
    told = (
        f"{TASKS_A_SECOND:g} task a second for {DAY_SECONDS / 3600:g} hours a day ({tasks:,.0f} tasks), as measured "
        f"above; {CALL_SECONDS:g} s a model call and {RUN_SECONDS:g} s a run are assumed."
    )
    return "\n".join([told, "", "| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def gib(kib: float) -> float:
    return kib / 1024 / 1024


def between(text: str, name: str) -> str:
    """What stands between two marks."""
    return text.partition(f"<!-- {name} -->\n")[2].partition(f"\n<!-- end of {name} -->")[0]


def put(page: Path, name: str, content: str) -> None:
    """Replace it."""
    head, mark, rest = page.read_text().partition(f"<!-- {name} -->")
    end = f"<!-- end of {name} -->"
    assert mark
    assert end in rest
    page.write_text(f"{head}{mark}\n{content}\n{end}{rest.partition(end)[2]}")
