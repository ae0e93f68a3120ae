"""docs/learning.md tells the settings, the routes and the commands as they are."""

import re
from pathlib import Path

import typer.main

from gateway.cli import application
from gateway.routes import OPERATIONS
from schema.learning_settings import LearningSettings
from schema.recovery_settings import RecoverySettings

ROOT = Path(__file__).parents[2]
TOLD = (ROOT / "docs" / "learning.md").read_text()


def test_every_setting_stands_there_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `GOLDEN_(\w+)` \| `?([^ `|]+)`? \|", TOLD, re.MULTILINE))
    own = set(LearningSettings.model_fields) - set(RecoverySettings.model_fields)
    assert rows == {name.upper(): str(LearningSettings.model_fields[name].default) for name in own}


def test_every_route_of_learning_stands_there() -> None:
    said = re.sub(r"\{\w*id\}", "{id}", " ".join(TOLD.split())).replace("[?", " ").replace("approve|reject", "approve")
    for operation in OPERATIONS:
        if operation.path.startswith(("/v1/approvals", "/v1/proposals", "/v1/prompts", "/v1/governance/st")):
            path = re.sub(r"\{\w*id\}", "{id}", operation.path).replace("/reject", "/approve")
            assert f"{operation.method} {path}" in said, operation.path


def test_every_command_there_is_one() -> None:
    commands = typer.main.get_command(application())
    for group, name in re.findall(r"^ *golden (learn|approvals|prompts|governance) (\w+)", TOLD, re.MULTILINE):
        assert name in commands.commands[group].commands, name  # type: ignore[attr-defined]
