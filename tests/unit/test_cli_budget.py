"""`golden budget` against a gateway that answers from a script, over real HTTP."""

import json
from typing import Any

import jwt
import pytest

from tests.support.scripted_gateway import AT, HOSTILE, TASK_ID, Golden, ScriptedGateway, problem, task
from tests.support.scripted_gateway import gateway as gateway
from tests.support.scripted_gateway import golden as golden

BUDGET = {
    "tenant": "acme",
    "limit_tokens": 2_000_000,
    "spent_tokens": 1_234_567,
    "held_tokens": 20_000,
    "limit_micro_usd": None,
    "spent_micro_usd": 1_234_567_890,
    "held_micro_usd": 40,
    "slots": 8,
    "slots_used": 3,
}
ENTRY = {
    "id": 1_234,
    "at": AT,
    "account": "task",
    "task_id": TASK_ID,
    "step": "develop/1",
    "epoch": 0,
    "ask": 1,
    "dispatch": 1,
    "kind": "settle",
    "held_tokens": -12_000,
    "spent_tokens": 3_456,
    "held_micro_usd": -24_000,
    "spent_micro_usd": 6_912,
    "actor": None,
}
ROUTE = "/v1/budgets/acme"
KEY = "0" * 32
TOKEN = jwt.encode({"sub": "ann", "tenant": "acme"}, KEY)


