"""A task from submission to its verdict, through every layer, with the real parts."""

from typing import Any

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowHandle

from schema.messages.task import TaskState
from tests.support.golden import Golden
from tests.support.histories import record
from tests.support.provider import VOTERS, Fault, Provider, Script, ballot, files
from tests.support.specs import BAD, GOOD, HALF, spec

MAX_EVENTS = 120
MAX_BYTES = 100 * 1024
SHOWN = {"category": "correctness", "severity": "high", "where": "work.py:1", "evidence": ["diff"]}


def choices(result: dict[str, Any]) -> dict[str, str]:
    return {voter["role"]: voter["choice"] for voter in result["consensus"]["voters"]}


async def history_of(handle: WorkflowHandle[Any, Any]) -> tuple[int, int]:
    """Events and bytes of a history, as Temporal counts them."""
    described = await handle.describe()
    return described.history_length, described.raw_description.workflow_execution_info.history_size_bytes


async def test_the_best_of_three_candidates_is_accepted_by_four_votes(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    provider.script("best of three", Script(developer=[files(work=BAD), files(work=HALF), files(work=GOOD)]))
    task_id = await golden.submit(spec("best of three", candidates=3))
    result = await golden.result(task_id)
    assert result["state"] == "accepted"
    assert result["files"] == {"work.py": GOOD}
    assert [test["outcome"] for test in result["tests"]] == ["passed", "passed"]
    assert choices(result) == dict.fromkeys(VOTERS, "approve")
    assert result["isolation"] == "gvisor"
    assert result["tokens"]["developer"] == {"input": 300, "output": 60}
    assert result["tokens"]["architect"] == {"input": 200, "output": 40}
    # 8 calls of 100 and 20 tokens at 1 and 2 dollars a million.
    assert result["micro_usd"] == 8 * (100 * 1 + 20 * 2)
    assert set(result["prompts"]) == {"architect", "developer", "reviewer", "security", "tester"}

    events, size = await history_of(temporal.get_workflow_handle(f"task/{task_id}"))
    assert events < MAX_EVENTS
    assert size < MAX_BYTES
    await record(temporal, f"task/{task_id}", "AgentTask-accepted")
    await record(temporal, f"vote/{task_id}/1", "ConsensusRound-approved")


async def test_further_candidates_are_asked_for_only_where_none_passed(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    provider.script("in waves", Script(developer=[*[files(work=BAD)] * 4, files(work=GOOD)]))
    task_id = await golden.submit(spec("in waves", candidates=10))
    result = await golden.result(task_id)
    assert result["state"] == "accepted"
    # Four that failed, and four more of which one was enough.
    assert result["tokens"]["developer"]["input"] == 8 * 100
    await record(temporal, f"task/{task_id}", "AgentTask-waves")


async def test_a_person_can_read_a_workflow_in_temporals_own_tools(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    provider.script("readable", Script(developer=[files(work=GOOD)]))
    task_id = await golden.submit(spec("readable"))
    await golden.final(task_id)
    described = await temporal.get_workflow_handle(f"task/{task_id}").describe()
    assert await described.static_summary() == "readable"
    listed = {
        workflow.id
        async for workflow in temporal.list_workflows(
            "GoldenTenant = 'default' AND GoldenState = 'accepted' AND GoldenVerdict = 'accepted'"
        )
    }
    assert f"task/{task_id}" in listed
    history = await temporal.get_workflow_handle(f"task/{task_id}").fetch_history()
    summaries = [
        await temporal.data_converter.decode([event.user_metadata.summary], [str])
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert ["developer, candidate 1"] in summaries
    metadata = await temporal.get_workflow_handle(f"task/{task_id}").query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    assert metadata.current_details == "Accepted."


async def test_a_task_whose_tests_never_pass_is_rejected_with_its_report(golden: Golden, provider: Provider) -> None:
    provider.script("never passes", Script(developer=[files(work=BAD), files(work=HALF), files(work=BAD)]))
    result = await golden.result(await golden.submit(spec("never passes", candidates=2, repair_rounds=1)))
    assert result["state"] == "rejected"
    assert result["reason"] == "no candidate passed the acceptance tests; the best passed 1 of 2"
    assert result["files"] == {"work.py": HALF}
    assert sorted(test["outcome"] for test in result["tests"]) == ["failed", "passed"]
    assert not provider.asked_about("never passes", lambda asked: asked.voting)


async def test_the_best_candidate_is_repaired_with_its_failing_output(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    provider.script("repaired", Script(developer=[files(work=HALF), files(work=HALF), files(work=GOOD)]))
    task_id = await golden.submit(spec("repaired", repair_rounds=3))
    result = await golden.result(task_id)
    assert result["state"] == "accepted"
    assert [fix["step"] for fix in result["fixes"]] == ["repair/2"]
    assert "1 of 2 passed before, 2 after" in result["fixes"][0]["sentence"]
    await record(temporal, f"task/{task_id}", "AgentTask-repaired")
    shown = provider.asked_about("repaired", lambda asked: asked.role == "developer")[1].prompt
    assert "test_it_doubles" in shown
    assert "assert 0 == 4" in shown
    assert HALF.strip() in shown.replace("   1 ", "").replace("   2 ", "")


async def test_one_developers_nonsense_is_one_lost_candidate(golden: Golden, provider: Provider) -> None:
    # Whichever of the two asks first gets the nonsense, and asks again for more of it.
    script = Script(developer=[files(work=GOOD), *["no json"] * 3])
    provider.script("one lost", script)
    result = await golden.result(await golden.submit(spec("one lost", candidates=2)))
    assert result["state"] == "accepted"
    assert result["tokens"]["developer"] == {"input": 400, "output": 80}


async def test_an_invalid_answer_is_asked_again_with_the_error_named(golden: Golden, provider: Provider) -> None:
    provider.script("asked again", Script(developer=[files(test_work="def test(): pass"), files(work=GOOD)]))
    result = await golden.result(await golden.submit(spec("asked again")))
    assert result["state"] == "accepted"
    again = provider.asked_about("asked again", lambda asked: asked.role == "developer")[1].prompt
    assert "test_work.py is an acceptance test: tests must not be changed" in again


async def test_a_voter_that_answers_nonsense_is_absent_and_the_vote_goes_on(golden: Golden, provider: Provider) -> None:
    provider.script("absent voter", Script(developer=[files(work=GOOD)], ballots={"reviewer": ["yes!"]}))
    result = await golden.result(await golden.submit(spec("absent voter")))
    assert result["state"] == "accepted"
    assert choices(result)["reviewer"] == "absent"


async def test_voters_who_show_a_fault_reject_what_passed_its_tests(golden: Golden, provider: Provider) -> None:
    rejecting = {voter: [ballot("reject", SHOWN)] for voter in VOTERS}
    provider.script("rejected by vote", Script(developer=[files(work=GOOD)], ballots=rejecting))
    result = await golden.result(await golden.submit(spec("rejected by vote")))
    assert (result["state"], result["consensus"]["outcome"]) == ("rejected", "rejected")
    assert result["reason"] == "rejected: 100% of the weight rejects, 50% are enough"


async def test_ballots_against_the_evidence_have_no_weight(golden: Golden, provider: Provider) -> None:
    lie = {"category": "tests", "severity": "high", "where": "", "evidence": ["tests"]}
    lying: dict[str, list[Any]] = {"reviewer": [ballot("reject", lie)], "security": [ballot("reject")]}
    provider.script("against the evidence", Script(developer=[files(work=GOOD)], ballots=lying))
    result = await golden.result(await golden.submit(spec("against the evidence")))
    assert result["state"] == "accepted"
    weights = {voter["role"]: voter["effective_weight"] for voter in result["consensus"]["voters"]}
    assert (weights["reviewer"], weights["security"]) == (0, 0)


async def test_a_provider_that_fails_for_a_while_costs_nothing_and_loses_nothing(
    golden: Golden, provider: Provider
) -> None:
    faults: list[Any] = [Fault(500), Fault(429, retry_after=1), files(work=GOOD)]
    provider.script("faults", Script(developer=faults))
    result = await golden.result(await golden.submit(spec("faults")))
    assert result["state"] == "accepted"
    assert result["tokens"]["developer"] == {"input": 100, "output": 20}


async def test_an_invalid_answer_with_what_no_database_holds_is_asked_again(golden: Golden, provider: Provider) -> None:
    key = '{"files": [{"path": "f.py", "content": 1, "\\u0000": 1}]}'
    provider.script("unstorable", Script(developer=["nonsense \u0000", key, files(work=GOOD)]))
    result = await golden.result(await golden.submit(spec("unstorable")))
    assert result["state"] == "accepted"
    assert result["tokens"]["developer"] == {"input": 300, "output": 60}


@pytest.mark.parametrize("usage", [(10**18, 10**18), (0, 0), (-5, -5)], ids=["absurd", "missing", "negative"])
async def test_a_usage_that_cannot_be_is_charged_as_reserved(
    golden: Golden, provider: Provider, usage: tuple[int, int]
) -> None:
    title = f"usage {usage[0]}"
    provider.script(title, Script(developer=[files(work=GOOD)], usage=usage))
    result = await golden.result(await golden.submit(spec(title)))
    assert result["state"] == "accepted"
    assert all(0 < used["input"] + used["output"] < 10_000 for used in result["tokens"].values())


async def test_a_provider_that_answers_without_an_answer_is_unavailable(golden: Golden, provider: Provider) -> None:
    provider.script("no choices", Script(developer=[Fault(200), files(work=GOOD)]))
    result = await golden.result(await golden.submit(spec("no choices")))
    assert result["state"] == "accepted"


async def test_the_story_is_told_in_order_and_ends_with_the_verdict(golden: Golden, provider: Provider) -> None:
    provider.script("story", Script(developer=[files(work=HALF), files(work=GOOD)]))
    task_id = await golden.submit(spec("story", candidates=2))
    await golden.final(task_id)
    async with golden.client("viewer") as client:
        text = (await client.get(f"/v1/tasks/{task_id}/events")).text
    lines = [line for line in text.splitlines() if line.startswith(("id:", "event:"))]
    sequences = [int(line.split(":")[1]) for line in lines if line.startswith("id:")]
    kinds = [line.split(":")[1].strip() for line in lines if line.startswith("event:")]
    assert sequences == list(range(1, len(sequences) + 1))
    assert kinds[-1] == "verdict"
    assert kinds.count("candidate") == 2
    assert kinds.count("ballot") == 4
    states = [state.value for state in TaskState if f'"state":"{state.value}"' in text.replace('": "', '":"')]
    assert states == ["submitted", "queued", "planning", "developing", "proving", "voting", "accepted"] or (
        states == ["submitted", "planning", "developing", "proving", "voting", "accepted"]
    )
