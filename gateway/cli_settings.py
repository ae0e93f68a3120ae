"""The CLI's settings, read when a command needs them, with errors that name the variable."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.client import CliError, ExitCode
from gateway.terminal import line
from schema.settings import Settings


def read_settings() -> Settings:
    """The settings of the environment."""
    try:
        return Settings()
    except ValidationError as error:
        told = (_describe(details) for details in error.errors(include_url=False))
        raise CliError("\n".join(told), ExitCode.USAGE) from None


def _describe(details: ErrorDetails) -> str:
    field, *inner = map(str, details["loc"])
    name = field.upper() if field.startswith("TEMPORAL_") else f"GOLDEN_{field.upper()}"
    # Which of the pairs it is: the bounds of all of them are the same.
    role = f"{inner[0]}: " if field == "rate_limits" and inner else ""
    return f"{line(name)}: {line(role + details['msg'].removeprefix('Value error, '))}"
