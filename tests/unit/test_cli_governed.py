"""What the command line shows of policies, voters' records, fixes and follow-ups."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.voters import VoterPage, standings
from schema.messages.vote import VotePolicy, VoterRecord
from tests.support.scripted_gateway import AT, HOSTILE, TASK_ID, Golden, ScriptedGateway, task
from tests.support.scripted_gateway import gateway as gateway
from tests.support.scripted_gateway import golden as golden

POLICY = "/v1/policies/default"


@pytest.fixture
def tenant(monkeypatch: pytest.MonkeyPatch, gateway: ScriptedGateway) -> None:
    """The tenant that is meant; asked for after the gateway, which clears it."""
    monkeypatch.setenv("GOLDEN_TENANT", "default")


def policy(**said: Any) -> tuple[int, Any]:
    in_force = VotePolicy.model_validate({**dict(VotePolicy()), **said}).model_dump(mode="json")
    return 200, {"tenant": "default", "policy": said, "in_force": in_force, "updated_by": "ann", "updated_at": AT}


def sent(gateway: ScriptedGateway, route: str) -> list[Any]:
    """The bodies that a route was sent."""
    return [json.loads(body) for asked, _, body in gateway.asked if asked == route]


@pytest.mark.usefixtures("tenant")
class TestPolicy:
    def test_it_shows_what_is_the_tenants_own_word(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(f"GET {POLICY}", policy(quorum=3))

        code, out, _ = golden("policy", "show")
        rows = {words[0]: (words[1], words[-1]) for words in (line.split() for line in out.splitlines()) if words}

        assert (code, rows["quorum"], rows["rounds"]) == (0, ("3", "tenant"), ("2", "default"))
        assert "last set by ann" in out

    def test_options_change_what_they_name_and_leave_the_rest(self, gateway: ScriptedGateway, golden: Golden) -> None:
        said = {"quorum": 3, "rounds": 1, "guards": {"lint": "off"}}
        gateway.on(f"GET {POLICY}", policy(**said))
        gateway.on(f"PUT {POLICY}", policy(**said))
        options = ("--threshold", "0.7", "--no-veto", "--voter", "reviewer=6000", "--voter", "tester=4000")

        code, _, _ = golden("policy", "set", *options, "--guard", "secrets=on", "--unset", "rounds")

        (body,) = sent(gateway, f"PUT {POLICY}")
        assert code == 0
        assert body == {
            "quorum": 3,
            "guards": {"lint": "off", "secrets": "on"},
            "threshold": 0.7,
            "veto": False,
            "voters": {"reviewer": 6000, "tester": 4000},
        }

    def test_a_file_is_the_whole_policy(self, gateway: ScriptedGateway, golden: Golden, tmp_path: Path) -> None:
        (tmp_path / "policy.yaml").write_text("quorum: 2\nguards: {lint: off}\n")
        gateway.on(f"PUT {POLICY}", policy(quorum=2))

        assert golden("policy", "set", "--file", str(tmp_path / "policy.yaml"))[0] == 0
        assert sent(gateway, f"PUT {POLICY}") == [{"quorum": 2, "guards": {"lint": "off"}}]

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ((), "say what to set"),
            (("--voter", "reviewer"), "--voter reviewer: must be NAME=WEIGHT, such as reviewer=3000"),
            (("--guard", "lint.F401=high"), "rules of a guard are set with --file"),
            (("--voter", "reviewer=half"), "must be a whole number of basis points"),
            (("--unset", "quorums"), "--unset quorums: is no field of a policy"),
        ],
    )
    def test_what_cannot_be_meant_is_told_with_its_option(
        self, options: tuple[str, ...], told: str, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        gateway.on(f"GET {POLICY}", policy())

        code, _, err = golden("policy", "set", *options)

        assert (code, told in err) == (2, True)

    def test_a_file_that_is_no_policy_is_told_by_field(self, golden: Golden, tmp_path: Path) -> None:
        (tmp_path / "policy.json").write_text('{"quorum": 9}')

        code, _, err = golden("policy", "set", "--file", str(tmp_path / "policy.json"))

        assert (code, "quorum: must be at most 4" in err) == (2, True)


def record(voter: str, agreed: int, judged: int = 40) -> VoterRecord:
    return VoterRecord.model_validate({"voter": voter, "judged": judged, "agreed": agreed, "brier": 0.2})


def weights_shown(gateway: ScriptedGateway, golden: Golden, *records: VoterRecord) -> str:
    page = VoterPage(items=standings(VotePolicy(), {each.voter: each for each in records}))
    gateway.on("GET /v1/governance/voters", (200, page.model_dump(mode="json")))
    code, out, _ = golden("weights")
    assert code == 0
    return out


def test_weights_that_the_records_would_propose_stand_beside_those_in_force(
    gateway: ScriptedGateway, golden: Golden
) -> None:
    agreed = {"reviewer": 36, "security": 30, "tester": 38, "architect": 22}
    out = weights_shown(gateway, golden, *(record(voter, right) for voter, right in agreed.items()))
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}

    assert rows["architect"][1:6] == ["40", "22", "(55%)", "0.200", "20"]
    assert float(rows["tester"][7]) > 25 > float(rows["architect"][7])
    assert "Nothing changes by itself" in out


def test_weights_are_not_proposed_from_too_few_votes(gateway: ScriptedGateway, golden: Golden) -> None:
    out = weights_shown(gateway, golden, record("reviewer", 3, judged=4))

    assert "reviewer   4       3 (75%)  0.200  30 %    –" in out.splitlines()
    assert "Nothing is proposed: each voter needs 20 votes whose truth is known, and one has 0." in out


def finding(number: int, severity: str, **more: Any) -> dict[str, Any]:
    found = {"id": f"lint/{number}", "guard": "lint", "rule": f"F{number}", "severity": severity, "message": HOSTILE}
    return {**found, "file": "add.py", "line": number, **more}


MENDED = {
    "task_id": TASK_ID,
    "state": "accepted",
    "findings": [finding(7, "low"), finding(9, "high")],
    "fixes": [
        {
            "step": "mend/1",
            "kind": "deterministic",
            "sentence": "Removed two unused imports.",
            "diff": f"--- add.py\n+++ add.py\n-import os\n+{HOSTILE}\n",
            "findings": [finding(1, "low"), finding(2, "low")],
        },
        {"step": "repair/1", "kind": "model", "sentence": "Rewrote it.", "findings": [finding(3, "medium")]},
    ],
    "follow_ups": [
        {"title": "Mend F9", "finding": finding(9, "high")},
        {"title": "Mend F7", "finding": finding(7, "low"), "task_id": TASK_ID},
    ],
}


def test_result_tells_what_was_found_who_mended_it_and_what_is_left(gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on(f"GET /v1/tasks/{TASK_ID}/result", (200, MENDED))

    code, out, _ = golden("result", TASK_ID)
    lines = out.splitlines()

    assert code == 0
    assert "findings: 5 found, 2 fixed by tool, 1 fixed by model, 2 left" in lines
    assert "mend/1    tool   F1, F2  Removed two unused imports." in lines
    left = lines.index("left")
    assert [line.split()[:4] for line in lines[left + 2 : left + 4]] == [
        ["high", "lint", "F9", "add.py:9"],
        ["low", "lint", "F7", "add.py:7"],
    ]
    assert f"     submit it: golden follow-up {TASK_ID} 1" in lines
    assert f"     submitted: golden watch {TASK_ID}" in lines
    assert "-import os" not in lines
    assert not set(out) & {"\x1b", "\x07", "\r", "\u202e"}


def test_result_shows_what_each_fix_changed_where_asked(gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on(f"GET /v1/tasks/{TASK_ID}/result", (200, MENDED))

    _, out, _ = golden("result", TASK_ID, "--diff")

    assert "diff of mend/1\n--- add.py\n+++ add.py\n-import os\n" in out
    assert not set(out) & {"\x1b", "\x07", "\r", "\u202e"}


def test_findings_are_written_to_a_file_as_sarif(gateway: ScriptedGateway, golden: Golden, tmp_path: Path) -> None:
    gateway.on(f"GET /v1/tasks/{TASK_ID}/findings", (200, b"{}", "application/sarif+json"))

    code, out, _ = golden("result", TASK_ID, "--sarif", str(tmp_path / "left.sarif"))

    assert (code, out, (tmp_path / "left.sarif").read_text()) == (0, "", "{}")


def test_a_suggested_follow_up_is_submitted_by_its_number(gateway: ScriptedGateway, golden: Golden) -> None:
    route = f"POST /v1/tasks/{TASK_ID}/follow-ups"
    gateway.on(route, (202, task()))

    code, out, _ = golden("follow-up", TASK_ID, "2", "--tokens", "5000")

    assert (code, out.splitlines()[0]) == (0, f"task {TASK_ID}")
    assert sent(gateway, route) == [{"number": 2, "budget_tokens": 5000}]


def test_what_turned_out_is_told_with_its_source(gateway: ScriptedGateway, golden: Golden) -> None:
    route = f"POST /v1/tasks/{TASK_ID}/truth"
    gateway.on(route, (200, task("accepted")))

    code, out, _ = golden("truth", TASK_ID, "bad", "--source", "rollback", "--reason", "it broke the login")

    assert (code, out) == (0, f"task {TASK_ID}: bad recorded, by rollback\n")
    assert sent(gateway, route) == [{"source": "rollback", "good": False, "reason": "it broke the login"}]


def test_a_vote_among_tasks_says_that_it_is_one(gateway: ScriptedGateway, golden: Golden) -> None:
    page = {"items": [{**task(), "kind": "vote"}, task()], "next_cursor": None}
    gateway.on("GET /v1/tasks?limit=50", (200, page))

    lines = golden("tasks")[1].splitlines()

    assert [line.split("  ")[-1] for line in lines[1:]] == ["vote: Add", "Add"]
