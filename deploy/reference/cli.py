"""The commands of `golden`, from the application itself."""

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from deploy.reference.markdown import code, head, table
from gateway.cli import application
from gateway.client import ExitCode

ABOUT = """Every command, its arguments and its options; `golden COMMAND --help` says the same. Those that ask the
gateway take `--json` and answer with the API's own shapes."""

# typer brings its own copy of click, whose types have no public name.
Command = Any
Parameter = Any


def page() -> str:
    """Every command, then the exit codes."""
    parts = [head("Command line", ABOUT)]
    parts += [_section(name, command) for name, command in commands()]
    codes = [(str(int(each)), each.name.lower().replace("_", " ")) for each in ExitCode]
    return "\n".join([*parts, f"## Exit codes\n\n{table(('code', ''), codes)}"])


def commands() -> Iterator[tuple[str, Command]]:
    """Every command that does something, with its whole name."""
    return _below("golden", get_command(application()))


def _below(name: str, command: Command) -> Iterator[tuple[str, Command]]:
    below: dict[str, Command] = getattr(command, "commands", {})
    if not below or command.invoke_without_command:
        yield name, command
    for each in sorted(below):
        yield from _below(f"{name} {each}", below[each])


def _section(name: str, command: Command) -> str:
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    arguments = [_name(each) for each in shown if each.param_type_name == "argument"]
    usage = " ".join([name, *arguments, *(["[OPTIONS]"] if len(arguments) < len(shown) else [])])
    rows = table(("", "", "default"), map(_row, shown)) if shown else ""
    return f"## `{usage}`\n\n{(command.help or '').strip()}\n" + (f"\n{rows}" if rows else "")


def _row(parameter: Parameter) -> tuple[str, str, str]:
    option = parameter.param_type_name == "option"
    names = ", ".join([*parameter.opts, *parameter.secondary_opts]) if option else _name(parameter)
    default = parameter.default
    told = not (default is None or callable(default) or default in (False, ()))
    return code(names), parameter.help or "", code(str(getattr(default, "value", default))) if told else ""


def _name(argument: Parameter) -> str:
    return str(argument.metavar or argument.name.upper())
