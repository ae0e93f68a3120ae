"""Steps whose attempts are spent: parked, shown, redriven or discarded, and never lost or paid twice."""

import os
import signal
import threading
from typing import Any

import psycopg
from temporalio.client import Client

from deploy.local import postgres
from schema.engine import GOLDEN_STATE
from tests.endtoend.test_ends import nothing_is_held
from tests.support.golden import Golden
from tests.support.histories import record
from tests.support.processes import until
from tests.support.provider import Provider, Script, files
from tests.support.specs import GOOD, spec

NONSENSE = ["no json"] * 3


async def parked(golden: Golden, task_id: str) -> dict[str, Any]:
    """The one open dead letter of a task, once it is parked."""
    await golden.until(task_id, lambda task: task["state"] == "parked")
    async with golden.client("operator") as client:
        letters = (await client.get("/v1/dead-letters", params={"task": task_id, "state": "open"})).json()["items"]
    assert len(letters) == 1
    letter: dict[str, Any] = letters[0]
    return letter


async def decide(golden: Golden, letter: dict[str, Any], verb: str, **body: Any) -> None:
    async with golden.client("operator") as client:
        answer = await client.post(f"/v1/dead-letters/{letter['id']}/{verb}", json=body)
    assert answer.status_code == 200, answer.text


async def budget_holds(golden: Golden) -> None:
    """Every sum of the ledger is what the accounts say."""
    async with golden.client("admin") as client:
        checked = (await client.get("/v1/budgets/default/check")).json()
    assert checked["ok"], checked


def steps_of(task: dict[str, Any]) -> list[str]:
    return [row["step"] for row in task["progress"]]


