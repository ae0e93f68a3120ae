"""A real Prometheus looks at a stack that works: what alerts, dashboards and autoscalers read is there."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from itertools import chain

import httpx
import pytest
import pytest_asyncio

from deploy.dashboards.build import DASHBOARDS
from deploy.dashboards.expressions import WINDOW
from schema.metrics import METRICS, Metric
from tests.support import queries
from tests.support.golden import Golden
from tests.support.processes import until
from tests.support.prometheus import Prometheus, running_prometheus
from tests.support.provider import Provider, Script, ballot, files
from tests.support.specs import GOOD, spec

pytestmark = [pytest.mark.stack, pytest.mark.sandbox]

WITHIN = 60.0
NONSENSE = ["no json"] * 3
SPLIT = {"reviewer": [ballot("reject")], "tester": [ballot("abstain")], "security": [ballot("abstain")]}


async def accepted(golden: Golden, provider: Provider, title: str) -> None:
    """A task with a vote, two runs in the sandbox and a charge, and a program of a client's own."""
    provider.script(title, Script(developer=[files(work=GOOD)]))
    assert (await golden.result(await golden.submit(spec(title))))["state"] == "accepted"


async def waiting(golden: Golden, provider: Provider) -> None:
    """One task that is parked and one that is escalated, at the same time."""
    provider.script("seen parked", Script(developer=NONSENSE))
    provider.script("seen escalated", Script(developer=[files(work=GOOD)], ballots=SPLIT))
    ids = [await golden.submit(spec(title)) for title in ("seen parked", "seen escalated")]
    for task_id, state in zip(ids, ("parked", "escalated"), strict=True):
        await golden.until(task_id, lambda task, state=state: task["state"] == state)  # type: ignore[misc]


async def limited(golden: Golden) -> None:
    async with golden.client("admin", "limited") as client:
        body = {"limit_tokens": 1_000_000, "limit_micro_usd": 5_000_000}
        (await client.put("/v1/budgets/limited", json=body)).raise_for_status()


async def executed(golden: Golden) -> None:
    body = {"files": {"main.py": "print(1)"}, "command": ["python", "main.py"]}
    async with golden.client() as client:
        client.timeout = httpx.Timeout(120)
        (await client.post("/v1/sandbox/executions", json=body)).raise_for_status()


async def until_scraped(prometheus: Prometheus) -> None:
    """Until every process of the deployment's jobs answers."""

    async def answering() -> bool:
        return [value for _, value in await prometheus.now('up{job=~"golden-.*"}')] == [1.0] * 3

    await until(answering, WITHIN)


@pytest_asyncio.fixture(scope="module")
async def prometheus(
    golden: Golden, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Prometheus]:
    """Prometheus beside the stack, while it works: what shows itself with its first event only, happens twice."""
    async with running_prometheus(golden, tmp_path_factory.mktemp("prometheus")) as prometheus:
        await asyncio.gather(
            limited(golden), waiting(golden, provider), accepted(golden, provider, "seen first"), executed(golden)
        )
        await until_scraped(prometheus)
        await asyncio.gather(accepted(golden, provider, "seen second"), executed(golden))
        yield prometheus
        async with golden.client("operator") as client:
            listed = (await client.get("/v1/tasks")).json()["items"]
            for task in listed:
                if task["title"] in ("seen parked", "seen escalated"):
                    (await client.post(f"/v1/tasks/{task['task_id']}/cancel")).raise_for_status()


def used() -> set[Metric]:
    """What any alert, autoscaler or dashboard reads; kube-state-metrics are only in a cluster."""
    expressions = chain((rule["expr"] for rule in queries.rules()), queries.dashboard_expressions())
    return {metric for metric in queries.metrics_of(expressions) if metric.source != "kubernetes"}


async def test_every_metric_that_is_used_exists_with_the_labels_of_the_table(prometheus: Prometheus) -> None:
    assert {metric for metric in METRICS if metric.source != "kubernetes"} == used()
    wrong = []
    for metric in used():
        names = [f"{metric.name}_{part}" for part in ("bucket", "count", "sum")] if metric.buckets else [metric.name]
        for name in names:
            series = await prometheus.series(name)
            wanted = {*metric.labels, *(("le",) if name.endswith("_bucket") else ())}
            if not series or any(not wanted <= set(labels) for labels in series):
                wrong.append((name, sorted(wanted), series[:1]))
    assert wrong == []


async def test_metrics_are_of_the_kind_and_have_the_buckets_of_the_table(prometheus: Prometheus) -> None:
    told = await prometheus.ask("metadata")
    for metric in used():
        if metric.source != "prometheus":
            # Older formats of the text name a counter without its suffix.
            kinds = told.get(metric.name) or told[metric.name.removesuffix("_total")]
            assert {each["type"] for each in kinds} == {metric.kind}, metric.name
        edges = {float(each["le"]) for each in await prometheus.series(f"{metric.name}_bucket")}
        assert edges == {*metric.buckets, *((math.inf,) if metric.buckets else ())}, metric.name


async def test_every_query_of_every_dashboard_returns_data(prometheus: Prometheus) -> None:
    left = {query.expr for each in DASHBOARDS.values() for panel in each.panels for query in panel.queries}
    end = time.monotonic() + WITHIN
    while left and time.monotonic() < end:
        left = {expression for expression in left if not await has_data(prometheus, expression)}
        if left:
            await asyncio.sleep(1)
    assert left == set()


async def has_data(prometheus: Prometheus, expression: str) -> bool:
    values = await prometheus.now(expression.replace(WINDOW, "1m"))
    return any(not math.isnan(value) for _, value in values)


async def test_every_rule_is_evaluated_without_an_error(prometheus: Prometheus) -> None:
    rules: list[dict[str, str]] = []

    async def evaluated() -> bool:
        groups = (await prometheus.ask("rules"))["groups"]
        rules[:] = [rule for group in groups for rule in group["rules"]]
        return all(rule["health"] != "unknown" for rule in rules)

    await until(evaluated, WITHIN)
    named = [rule.get("alert") or rule["record"] for rule in queries.rules()]
    assert sorted(rule["name"] for rule in rules) == sorted(named)
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
