"""`golden circuits` against a gateway that answers from a script."""

import json
from typing import Any

from tests.support.scripted_gateway import AT, HOSTILE, Golden, ScriptedGateway, problem
from tests.support.scripted_gateway import gateway as gateway
from tests.support.scripted_gateway import golden as golden

NAME = "openai:gpt-x@example.org"


def circuit(**changes: Any) -> dict[str, Any]:
    shown = {"circuit": NAME, "state": "open", "since": AT, "calls": 1_234, "failures": 5, "slow": 6}
    return {**shown, "opened_total": 7, "retry_at": AT, "worker": "host:1", **changes}


def page(*items: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": None}


def test_a_line_a_circuit(gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on("GET /v1/circuits?limit=50", (200, page(circuit(), circuit(retry_at=None, worker=None))))

    code, out, _ = golden("circuits")
    head, opened, bare = (line.split() for line in out.splitlines())

    assert (code, head) == (0, ["circuit", "state", "since", "calls", "failures", "slow", "opened", "until", "worker"])
    assert (opened[0], opened[1], opened[4:8], opened[-1]) == (NAME, "open", ["1,234", "5", "6", "7"], "host:1")
    assert bare[4:] == ["1,234", "5", "6", "7"]


def test_its_history_may_be_of_one_circuit(gateway: ScriptedGateway, golden: Golden) -> None:
    change = {"at": AT, "circuit": NAME, "from_state": "closed", "to_state": "open", "cause": "5 failures in a row"}
    route = "GET /v1/circuits/changes?limit=2&circuit=openai%3Agpt-x%40example.org"
    gateway.on(route, (200, page({**change, "worker": "host:1"})))

    code, out, _ = golden("circuits", "--history", "--circuit", NAME, "--limit", "2")

    assert code == 0
    assert out.splitlines()[1].split()[2:] == f"{NAME} closed open 5 failures in a row host:1".split()


def test_as_json_it_is_the_apis(gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on("GET /v1/circuits?limit=50", (200, page(circuit())))

    assert json.loads(golden("circuits", "--json")[1]) == page(circuit())


def test_nothing_in_a_name_reaches_the_terminal(gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on("GET /v1/circuits?limit=50", (200, page(circuit(circuit=HOSTILE, worker=HOSTILE))))

    out = golden("circuits")[1]

    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "[bold]not markup[/bold]" in " ".join(out.split())


def test_one_circuit_is_named_with_its_history_only(gateway: ScriptedGateway, golden: Golden) -> None:
    assert golden("circuits", "--circuit", NAME) == (2, "", "golden: --circuit: goes with --history\n")
    assert gateway.asked == []


def test_a_refusal_ends_it_with_3(gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on("GET /v1/circuits?limit=50", problem(403, "forbidden"))

    assert golden("circuits") == (3, "", "golden: No: because\n")