async def test_a_redriven_step_goes_on_and_nothing_before_it_is_repeated_or_paid_again(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    provider.script("redriven", Script(developer=[*NONSENSE, files(work=GOOD)]))
    task_id = await golden.submit(spec("redriven"))
    letter = await parked(golden, task_id)
    assert (letter["step"], letter["epoch"], letter["kind"], letter["cause"]) == (
        "develop/1",
        1,
        "model",
        "InvalidModelOutput",
    )
    described = await temporal.get_workflow_handle(f"task/{task_id}").describe()
    assert described.typed_search_attributes.get(GOLDEN_STATE) == "parked"

    await decide(golden, letter, "redrive")

    result = await golden.result(task_id)
    assert result["state"] == "accepted"
    # One plan and one ballot; four answers of the developer, three of them no use.
    assert result["tokens"]["architect"] == {"input": 200, "output": 40}
    assert result["tokens"]["developer"] == {"input": 400, "output": 80}
    assert len(provider.asked_about("redriven", lambda asked: asked.role == "architect" and not asked.voting)) == 1
    await record(temporal, f"task/{task_id}", "AgentTask-redriven")
    await nothing_is_held(golden, [task_id])
    await budget_holds(golden)


async def test_a_discarded_step_fails_its_task_and_everything_is_given_back(golden: Golden, provider: Provider) -> None:
    provider.script("discarded", Script(plan=NONSENSE))
    task_id = await golden.submit(spec("discarded"))
    await decide(golden, await parked(golden, task_id), "discard", reason="not worth it")
    result = await golden.result(task_id)
    told = "step plan was discarded by tester; it had failed with InvalidModelOutput"
    assert (result["state"], result["reason"]) == ("failed", told)
    await nothing_is_held(golden, [task_id])
    await budget_holds(golden)


async def test_a_parked_task_holds_no_slot(golden: Golden, provider: Provider) -> None:
    provider.script("parked without a slot", Script(plan=NONSENSE))
    task_id = await golden.submit(spec("parked without a slot"))
    letter = await parked(golden, task_id)
    url = golden.settings.database("service").replace("+psycopg", "")

    async def yielded() -> bool:
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT admitted FROM tasks WHERE task_id = %s", (task_id,)).fetchone()
        return row == (False,)

    await until(yielded)
    await decide(golden, letter, "discard")
    await golden.final(task_id)


async def test_a_spent_budget_parks_the_task_and_a_top_up_lets_it_go_on(golden: Golden, provider: Provider) -> None:
    provider.script("too small", Script(developer=[files(work=GOOD)]))
    task_id = await golden.submit(spec("too small", budget_tokens=1_000))
    letter = await parked(golden, task_id)
    assert (letter["step"], letter["kind"], letter["cause"]) == ("plan", "budget", "BudgetExhausted")
    assert "tokens, and the task has 1,000 of 1,000 left" in letter["detail"]
    assert f"`golden budget top-up {task_id} --tokens N`" in (await golden.task(task_id))["reason"]
    async with golden.client("admin") as client:
        answer = await client.post(f"/v1/tasks/{task_id}/top-up", json={"tokens": 49_000})
    assert answer.status_code == 200, answer.text
    assert (await golden.result(task_id))["state"] == "accepted"
    await nothing_is_held(golden, [task_id])
    await budget_holds(golden)


async def test_a_budget_spent_in_the_vote_parks_the_vote_and_nobody_is_absent_for_money(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    # The plan and the candidate take all but 700 tokens, which is less than a ballot may need.
    provider.script("poor vote", Script(developer=[files(work=GOOD)], usage=(4_000, 650)))
    task_id = await golden.submit(spec("poor vote", budget_tokens=10_000))
    await golden.until(task_id, lambda task: task["state"] == "parked")
    await until(lambda: state_is(temporal, task_id, "parked"))
    async with golden.client("admin") as client:
        letters = (await client.get("/v1/dead-letters", params={"task": task_id, "state": "open"})).json()["items"]
        assert {(letter["kind"], letter["step"].split("/")[0]) for letter in letters} == {("budget", "ballot")}
        answer = await client.post(f"/v1/tasks/{task_id}/top-up", json={"tokens": 100_000})
        assert answer.status_code == 200, answer.text
    result = await golden.result(task_id)
    assert result["state"] == "accepted"
    assert {voter["choice"] for voter in result["consensus"]["voters"]} == {"approve"}
    await record(temporal, f"vote/{task_id}/1", "ConsensusRound-topped-up")
    await nothing_is_held(golden, [task_id])
    await budget_holds(golden)


async def state_is(temporal: Client, task_id: str, state: str) -> bool:
    described = await temporal.get_workflow_handle(f"task/{task_id}").describe()
    return described.typed_search_attributes.get(GOLDEN_STATE) == state


async def test_a_redrive_asks_the_models_that_it_names(golden: Golden, provider: Provider) -> None:
    provider.script(
        "another route", Script(plan=[*NONSENSE, {"summary": "Write it.", "steps": []}], developer=[files(work=GOOD)])
    )
    task_id = await golden.submit(spec("another route"))
    await decide(golden, await parked(golden, task_id), "redrive", route=["openai:nowhere"])
    letter = await parked_again(golden, task_id, "RouteUnknown")
    await decide(golden, letter, "redrive", route=["openai:scripted"])
    assert (await golden.result(task_id))["state"] == "accepted"


async def parked_again(golden: Golden, task_id: str, cause: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        async with golden.client("operator") as client:
            answer = await client.get("/v1/dead-letters", params={"task": task_id, "state": "open"})
        found[:] = [letter for letter in answer.json()["items"] if letter["cause"] == cause]
        return bool(found)

    await until(there)
    return found[0]


async def test_a_step_whose_text_is_lost_is_parked_and_goes_on_where_the_text_is_back(
    golden: Golden, provider: Provider
) -> None:
    gate = threading.Event()
    provider.script("lost text", Script(developer=[files(work=GOOD)], gates={"developer": gate}))
    url = postgres.superuser_url(golden.settings).replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # or what is used could not get lost
        connection.execute("CREATE TEMP TABLE known AS SELECT digest FROM texts")
        task_id = await golden.submit(spec("lost text", instructions="Write double(number), whose text gets lost."))
        await until(lambda: provider.asked_about("lost text", lambda asked: asked.role == "developer"), 60)
        connection.execute("CREATE TEMP TABLE lost AS SELECT * FROM texts WHERE digest NOT IN (TABLE known)")
        connection.execute("DELETE FROM texts WHERE digest IN (SELECT digest FROM lost)")
        for pid in golden.pids("gateway.cli worker"):  # which remembers texts
            os.kill(pid, signal.SIGKILL)
        gate.set()
        letter = await parked(golden, task_id)
        assert (letter["kind"], letter["cause"]) == ("internal", "TextLost")
        assert "TextLost" in (await golden.task(task_id))["reason"]

        connection.execute("INSERT INTO texts TABLE lost")
    await decide(golden, letter, "redrive")
    assert (await golden.final(task_id))["state"] == "accepted"
    await budget_holds(golden)
