"""What the command line shows of proposals, prompts and limits, and what it sends."""

import json
from typing import Any
from uuid import UUID

import pytest
from rich.cells import cell_len

from activities.evaluation_stats import report_of
from schema.messages.learning import EvaluationReport, Pattern, PromptEvidence
from tests.support.scripted_gateway import AT, HOSTILE, Golden, ScriptedGateway, problem
from tests.support.scripted_gateway import gateway as gateway
from tests.support.scripted_gateway import golden as golden

UPDATE = "01a209e8-4380-723d-9ee8-4b819bb2d7fa"
OLD, NEW = "78e83f2b-5bdc-43d7-a622-90c5f2475aa9", "78e83fff-d5b1-4e0a-8d3f-2ac0ee4bd0b5"
DIGEST = "9f" * 32
ROUTE = f"/v1/approvals/{UPDATE}"
PROMPT = "/v1/prompts/developer"
WORDS = "Check that a divisor is not zero before you divide by it, and raise a ValueError that names the argument."
PATTERN = Pattern(
    rule="tests/ZeroDivisionError", role="developer", tasks=40, failing=9, base_rate=0.05, p_value=0.000_12,
    q_value=0.002, window_days=14,
)  # fmt: skip
REPORT = EvaluationReport(
    pairs=40, tasks=20, better=9, worse=1, old=24, new=32, p_value=0.0215, p_tasks=0.03, difference=0.2,
    interval=(0.05, 0.35), margin=0.05, verdict="better", why="p is below 0.05 and nothing speaks for worse",
)  # fmt: skip
ON_YES = (
    "20 % of the new tasks get the new version and are compared with the others: without harm it is adopted, with harm "
    "rolled back by itself. It is update 2 of 5 in 24 hours; the next is allowed 2 hours later."
)


def proposal(state: str = "pending", **changes: Any) -> dict[str, Any]:
    evidence = PromptEvidence(pattern=PATTERN).model_dump(mode="json")
    told = {
        "id": UPDATE, "tenant": "default", "kind": "prompt", "role": "developer", "state": state,
        "diff": {"op": "add", "before": None, "after": WORDS}, "evidence": [evidence],
        "evaluation": REPORT.model_dump(mode="json"), "proposer": "supervisor", "digest": DIGEST, "proposed_at": AT,
        "expires_at": AT, "decided_at": None, "decided_by": None, "reason": None, "on_yes": ON_YES,
    }  # fmt: skip
    return {**told, **changes}


def version(of: str, **changes: Any) -> dict[str, Any]:
    told = {
        "id": of, "tenant": "default", "role": "developer", "kind": "update", "base": DIGEST, "digest": DIGEST,
        "guidelines": 1, "parent": None, "update_id": UPDATE, "proposer": "ann", "approver": "bob", "at": AT,
    }  # fmt: skip
    return {**told, **changes}


def prompt(**changes: Any) -> dict[str, Any]:
    move = {
        "number": 7, "at": AT, "tenant": "default", "kind": "rolled_back", "from_version": NEW, "to_version": OLD,
        "update_id": None, "actor": "olga", "reason": HOSTILE, "cooldown": True,
    }  # fmt: skip
    told = {
        "tenant": "default", "role": "developer", "active": NEW, "previous": OLD, "canary": None, "base": DIGEST,
        "digest": DIGEST, "guidelines": [{"number": 1, "id": UPDATE, "text": WORDS}],
        "items": [version(NEW), version(OLD)], "next_cursor": None, "moves": [move], "next_move": None,
    }  # fmt: skip
    return {**told, **changes}


def sent(gateway: ScriptedGateway, route: str) -> list[Any]:
    """The bodies that a route was sent."""
    return [json.loads(body) for asked, _, body in gateway.asked if asked == route]