@pytest.fixture(autouse=True)
def _token(gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLDEN_TOKEN", TOKEN)


def report(*findings: dict[str, Any], ok: bool = False) -> tuple[int, Any]:
    return 200, {"tenant": "acme", "ok": ok, "entries": 1_500, "findings": list(findings)}


class TestWhichTenant:
    def test_it_is_the_tokens_own(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(f"GET {ROUTE}", (200, BUDGET))

        assert golden("budget", "show")[0] == 0

    def test_or_the_one_that_is_named(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on("GET /v1/budgets/other", (200, {**BUDGET, "tenant": "other"}))

        assert golden("budget", "show", "other")[0] == 0
        assert gateway.asked[0][1]["golden-tenant"] == "other"

    def test_or_the_one_of_the_environment(
        self, gateway: ScriptedGateway, golden: Golden, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOLDEN_TENANT", "other")
        gateway.on("GET /v1/budgets/other", (200, {**BUDGET, "tenant": "other"}))

        assert golden("budget", "show")[0] == 0

    def test_an_identity_providers_token_says_it_in_its_own_claim(
        self, gateway: ScriptedGateway, golden: Golden, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOLDEN_TENANT_CLAIM", "org.name")
        monkeypatch.setenv("GOLDEN_TOKEN", jwt.encode({"sub": "ann", "org": {"name": "acme"}}, KEY))
        gateway.on(f"GET {ROUTE}", (200, BUDGET))

        assert golden("budget", "show")[0] == 0

    @pytest.mark.parametrize("claims", [{"tenant": "*"}, {"tenant": 5}, {"tenant": "../x"}, {}], ids=repr)
    def test_a_token_that_names_none_asks_for_it(
        self, claims: dict[str, Any], gateway: ScriptedGateway, golden: Golden, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOLDEN_TOKEN", jwt.encode(claims, KEY))
        code, _, told = golden("budget", "show")

        assert code == 2
        assert "name the TENANT, or set GOLDEN_TENANT" in told
        assert gateway.asked == []

    @pytest.mark.parametrize("name", ["*", "A", "a/b", "a b", "..", ""])
    def test_what_is_no_tenants_name_is_not_asked_for(
        self, name: str, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        assert golden("budget", "show", name)[0] == 2
        assert gateway.asked == []


class TestShow:
    def test_numbers_are_readable(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(f"GET {ROUTE}", (200, BUDGET))
        code, out, _ = golden("budget", "show")
        rows = [line.split() for line in out.splitlines()]

        assert code == 0
        assert rows[0] == ["tenant", "acme"]
        assert rows[2] == ["tokens", "2,000,000", "1,234,567", "20,000", "745,433"]
        assert rows[3] == ["dollars", "no", "limit", "$1,234.56789", "$0.00004"]
        assert rows[4] == ["slots", "8", "3", "5"]

    def test_a_limit_that_is_passed_leaves_nothing(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(f"GET {ROUTE}", (200, {**BUDGET, "limit_tokens": 5, "limit_micro_usd": 5}))
        _, out, _ = golden("budget", "show")

        assert [line.split()[-1] for line in out.splitlines()[2:4]] == ["0", "$0.00"]

    def test_json_is_that_of_the_api(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(f"GET {ROUTE}", (200, BUDGET))

        assert json.loads(golden("budget", "show", "--json")[1]) == BUDGET

    @pytest.mark.parametrize(
        ("reply", "code"), [(problem(403, "forbidden"), 3), (problem(404, "not-found"), 2), (problem(503, "x"), 4)]
    )
    def test_a_refusal_has_its_exit_code(self, reply: Any, code: int, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(f"GET {ROUTE}", reply)

        assert golden("budget", "show")[0] == code


class TestSet:
    @pytest.mark.parametrize(
        ("options", "body"),
        [
            (["--tokens", "5000"], {"limit_tokens": 5_000}),
            (["--tokens", "none"], {"limit_tokens": None}),
            (["--tokens", "0", "--micro-usd", "1"], {"limit_tokens": 0, "limit_micro_usd": 1}),
            (["--micro-usd", "none", "--slots", "4"], {"limit_micro_usd": None, "slots": 4}),
        ],
        ids=str,
    )
    def test_what_is_named_is_sent_and_nothing_else(
        self, options: list[str], body: dict[str, Any], gateway: ScriptedGateway, golden: Golden
    ) -> None:
        gateway.on(f"PUT {ROUTE}", (200, BUDGET))

        assert golden("budget", "set", *options)[0] == 0
        assert json.loads(gateway.asked[0][2]) == body

    @pytest.mark.parametrize("option", ["--tokens", "--micro-usd", "--slots"])
    @pytest.mark.parametrize(
        "value", ["-1", "1.5", "1e9", "ten", "", "9" * 5_000, "٣", "1_000", "null"], ids=lambda value: value[:9]
    )
    def test_what_is_no_number_is_refused_with_what_is(
        self, option: str, value: str, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        code, _, told = golden("budget", "set", option, value)

        assert code == 2
        assert f"{option}: must be a whole number" in told
        assert gateway.asked == []

    def test_slots_have_no_none(self, golden: Golden) -> None:
        assert golden("budget", "set", "--slots", "none")[0] == 2

    def test_nothing_to_set_is_told(self, gateway: ScriptedGateway, golden: Golden) -> None:
        code, _, told = golden("budget", "set")

        assert (code, told) == (2, "golden: say what to set: --tokens, --micro-usd or --slots\n")
        assert gateway.asked == []


class TestEntries:
    def test_a_line_says_what_changed(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(f"GET {ROUTE}/entries?limit=50", (200, {"items": [ENTRY], "next_cursor": None}))
        code, out, told = golden("budget", "entries")
        row = out.splitlines()[1].split()

        assert (code, told) == (0, "")
        assert row[0] == "1234"
        assert row[3:] == ["task", TASK_ID, "develop/1", "settle", "-12,000", "+3,456", "-$0.024", "+$0.006912"]

    def test_filters_are_sent_and_more_is_told(self, gateway: ScriptedGateway, golden: Golden) -> None:
        query = f"task={TASK_ID}&kind=settle&limit=2&cursor=99"
        gateway.on(f"GET {ROUTE}/entries?{query}", (200, {"items": [ENTRY], "next_cursor": 1_234}))
        options = ["--task", TASK_ID, "--kind", "settle", "--limit", "2", "--cursor", "99"]
        code, _, told = golden("budget", "entries", *options)

        assert (code, told) == (0, "there are more: --cursor 1234\n")

    def test_json_is_that_of_the_api(self, gateway: ScriptedGateway, golden: Golden) -> None:
        page = {"items": [ENTRY], "next_cursor": 7}
        gateway.on(f"GET {ROUTE}/entries?limit=50", (200, page))
        _, out, told = golden("budget", "entries", "--json")

        assert (json.loads(out), told) == (page, "")

    def test_a_terminal_obeys_nothing_in_it(self, gateway: ScriptedGateway, golden: Golden) -> None:
        hostile = {**ENTRY, "actor": HOSTILE, "step": HOSTILE}
        gateway.on(f"GET {ROUTE}/entries?limit=50", (200, {"items": [hostile], "next_cursor": None}))
        _, out, _ = golden("budget", "entries")

        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(out)


class TestCheck:
    def test_what_agrees_is_0(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(f"GET {ROUTE}/check", report(ok=True))

        assert golden("budget", "check")[:2] == (0, "acme: agrees, 1,500 entries\n")

    def test_findings_are_1_and_told(self, gateway: ScriptedGateway, golden: Golden) -> None:
        findings: list[dict[str, Any]] = [
            {"kind": "sum", "task_id": None, "message": "the account is off"},
            {"kind": "hold", "task_id": TASK_ID, "message": "the task has ended"},
        ]
        gateway.on(f"GET {ROUTE}/check", report(*findings))
        code, out, _ = golden("budget", "check")

        assert code == 1
        assert out.splitlines() == [
            "acme: DOES NOT AGREE, 1,500 entries",
            "  sum: the account is off",
            f"  hold: task {TASK_ID}: the task has ended",
        ]

    def test_an_overrun_is_told_and_0(self, gateway: ScriptedGateway, golden: Golden) -> None:
        overrun = {"kind": "overrun", "task_id": TASK_ID, "message": "calls used 5 tokens more"}
        gateway.on(f"GET {ROUTE}/check", report(overrun, ok=True))
        code, out, _ = golden("budget", "check")

        assert code == 0
        assert "overrun" in out

    @pytest.mark.parametrize("ok", [True, False])
    def test_json_has_the_same_exit_code(self, ok: bool, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(f"GET {ROUTE}/check", report(ok=ok))
        code, out, _ = golden("budget", "check", "--json")

        assert (code, json.loads(out)["ok"]) == (0 if ok else 1, ok)


class TestTopUp:
    ROUTE = f"POST /v1/tasks/{TASK_ID}/top-up"

    def test_it_says_how_much_more(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(self.ROUTE, (200, task("parked")))
        code, out, _ = golden("budget", "top-up", TASK_ID, "--tokens", "5000", "--micro-usd", "2500000")

        assert (code, out) == (0, f"task {TASK_ID}: 5,000 tokens and $2.50 more; it is parked\n")
        assert json.loads(gateway.asked[0][2]) == {"tokens": 5_000, "micro_usd": 2_500_000}

    def test_an_answer_that_got_lost_is_asked_for_under_the_same_key(
        self, gateway: ScriptedGateway, golden: Golden, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.client.time.sleep", lambda _seconds: None)
        gateway.on(self.ROUTE, problem(503, "database-unavailable"), (200, task()))
        code, _, _ = golden("budget", "top-up", TASK_ID, "--tokens", "5000")

        keys = [headers["idempotency-key"] for _, headers, _ in gateway.asked]
        assert code == 0
        assert len(keys) == 2
        assert keys[0] == keys[1] != ""

    def test_a_key_of_ones_own_is_sent(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(self.ROUTE, (200, task()))
        golden("budget", "top-up", TASK_ID, "--tokens", "1", "--key", "mine")

        assert gateway.asked[0][1]["idempotency-key"] == "mine"

    def test_json_is_that_of_the_api(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(self.ROUTE, (200, task()))

        assert json.loads(golden("budget", "top-up", TASK_ID, "--tokens", "1", "--json")[1]) == task()

    @pytest.mark.parametrize("name", ["budget-exhausted", "task-final"])
    def test_no_room_and_no_task_are_refusals(self, name: str, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(self.ROUTE, problem(409, name))
        code, _, told = golden("budget", "top-up", TASK_ID, "--tokens", "1")

        assert (code, told) == (3, "golden: No: because\n")

    @pytest.mark.parametrize("value", ["0", "-5", "1.5", "many", "9" * 5_000], ids=lambda value: value[:9])
    def test_what_is_no_amount_is_refused(self, value: str, gateway: ScriptedGateway, golden: Golden) -> None:
        code, _, told = golden("budget", "top-up", TASK_ID, "--tokens", value)

        assert code == 2
        assert "--tokens: must be a whole number" in told
        assert gateway.asked == []
