"""docs/operate/capacity.md reckons with what the code and the chart have; GOLDEN_RECORD=1 writes it anew."""

import os
from pathlib import Path

import pytest
import yaml

from deploy.chart_files import CHART, HERE
from schema.settings import Settings
from tests.support import capacity
from tests.support.capacity import PAGE, between, connection_table, example, put
from tests.support.chart import pods, render
from workers.kinds import KINDS

TEMPORAL_SERVICES, TEMPORAL_DATABASES, RESERVED = 4, 2, 3


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def test_the_connections_are_those_of_the_pools_and_of_the_charts_maxima(settings: Settings) -> None:
    told = connection_table(settings)
    if os.environ.get("GOLDEN_RECORD"):
        put(PAGE, "connections", told)
    assert between(PAGE.read_text(), "connections") == told


def test_the_example_is_reckoned_from_what_was_measured() -> None:
    told = example(PAGE.read_text())
    if os.environ.get("GOLDEN_RECORD"):
        put(PAGE, "example", told)
    assert between(PAGE.read_text(), "example") == told


def test_every_process_that_the_chart_runs_is_counted() -> None:
    made = {name.partition("golden-")[2] for name in pods(render({}))}
    assert made == set(capacity.pods(yaml.safe_load((CHART / "values.yaml").read_text())))


def test_the_slots_are_those_of_the_code() -> None:
    told = PAGE.read_text()
    activities = {kind.concurrent_activities for name, kind in KINDS.items() if name in ("orchestrator", "peer-hub")}
    assert {f"| activities of an orchestrator, and of a peer hub | {number} |" in told for number in activities} == {
        True
    }
    for what, name in (
        ("tasks of a tenant", "tenant_slots"),
        ("runs of a sandbox worker", "sandbox_pool"),
        ("embedded model", "model_slots"),
        ("connections of a gateway", "max_connections"),
    ):
        assert f"| {what} | {Settings.model_fields[name].default:,} |" in told


def test_one_servers_postgresql_has_room_for_all_who_ask_it(settings: Settings) -> None:
    services = yaml.safe_load((HERE / "compose.yaml").read_text())["services"]
    ours = sum(capacity.compose_services()[name] * count for name, count in capacity.connections(settings).items())
    pool = int(services["temporal"]["environment"]["SQL_MAX_CONNS"])
    (most,) = (word.partition("=")[2] for word in services["postgres"]["command"] if word.startswith("max_connections"))
    assert ours + TEMPORAL_SERVICES * TEMPORAL_DATABASES * pool + RESERVED < int(most)
