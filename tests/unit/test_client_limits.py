"""What the command line does where a limit refuses it: it says so and ends, or waits as long as it was told."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from gateway.cli_audit import _records
from gateway.cli_watch import follow
from gateway.client import CliError, ExitCode, GatewayClient
from schema.settings import Settings

LIMITED = {
    "type": "https://golden.invalid/problems/rate-limited",
    "title": "Too many requests came from there",
    "detail": "5 requests a minute are let in: try again in 12 s",
}
TASK = f"/v1/tasks/{uuid4()}"
VERDICT = b'id: 1\nevent: verdict\ndata: {"at": "2026-01-31T12:00:00Z", "state": "accepted", "summary": "x"}\n\n'

Answer = Callable[[httpx.Request], httpx.Response]
Made = Callable[..., GatewayClient]


def limited(seconds: str = "12") -> httpx.Response:
    return httpx.Response(429, json=LIMITED, headers={"Retry-After": seconds})


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it was waited, without waiting."""
    found: list[float] = []
    monkeypatch.setattr("gateway.client.time.sleep", found.append)
    return found


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """A client of a gateway that gives these answers."""
    opened: list[httpx.Client] = []
    connect = httpx.Client

    def make(*answers: httpx.Response, patient: bool = False) -> GatewayClient:
        given = iter(answers)
        transport = httpx.MockTransport(lambda _: next(given))
        monkeypatch.setattr(httpx, "Client", lambda **options: connect(**options, transport=transport))
        settings = Settings(home=tmp_path, token=SecretStr("token"))
        made = GatewayClient(settings, patient=patient)
        opened.append(made._http)
        return made

    yield make
    for each in opened:
        each.close()


def test_a_command_ends_with_3_and_says_when_to_come_back(made: Made, waited: list[float]) -> None:
    with pytest.raises(CliError, match="try again in 12 s") as refused:
        made(limited()).get("/v1/tasks")

    assert refused.value.code is ExitCode.REFUSED
    assert waited == []


def test_one_that_is_patient_waits_as_long_as_it_was_told_and_says_so(
    made: Made, waited: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    answer = made(limited("12"), limited("3"), httpx.Response(200, json={"a": 1}), patient=True).get("/v1/tasks")

    assert (answer, waited) == ({"a": 1}, [12, 3])
    assert capsys.readouterr().err.splitlines()[0].endswith("try again in 12 s: waiting")


@pytest.mark.parametrize("seconds", ["3600", "soon", ""])
def test_nobody_waits_for_ever_or_for_nothing(seconds: str, made: Made, waited: list[float]) -> None:
    with pytest.raises(CliError):
        made(limited(seconds), patient=True).get("/v1/tasks")

    assert waited == []


def test_a_watch_waits_and_goes_on_where_it_was(made: Made, waited: list[float]) -> None:
    stream = httpx.Response(200, content=VERDICT, headers={"Content-Type": "text/event-stream"})
    events = list(follow(made(limited(), stream, patient=True), TASK))

    assert [event.event for event in events] == ["verdict"]
    assert waited[0] == 12


def test_an_export_waits_between_its_pages(made: Made, waited: list[float]) -> None:
    pages = [{"items": [], "next_cursor": 5}, {"items": [], "next_cursor": None}]
    first, last = (httpx.Response(200, json=page) for page in pages)

    assert list(_records(made(first, limited(), last, patient=True), 0)) == []
    assert waited == [12]


def test_what_is_about_to_end_is_waited_for_as_a_limit_is(made: Made, waited: list[float]) -> None:
    problem = {"type": "https://golden.invalid/problems/tasks-open", "title": "Not yet", "detail": "2 are cancelled"}
    ending = httpx.Response(409, json=problem, headers={"Retry-After": "5"})

    answer = made(ending, httpx.Response(200, json={"tasks": 2}), patient=True).post("/v1/tenants/t/erasure", {})

    assert (answer, waited) == ({"tasks": 2}, [5])
