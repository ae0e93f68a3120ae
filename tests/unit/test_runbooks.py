"""Rules and pages in step: every alert has its page, every page its alert, and every command in them exists."""

import re
from typing import Any

import pytest
import typer

from deploy.alerts.rules import ALERTS
from gateway.cli import application
from tests.support.runbooks import HEADINGS, INDEX, WHERE, blocks, golden_commands, headings, pages

LONGEST = 90


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert set(pages()) == {alert.name for alert in ALERTS}


def test_the_index_has_every_alert_with_its_severities_and_meaning() -> None:
    wanted = []
    for name in dict.fromkeys(alert.name for alert in ALERTS):
        same = [alert for alert in ALERTS if alert.name == name]
        severities = ", ".join(dict.fromkeys(alert.severity for alert in same))
        wanted.append(f"| [{name}]({name}.md) | {severities} | {same[0].summary} |")
    assert re.findall(r"^\| \[Golden.*$", INDEX.read_text(), re.MULTILINE) == wanted


@pytest.mark.parametrize("name", pages())
def test_a_page_is_short_and_says_four_things_in_order(name: str) -> None:
    page = pages()[name]
    assert page.read_text().splitlines()[0] == f"# {name}"
    assert headings(page) == HEADINGS
    assert len(page.read_text().splitlines()) <= LONGEST
    assert {block.where for block in blocks(page)} <= set(WHERE)
    diagnosis = "\n".join(block.script for block in blocks(page, "sh") if block.section == "Diagnosis")
    assert "golden " in diagnosis, "it has a command of ours"
    links = re.findall(r"\]\((\w+)\.md\)", page.read_text())
    assert set(links) <= set(pages())


@pytest.mark.parametrize("name", pages())
def test_every_golden_command_of_a_page_is_one(name: str) -> None:
    for words in golden_commands(pages()[name]):
        problem = unknown(words)
        assert problem is None, f"{' '.join(words)}: {problem}"


def test_a_command_that_is_none_is_found() -> None:
    assert unknown(["golden", "dead-letter", "list"]) == "dead-letter"
    assert unknown(["golden", "dead-letters", "list", "--sate", "open"]) == "--sate"


def unknown(words: list[str]) -> str | None:
    """The first word of a command that `golden` doesn't know; nothing where it knows all."""
    command: Any = typer.main.get_command(application())
    rest = words[1:]
    while rest and hasattr(command, "commands"):
        found = command.commands.get(rest[0])
        if found is None:
            return rest[0]
        command, rest = found, rest[1:]
    options = {each for parameter in command.params for each in parameter.opts}
    return next((word for word in rest if word.startswith("--") and word.split("=")[0] not in options), None)
