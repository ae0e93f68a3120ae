"""The commands about dead letters, against a gateway that answers from a script."""

import io
import json
import sys
from typing import Any, get_args

import pytest

from gateway.cli_dead_letters import Kind, State
from gateway.dead_letters import LetterState
from schema.messages.letters import LetterKind
from tests.support.scripted_gateway import AT, HOSTILE, TASK_ID, Golden, ScriptedGateway, problem
from tests.support.scripted_gateway import gateway as gateway
from tests.support.scripted_gateway import golden as golden

LETTER, OTHER = "01a20878-8a59-714e-a55c-d7849ff219ee", "01a20878-8a86-71b3-ada6-9a503a83b84b"
ROUTE = "/v1/dead-letters"
DONE = {"matched": 2, "per_minute": None, "last_at": AT}


def letter(state: str = "open", **more: Any) -> dict[str, Any]:
    """A letter as a list has it."""
    return {
        "id": LETTER,
        "task_id": TASK_ID,
        "tenant": "default",
        "step": "develop/2",
        "epoch": 1,
        "kind": "model",
        "cause": "ModelUnavailable",
        "attempts": 5,
        "state": state,
        "parked_at": AT,
        "age_seconds": 7_300,
        "decided_at": None if state == "open" else AT,
        "decided_by": None if state == "open" else "olga",
        "reason": None,
        **more,
    }


def view(state: str = "open", **more: Any) -> dict[str, Any]:
    """A letter as its own route has it."""
    links = {"self": f"{ROUTE}/{LETTER}", "task": f"/v1/tasks/{TASK_ID}", "temporal": "http://temporal/"}
    seen = {"input": {"plan": "abc"}, "route": None, "resume_at": None, "workflow_id": f"task/{TASK_ID}"}
    return letter(state, **seen, links=links, **more)


def asked(gateway: ScriptedGateway) -> list[tuple[str, Any]]:
    """What the gateway was asked, with the bodies."""
    return [(route, json.loads(body) if body else None) for route, _, body in gateway.asked]


class Terminal(io.StringIO):
    """A standard input at which somebody sits."""

    def isatty(self) -> bool:
        return True


def test_the_commands_know_the_kinds_and_states_of_the_api() -> None:
    assert {each.value for each in Kind} == set(get_args(LetterKind))
    assert {each.value for each in State} == set(get_args(LetterState))


