"""The table of the kinds of steps, and that `docs/reliability.md` tells it as it is."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from schema import errors
from workflows.kinds import AWAY, KINDS, Kind
from workflows.parking import LETTER_KINDS

DOCS = Path(__file__).parents[2] / "docs" / "reliability.md"


def seconds(time: timedelta | None) -> str:
    return "–" if time is None else f"{time.total_seconds():g} s"


def row(name: str, kind: Kind) -> str:
    waits = ", ".join(f"`{error}`" for error in sorted(kind.waits_for)) or "–"
    attempts = str(kind.attempts or "no limit")
    return (
        f"| {name} | {attempts} | {seconds(kind.first_delay)} to {seconds(kind.longest_delay)} "
        f"| {seconds(kind.start_to_close)} | {seconds(kind.heartbeat)} | {waits} |"
    )


@pytest.mark.parametrize("name", KINDS)
def test_the_page_tells_each_kind_of_step_as_it_is(name: str) -> None:
    assert row(name, KINDS[name]) in DOCS.read_text()


def test_the_page_tells_which_error_becomes_which_kind_of_letter() -> None:
    text = DOCS.read_text()
    for error, kind in LETTER_KINDS.items():
        assert re.search(rf"\| `{kind}` \|[^\n]*`{error}`", text), (error, kind)


def test_what_is_waited_for_is_an_error_that_there_is() -> None:
    known = {error.type for error in errors.GoldenError.__subclasses__()[0].__subclasses__()}
    for kind in KINDS.values():
        assert kind.waits_for - AWAY <= known


@pytest.mark.parametrize("name", ["model", "sandbox"])
def test_a_step_that_can_kill_its_worker_has_five_attempts_and_a_heartbeat(name: str) -> None:
    kind = KINDS[name]
    assert (kind.attempts, kind.heartbeat is not None) == (5, True)