class TestTheScreen:
    def test_a_usual_proposal_fits_on_one_screen_with_all_its_numbers(
        self, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        gateway.on(f"GET {ROUTE}", (200, proposal()))

        code, out, _ = golden("approvals", "show", UPDATE)
        lines = out.splitlines()
        said = " ".join(out.split())

        assert (code, len(lines) <= 24, max(map(len, lines)) <= 80) == (0, True, True), out
        for told in (
            f"+ {WORDS}",
            "tests/ZeroDivisionError failed in 9 of 40 tasks of 14 days; by chance it would in 5.0% (p 1e-04, q 0.002",
            "40 pairs of runs on 20 past tasks: 9 did well only with the change, 1 only without it; 32 with it in all",
            "McNemar's exact p 0.021, by task 0.030; difference +20.0 points, 95 % interval +5.0 to +35.0",
            "better: p is below 0.05 and nothing speaks for worse",
            ON_YES,
            "by supervisor",
        ):
            assert told in said
        for act in ("approve", "reject"):
            at = lines.index(f'golden approvals {act} {UPDATE} --reason "…" \\')
            assert lines[at + 1] == f"  --digest {DIGEST}"

    def test_nothing_of_a_long_one_is_cut_and_nothing_in_it_is_obeyed(
        self, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        said = PromptEvidence(said=HOSTILE + "ø" * 300).model_dump(mode="json")
        diff = {"op": "change", "before": "ж" * 300, "after": "語" * 150}
        gateway.on(f"GET {ROUTE}", (200, proposal(diff=diff, evidence=[said], evaluation=None)))

        out = golden("approvals", "show", UPDATE)[1]

        assert [out.count(each) for each in "øж語"] == [300, 300, 150]
        assert not set(out) & {"\x1b", "\x07", "\r", "\u202e"}
        assert max(map(cell_len, out.splitlines())) <= 80

    def test_a_trial_under_way_shows_both_its_arms_and_asks_for_nothing(
        self, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        canary = {"share": 20, "new": {"done": 10, "failed": 1}, "old": {"done": 44, "failed": 6}}
        gateway.on(f"GET {ROUTE}", (200, proposal("canary", canary=canary, on_yes=None, decided_by="bob")))

        said = " ".join(golden("approvals", "show", UPDATE)[1].split())

        trial = "20 % of the new tasks: the role's first step failed in 1 of 10 with the change, in 6 of 44 without it"
        assert trial in said
        assert "golden approvals" not in said

    def test_numbers_of_nothing_are_not_shown_and_nothing_is_said_twice(
        self, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        empty = report_of(UUID(UPDATE), (), margin=0.05, min_tasks=8, remark="no past task has ended")
        why = f"unclear: {empty.why}"
        told = proposal("rejected", evaluation=empty.model_dump(mode="json"), decided_by="golden", reason=why)
        gateway.on(f"GET {ROUTE}", (200, told))

        said = golden("approvals", "show", UPDATE)[1]

        assert said.count("nothing could be compared; no past task has ended") == 1
        assert "McNemar" not in said

    def test_the_list_says_whose_work_by_whom_and_what_each_waits_for(
        self, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        waiting = {"waits_for": "5 of 5 updates in 24 hours", "not_before": AT}
        items = [proposal(approvals=1, quorum=2), proposal("waiting", **waiting), proposal("evaluating")]
        gateway.on("GET /v1/approvals?limit=50", (200, {"items": items, "next_cursor": None}))

        rows = golden("approvals", "list")[1].splitlines()[1:]

        assert [row.split()[1:4] for row in rows] == [
            [state, "developer", "supervisor"] for state in ("pending", "waiting", "evaluating")
        ]
        assert "people, 1 of 2" in rows[0]
        assert "5 of 5 updates in 24 hours, not before" in rows[1]

    def test_one_approval_of_two_says_that_it_waits_for_the_other(
        self, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        gateway.on(f"POST {ROUTE}/approve", (200, proposal(approvals=1, quorum=2)))

        out = golden("approvals", "approve", UPDATE, "--reason", "fine", "--digest", DIGEST)[1]

        assert out.startswith("your approval counts, 1 of 2")


class TestProposing:
    @pytest.mark.parametrize(
        ("options", "body"),
        [
            (("--add", WORDS, "--reason", "twice"), {"add": WORDS, "reason": "twice"}),
            (("--change", "2", "--to", WORDS), {"change": {"from": 2, "to": WORDS}}),
            (("--remove", "Close files."), {"remove": "Close files."}),
        ],
    )
    def test_a_change_is_sent_as_it_is_said(
        self, options: tuple[str, ...], body: dict[str, Any], gateway: ScriptedGateway, golden: Golden
    ) -> None:
        gateway.on("POST /v1/proposals", (202, proposal("proposed")))

        code, out, _ = golden("learn", "propose", "--role", "developer", *options)

        assert sent(gateway, "POST /v1/proposals") == [{"kind": "prompt", "role": "developer", **body}]
        assert (code, out.splitlines()[0]) == (0, f"proposal {UPDATE}")

    @pytest.mark.parametrize("options", [(), ("--add", "a", "--remove", "1"), ("--change", "1"), ("--to", "a")])
    def test_half_a_change_or_two_are_not_sent(
        self, options: tuple[str, ...], gateway: ScriptedGateway, golden: Golden
    ) -> None:
        assert golden("learn", "propose", "--role", "developer", *options)[0] == 2
        assert not gateway.asked


class TestPrompts:
    def test_a_rollback_without_a_version_goes_to_the_one_before(
        self, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        gateway.on(f"GET {PROMPT}?limit=1", (200, prompt()))
        gateway.on(f"POST {PROMPT}/rollback", (200, prompt(active=OLD)))

        code, out, _ = golden("prompts", "rollback", "developer", "--reason", "worse")

        assert sent(gateway, f"POST {PROMPT}/rollback") == [{"version": OLD, "reason": "worse"}]
        assert (code, OLD in out) == (0, True)

    @pytest.mark.parametrize(
        ("prefix", "told"), [("78e83", "first 6"), ("78e83f", "2 versions"), ("aaaaaa", "no version")]
    )
    def test_a_version_is_named_by_what_it_alone_begins_with(
        self, prefix: str, told: str, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        gateway.on(f"GET {PROMPT}?limit=100", (200, prompt()))
        gateway.on(f"POST {PROMPT}/rollback", (200, prompt()))

        code, _, err = golden("prompts", "rollback", "developer", prefix, "--reason", "worse")
        assert (code, told in err) == (2, True)
        assert golden("prompts", "rollback", "developer", NEW[:8], "--reason", "worse")[0] == 0
        assert sent(gateway, f"POST {PROMPT}/rollback")[-1]["version"] == NEW

    def test_show_counts_the_guidelines_as_a_proposal_names_them(
        self, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        gateway.on(f"GET {PROMPT}?limit=1", (200, prompt()))

        assert f" 1  {WORDS}" in golden("prompts", "show", "developer")[1].splitlines()

    def test_the_newest_change_is_compared_where_none_is_named(self, gateway: ScriptedGateway, golden: Golden) -> None:
        difference = {"against": OLD, "added": [WORDS], "removed": ["Close files."], "base_changed": True}
        whole = {"base_text": "You.", "learned": [], "text": "You.", "difference": difference}
        gateway.on(f"GET {PROMPT}?limit=1", (200, prompt()))
        gateway.on(f"GET {PROMPT}/versions/{NEW}?against={OLD}", (200, {**version(NEW), **whole}))

        lines = golden("prompts", "diff", "developer")[1].splitlines()

        assert lines[:2] == [f"--- {OLD}", f"+++ {NEW}"]
        assert lines[3:] == ["- Close files.", f"+ {WORDS}"]

    def test_the_log_obeys_nothing_that_stands_in_it(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(f"GET {PROMPT}?limit=50", (200, prompt()))

        out = golden("prompts", "log", "developer")[1]

        assert "rolled back" in out
        assert not set(out) & {"\x1b", "\x07", "\r", "\u202e"}


class TestGovernance:
    STATUS = {
        "at": AT,
        "items": [
            {
                "tenant": "default", "role": "security", "max_per_day": 1, "cooldown_hours": 24, "approval": "human",
                "quorum": 2, "used_today": 1, "allowed": False, "reasons": ["1 of 1 updates in 24 hours"],
                "next_allowed_at": AT, "pending": 0, "waiting": 1, "active_version": NEW, "canary_version": None,
                "canary_share": 20,
            }
        ],
        "queue": [
            {
                "id": UPDATE, "role": "security", "state": "waiting", "proposer": "ann", "proposed_at": AT,
                "not_before": AT, "waits_for": "1 of 1 updates in 24 hours", "expires_at": None, "escalated_at": None,
            }
        ],
    }  # fmt: skip

    def test_the_limits_and_what_waits_for_them(self, gateway: ScriptedGateway, golden: Golden) -> None:
        route = "GET /v1/governance/status?at=2026-12-24T18%3A00%3A00%2B00%3A00"
        gateway.on(route, (200, self.STATUS))

        code, out, _ = golden("governance", "status", "--at", "2026-12-24T18:00:00Z")

        assert (code, "1 of 1" in out, "human, 2 of them" in out, UPDATE in out) == (0, True, True, True)

    def test_a_time_that_is_none_is_not_asked_about(self, gateway: ScriptedGateway, golden: Golden) -> None:
        assert golden("governance", "status", "--at", "soon")[0] == 2
        assert not gateway.asked

    def test_a_refusal_is_told_with_its_remedy(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(f"POST {ROUTE}/approve", problem(409, "learning-not-allowed-now", next_allowed_at=AT))

        code, _, err = golden("approvals", "approve", UPDATE, "--reason", "fine", "--digest", DIGEST)

        assert (code, err) == (3, "golden: No: because\n")