class TestSeeing:
    def test_a_list_shows_age_cause_and_attempts(self, gateway: ScriptedGateway, golden: Golden) -> None:
        page = {"items": [letter(cause=HOSTILE), letter("redriven", age_seconds=59)], "next_cursor": LETTER}
        gateway.on(f"GET {ROUTE}?limit=50", (200, page))

        code, out, err = golden("dead-letters", "list")

        assert code == 0
        first, second = (row.split() for row in out.splitlines() if row.startswith(LETTER))
        assert first[:5] == [LETTER, "2h", "open", "model", "5"]
        assert second == [LETTER, "59s", "redriven", "model", "5", "ModelUnavailable", "develop/2", TASK_ID]
        assert not set(out) & {"\x1b", "\x07", "\u202e"}
        assert f"--cursor {LETTER}" in err

    def test_what_narrows_a_list_is_asked_of_the_gateway_and_json_is_its_answer(
        self, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        page = {"items": [letter()], "next_cursor": None}
        gateway.on(f"GET {ROUTE}?limit=5&state=open&kind=budget&task={TASK_ID}&cause=Spent", (200, page))

        narrowed = ("--state", "open", "--kind", "budget", "--task", TASK_ID, "--cause", "Spent", "--limit", "5")
        code, out, _ = golden("dead-letters", "list", *narrowed, "--json")

        assert (code, json.loads(out)) == (0, page)

    def test_one_is_shown_with_what_it_was_given(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(f"GET {ROUTE}/{LETTER}", (200, view("redriven", reason=HOSTILE)))

        code, out, _ = golden("dead-letters", "show", LETTER)
        _, as_json, _ = golden("dead-letters", "show", LETTER, "--json")

        assert code == 0
        for text in ("develop/2, epoch 1", "ModelUnavailable, after 5 attempts", '{"plan": "abc"}', "by olga", TASK_ID):
            assert text in out
        assert not set(out) & {"\x1b", "\x07", "\u202e"}
        assert json.loads(as_json) == view("redriven", reason=HOSTILE)

    def test_what_is_not_there_is_told_with_exit_code_2(self, gateway: ScriptedGateway, golden: Golden) -> None:
        code, _, err = golden("dead-letters", "show", "../tasks")

        assert (code, err) == (2, "golden: because\n")
        assert asked(gateway) == [(f"GET {ROUTE}/..%2Ftasks", None)]


class TestDeciding:
    def test_one_letter_is_redriven_by_its_own_route(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(f"POST {ROUTE}/{LETTER}/redrive", (200, view("redriven")))

        options = ("--route", "openai:gpt-5", "--route", "embedded", "--tokens", "500", "--reason", "back")
        code, out, _ = golden("dead-letters", "redrive", LETTER, *options)

        assert (code, out) == (0, f"{LETTER}: redriven\n")
        body = {"reason": "back", "route": ["openai:gpt-5", "embedded"], "top_up_tokens": 500}
        assert asked(gateway) == [(f"POST {ROUTE}/{LETTER}/redrive", body)]
        assert gateway.asked[0][1]["idempotency-key"]

    @pytest.mark.parametrize("act", ["redrive", "discard"])
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["--all"], {"filter": {}}),
            (["--kind", "price", "--cause", "X"], {"filter": {"kind": "price", "cause": "X"}}),
            (["--task", TASK_ID, "--per-minute", "7"], {"filter": {"task": TASK_ID}, "per_minute": 7}),
            ([LETTER, OTHER.upper(), LETTER], {"filter": {"ids": [LETTER, OTHER]}}),
        ],
    )
    def test_many_are_decided_on_by_one_request(
        self, act: str, options: list[str], expected: dict[str, Any], gateway: ScriptedGateway, golden: Golden
    ) -> None:
        gateway.on(f"POST {ROUTE}/{act}", (202, DONE))

        code, out, _ = golden("dead-letters", act, *options)

        assert (code, asked(gateway)) == (0, [(f"POST {ROUTE}/{act}", expected)])
        assert out.startswith("2 ")

    def test_a_pace_is_told_with_the_end_and_json_is_the_gateways(
        self, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        done = {"matched": 10_000, "per_minute": 60, "last_at": AT}
        gateway.on(f"POST {ROUTE}/redrive", (202, done))

        _, out, _ = golden("dead-letters", "redrive", "--all", "--per-minute", "60")
        _, as_json, _ = golden("dead-letters", "redrive", "--all", "--per-minute", "60", "--json")

        assert out.startswith("10,000 redriven, 60 a minute, the last at 2026-11-23 ")
        assert out.endswith("run it again\n")
        assert json.loads(as_json) == done

    def test_ids_that_were_decided_before_are_told_with_exit_code_3(
        self, gateway: ScriptedGateway, golden: Golden
    ) -> None:
        gateway.on(f"POST {ROUTE}/discard", (202, {**DONE, "matched": 1}))

        code, _, err = golden("dead-letters", "discard", LETTER, OTHER)

        assert (code, err) == (3, "golden: 1 of 2: the others were decided before\n")

    def test_a_refusal_has_exit_code_3(self, gateway: ScriptedGateway, golden: Golden) -> None:
        gateway.on(f"POST {ROUTE}/{LETTER}/discard", problem(409, "dead-letter-decided", state="redriven"))
        gateway.on(f"POST {ROUTE}/{LETTER}/redrive", problem(403, "forbidden"))

        assert [golden("dead-letters", act, LETTER)[0] for act in ("discard", "redrive")] == [3, 3]

    @pytest.mark.parametrize(
        "options",
        [
            ["redrive"],
            ["discard", "--yes"],
            ["redrive", "--all", "--kind", "model"],
            ["redrive", LETTER, "--all"],
            ["discard", LETTER, "--task", TASK_ID],
            ["redrive", "--all", "--tokens", "5"],
            ["redrive", LETTER, OTHER, "--tokens", "5"],
            ["redrive", LETTER, "--per-minute", "5", "--tokens", "5"],
            ["redrive", "--all", "--per-minute", "0"],
            ["redrive", "--kind", "weather"],
        ],
    )
    def test_an_unclear_selection_is_refused_and_nothing_asked(
        self, options: list[str], gateway: ScriptedGateway, golden: Golden
    ) -> None:
        code, _, err = golden("dead-letters", *options)

        assert (code, gateway.asked) == (2, [])
        assert err

    @pytest.mark.parametrize(("said", "more", "sent"), [("y\n", [], 1), ("n\n", [], 0), ("", ["--yes"], 1)])
    def test_a_discard_on_a_terminal_is_confirmed(
        self,
        said: str,
        more: list[str],
        sent: int,
        gateway: ScriptedGateway,
        golden: Golden,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        gateway.on(f"POST {ROUTE}/discard", (202, DONE))
        monkeypatch.setattr(sys, "stdin", Terminal(said))

        code, _, err = golden("dead-letters", "discard", "--kind", "model", *more)

        assert (code, len(gateway.asked)) == (1 - sent, sent)
        assert ("discard all open dead letters of kind model for good?" in err) == (not more)

    def test_a_redrive_on_a_terminal_is_not(
        self, gateway: ScriptedGateway, golden: Golden, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gateway.on(f"POST {ROUTE}/redrive", (202, DONE))
        monkeypatch.setattr(sys, "stdin", Terminal(""))

        assert golden("dead-letters", "redrive", "--all")[0] == 0
