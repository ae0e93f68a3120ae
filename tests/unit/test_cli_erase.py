"""`golden erase` against a gateway that answers from a script."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.ocsf import event_of
from schema.audit import ListedRecord
from tests.support.scripted_gateway import AT, HOSTILE, TASK_ID, Golden, ScriptedGateway, problem
from tests.support.scripted_gateway import gateway as gateway
from tests.support.scripted_gateway import golden as golden

OTHER = "01a20878-8a86-71b3-ada6-9a503a83b84b"
OF_TASK, OF_TENANT = f"POST /v1/tasks/{TASK_ID}/erasure", "POST /v1/tenants/acme/erasure"
WHY = ("--reason", "ticket 42")


def erasure(**more: Any) -> dict[str, Any]:
    """What the API answers."""
    view = {"tenant": "acme", "task_id": TASK_ID, "asked_by": "ann", "erased_at": AT, "tasks": 1, "texts": 12}
    return {**view, "shared": 0, "follow_ups": [], "completed_at": AT, **more}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_task_is_erased_with_the_reason_and_its_follow_ups_are_named(
    gateway: ScriptedGateway, golden: Golden
) -> None:
    gateway.on(OF_TASK, (200, erasure(shared=2, follow_ups=[OTHER], completed_at=None)))

    code, out, _ = golden("erase", "--task", TASK_ID, *WHY)

    assert (code, json.loads(gateway.asked[0][2])) == (0, {"reason": "ticket 42"})
    assert out.splitlines() == [
        f"task {TASK_ID} erased at {AT}: 12 texts, 2 kept that other tasks have too",
        "Temporal's histories go now; ask again to see when the last is gone",
        f"its follow-up {OTHER} stays: golden erase --task {OTHER}",
    ]


@pytest.mark.parametrize(
    "words", [[], ["--task", TASK_ID, "--tenant", "acme"], ["--task", TASK_ID, "--cancel"], ["--tenant", "acme"]]
)
def test_what_is_meant_and_why_is_to_be_said(words: list[str], gateway: ScriptedGateway, golden: Golden) -> None:
    reason = [] if words == ["--tenant", "acme"] else WHY
    assert (golden("erase", *words, *reason)[0], gateway.asked) == (2, [])


def test_on_a_terminal_it_says_what_goes_and_what_stays_and_asks(
    gateway: ScriptedGateway, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.on(OF_TASK, (200, erasure()))
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    refused = golden("erase", "--task", TASK_ID, *WHY)
    assert (refused[0], gateway.asked) == (1, [])
    assert [each in refused[2] for each in ("goes: texts", "stays: amounts", "backups")] == [True] * 3
    assert golden("erase", "--task", TASK_ID, *WHY, "--yes")[0] == 0


def test_a_tenant_is_erased_with_what_is_under_way_where_that_is_said(gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on(OF_TENANT, problem(409, "tasks-open"), (200, erasure(task_id=None, tasks=3)))

    refused = golden("erase", "--tenant", "acme", *WHY)
    code, out, _ = golden("erase", "--tenant", "acme", "--cancel", *WHY)

    assert (refused[0], code, out) == (3, 0, f"tenant acme: 3 tasks erased at {AT}: 12 texts\n")
    assert [json.loads(body)["cancel"] for _, _, body in gateway.asked] == [False, True]


def exported(folder: Path, *acts: tuple[str, str, str]) -> Path:
    """An export of the audit log: action, object and outcome of each record."""
    file = folder / "audit.jsonl"
    told = []
    for number, (action, named, outcome) in enumerate(acts, 1):
        chained = {"tenant": "acme", "sequence": number, "at": AT, "previous": "0" * 64, "hash": "1" * 64}
        record = {"actor": "ann", "action": action, "object": named, "outcome": outcome, **chained}
        told.append(json.dumps(event_of(ListedRecord.model_validate(record))))
    file.write_text("".join(f"{each}\n" for each in told))
    return file


def test_what_an_export_tells_of_is_erased_again_each_once(
    gateway: ScriptedGateway, golden: Golden, tmp_path: Path
) -> None:
    gone = ("tasks.erase", TASK_ID, "allowed")
    file = exported(
        tmp_path, gone, gone, ("tasks.erase", OTHER, "allowed"), ("tasks.show", OTHER, "allowed"),
        ("tenants.erase", "acme", "denied"), ("tenants.erase", "acme", "allowed"),
    )  # fmt: skip
    gateway.on(OF_TASK, (200, erasure()))
    gateway.on(f"POST /v1/tasks/{OTHER}/erasure", problem(404, "not-found"))
    gateway.on(OF_TENANT, (200, erasure(task_id=None)))

    code, out, _ = golden("erase", "--again", str(file), *WHY)

    assert (code, out) == (0, "2 erased again, 1 not in the book\n")
    assert [headers["golden-tenant"] for _, headers, _ in gateway.asked] == ["acme"] * 3


@pytest.mark.parametrize("text", ["no json", "{}", json.dumps({"api": {"operation": "tasks.erase"}})])
def test_a_file_that_is_no_export_is_refused(
    text: str, gateway: ScriptedGateway, golden: Golden, tmp_path: Path
) -> None:
    file = tmp_path / "other"
    file.write_text(f"{text}\n")

    code, _, err = golden("erase", "--again", str(file), *WHY)

    assert (code, gateway.asked) == (2, [])
    assert "line 1: is none of `golden audit export`" in err


def test_an_erased_task_is_told_in_one_line(gateway: ScriptedGateway, golden: Golden) -> None:
    gone = problem(410, "erased", detail=f"the task was erased at {AT}{HOSTILE}")
    gateway.on(f"GET /v1/tasks/{TASK_ID}/result", gone)

    code, _, err = golden("result", TASK_ID)

    assert (code, len(err.splitlines())) == (2, 1)
    assert err.startswith(f"golden: the task was erased at {AT}")
    assert "\x1b" not in err
