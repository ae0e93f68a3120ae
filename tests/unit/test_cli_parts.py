"""The table of the commands: by it only the module of the command that is asked for is imported."""

import subprocess
import sys
from importlib import import_module

import pytest
import typer
from typer.main import get_group
from typer.testing import CliRunner

from gateway.cli import PARTS, application


@pytest.mark.parametrize("module", PARTS)
def test_a_module_registers_exactly_the_commands_that_the_table_names(module: str) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    import_module(module).register(app)
    assert sorted(get_group(app).commands) == sorted(PARTS[module])


def test_no_command_is_in_two_modules() -> None:
    named = [command for commands in PARTS.values() for command in commands]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("command", [command for commands in PARTS.values() for command in commands])
def test_a_command_by_itself_is_what_it_is_among_all(command: str) -> None:
    assert help_of(application(command), command) == help_of(application(), command)


def help_of(app: typer.Typer, command: str) -> str:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    return result.output


def test_what_no_module_has_is_asked_of_all_of_them() -> None:
    assert sorted(get_group(application("no-such")).commands) == sorted(get_group(application()).commands)


def test_a_command_of_the_clients_starts_without_the_stack_or_the_drills() -> None:
    script = (
        "import sys; from gateway.cli import application; application('tasks'); "
        "print([name for name in sys.modules if name.startswith(('deploy.local', 'deploy.prove', 'deploy.recovery'))])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"
