"""Findings, fixes and follow-ups, from submission to result, with the real parts."""

from typing import Any

from sqlalchemy import select
from temporalio.client import Client

from schema.database import Database
from schema.tables import audit_records, tasks
from tests.support.golden import Golden
from tests.support.histories import record
from tests.support.provider import Provider, Script, files
from tests.support.specs import GOOD, spec

UNTIDY = (
    "import os\n\n\ndef double(number, seen=[]):\n    try:\n        return number * 2\n    except:\n        return 0\n"
)
TIDY = """def double(number, seen=None):
    if seen is None:
        seen = []
    try:
        return number * 2
    except Exception:
        return 0
"""
UNREADABLE = f"Here is the code:\n\n```python\n{GOOD}```\nIt doubles a number.\n"
EVAL = "\n\ndef valued(text):\n    return eval(text)\n"
SECRET = "password = 'Tr0ub4" + "dor&3'\n\n\n"
UNMENDABLE = f"import pickle\n\n\n{GOOD}\n\ndef load(text):\n    return pickle.loads(text)\n"


def rules(findings: list[dict[str, Any]]) -> set[str]:
    return {finding["rule"] for finding in findings}


async def test_what_remedies_mend_is_proven_kept_shown_and_audited(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    provider.script("untidy", Script(developer=[files(work=UNTIDY)]))
    task_id = await golden.submit(spec("untidy", repair_rounds=1))
    result = await golden.result(task_id)

    assert result["state"] == "accepted"
    assert result["files"]["work.py"].strip() == TIDY.strip()
    assert result["findings"] == result["follow_ups"] == []
    (fix,) = result["fixes"]
    assert (fix["step"], fix["kind"]) == ("mend/1", "deterministic")
    assert rules(fix["findings"]) == {"F401", "B006", "E722"}
    assert "-import os\n" in fix["diff"]
    assert "+    except Exception:\n" in fix["diff"]
    assert "since all calls shared one object" in fix["sentence"]
    # No model was asked for it.
    assert result["tokens"]["developer"] == {"input": 100, "output": 20}
    await record(temporal, f"task/{task_id}", "AgentTask-mended")

    database = Database.from_settings(golden.settings)
    async with database.tenant("default") as connection:
        told = select(audit_records.c.reason).where(audit_records.c.object == f"{task_id}/mend/1")
        assert await connection.scalar(told) == fix["sentence"]
    await database.close()


async def test_a_candidate_that_python_can_not_read_is_mended_without_a_model(
    golden: Golden, provider: Provider
) -> None:
    provider.script("unreadable", Script(developer=[files(work=UNREADABLE)]))
    result = await golden.result(await golden.submit(spec("unreadable")))

    assert result["state"] == "accepted"
    assert result["files"] == {"work.py": GOOD}
    assert {"syntax-error", "test-error"} & rules(result["fixes"][0]["findings"])


async def test_a_fix_that_makes_something_worse_is_dropped_for_a_gentler_one(
    golden: Golden, provider: Provider
) -> None:
    shared = "import os\n\n\ndef double(number, seen=[]):\n    seen.append(1)\n    return number * 2, len(seen)\n"
    counts = "    assert double(1) == (2, 1)\n    assert double(1) == (2, 2)\n"
    tests = f"from work import double\n\n\ndef test_it_counts():\n{counts}"
    provider.script("counts calls", Script(developer=[files(work=shared)]))
    result = await golden.result(await golden.submit(spec("counts calls", tests={"test_work.py": tests})))

    assert result["state"] == "accepted"
    assert result["files"]["work.py"].strip() == shared.removeprefix("import os").strip()
    assert [fix["step"] for fix in result["fixes"]] == ["mend/2"]
    assert rules(result["findings"]) == {"B006"}


async def test_what_only_a_model_can_mend_is_shown_to_it_with_its_code(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    provider.script("unpickles", Script(developer=[files(work=UNMENDABLE), files(work=GOOD)]))
    task_id = await golden.submit(spec("unpickles", repair_rounds=2))
    result = await golden.result(task_id)

    assert result["state"] == "accepted"
    assert result["files"] == {"work.py": GOOD}
    assert [(fix["step"], fix["kind"]) for fix in result["fixes"]] == [("repair/1", "model")]
    shown = provider.asked_about("unpickles", lambda asked: asked.role == "developer")[1].prompt
    assert "B301" in shown
    assert "return pickle.loads(text)" in shown
    await record(temporal, f"task/{task_id}", "AgentTask-mended-by-model")


async def test_secrets_are_never_mended_only_told_and_suggested(golden: Golden, provider: Provider) -> None:
    provider.script("secret", Script(developer=[files(work=SECRET + GOOD)]))
    result = await golden.result(await golden.submit(spec("secret", repair_rounds=2)))

    assert result["files"] == {"work.py": SECRET + GOOD}
    assert rules(result["findings"]) == {"password-literal"}
    (suggested,) = result["follow_ups"]
    assert suggested["title"] == "Follow-up: secrets password-literal in work.py, line 1"
    assert suggested["task_id"] is None
    assert "Tr0ub4" not in str(suggested)


async def test_a_follow_up_is_a_task_of_its_own_out_of_its_parents_budget(golden: Golden, provider: Provider) -> None:
    provider.script("parent", Script(developer=[files(work=GOOD + EVAL)]))
    provider.script("Follow-up: security B307", Script(developer=[files(work=GOOD)]))
    policy = {"tools": True, "model": False, "follow_up": "create"}
    parent_id = await golden.submit(spec("parent", budget_tokens=20_000, auto_fix=policy))
    result = await golden.result(parent_id)
    (created,) = result["follow_ups"]
    child = await golden.result(created["task_id"])

    assert (result["state"], child["state"]) == ("accepted", "accepted")
    assert child["files"] == {"work.py": GOOD}
    assert child["follow_ups"] == []
    database = Database.from_settings(golden.settings)
    async with database.tenant("default") as connection:
        rows = {
            str(row.task_id): row for row in await connection.execute(select(tasks).where(tasks.c.parent.is_not(None)))
        }
        parent = (await connection.execute(select(tasks).where(tasks.c.task_id == parent_id))).one()
    await database.close()
    assert str(rows[created["task_id"]].parent) == parent_id
    assert parent.spent_tokens + rows[created["task_id"]].budget_tokens == parent.budget_tokens
