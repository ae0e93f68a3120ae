"""The workers' metrics after a task through every layer: the table's names and labels, each thing counted once."""

import itertools

import httpx
from prometheus_client.parser import text_string_to_metric_families

from activities.meters import CALL_OUTCOMES
from deploy.local.services import worker_metrics_port
from schema import metrics
from tests.support.golden import Golden
from tests.support.provider import Provider, Script, files
from tests.support.specs import GOOD, spec

OWN = [each for each in metrics.OURS if each.source == "worker"]

Samples = dict[str, dict[frozenset[tuple[str, str]], float]]


async def scrape(golden: Golden) -> Samples:
    """Every sample of the worker's port by its name and labels."""
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"http://127.0.0.1:{worker_metrics_port(golden.settings)}/metrics")).text
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of what is shown with these labels."""
    return sum(value for found, value in samples.get(name, {}).items() if labels.items() <= dict(found).items())


async def test_a_task_is_counted_once_by_the_names_and_labels_of_the_table(golden: Golden, provider: Provider) -> None:
    provider.script("counted", Script(developer=[files(work=GOOD)]))
    before = await scrape(golden)
    result = await golden.result(await golden.submit(spec("counted", candidates=1)))
    after = await scrape(golden)

    def more(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    used = result["tokens"].values()
    assert more("golden_task_duration_seconds_count", state="accepted") == 1
    assert more("golden_consensus_duration_seconds_count", outcome="approved") == 1
    assert more("golden_sandbox_run_seconds_count", limit="none") == more("golden_sandbox_start_seconds_count") == 2
    assert more("golden_llm_requests_total", outcome="ok") == more("golden_llm_request_seconds_count") == 6
    assert more("golden_llm_tokens_total", kind="input") == sum(each["input"] for each in used)
    assert more("golden_llm_tokens_total", kind="output") == sum(each["output"] for each in used)
    assert more("golden_llm_micro_usd_total") == result["micro_usd"]
    for metric in OWN:
        name = metric.name if metric.kind == "counter" else f"{metric.name}_count"
        assert {frozenset(dict(labels)) for labels in after[name]} == {frozenset(metric.labels)}, metric.name
    edges = {dict(labels)["le"] for labels in after["golden_consensus_duration_seconds_bucket"]}
    assert "150" in {edge.removesuffix(".0") for edge in edges}


async def test_what_has_a_bound_is_there_with_0_before_it_happens(golden: Golden) -> None:
    samples = await scrape(golden)

    calls = [dict(labels) for labels in samples["golden_llm_requests_total"]]
    models = {each["model"] for each in calls}
    assert {(each["model"], each["outcome"]) for each in calls} == {*itertools.product(models, CALL_OUTCOMES)}
    failures = samples[metrics.WORKFLOW_TASK_FAILURES.name]
    assert any(("failure_reason", "NonDeterminismError") in labels for labels in failures)
    for metric in (metrics.WORKFLOW_TASK_FAILURES, metrics.ACTIVITY_FAILURES, metrics.REQUEST_FAILURES):
        assert {frozenset(dict(labels)) for labels in samples[metric.name]} == {frozenset(metric.labels)}
