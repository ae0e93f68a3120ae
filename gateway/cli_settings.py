"""The CLI's settings, read when a command needs them, with errors that name the variable."""

from pydantic import ValidationError

from gateway.client import CliError, ExitCode
from gateway.terminal import line
from schema.settings import Settings


def read_settings() -> Settings:
    """The settings of the environment."""
    try:
        return Settings()
    except ValidationError as error:
        told = (_describe(str(details["loc"][0]), details["msg"]) for details in error.errors(include_url=False))
        raise CliError("\n".join(told), ExitCode.USAGE) from None


def _describe(field: str, message: str) -> str:
    name = field.upper() if field.startswith("TEMPORAL_") else f"GOLDEN_{field.upper()}"
    return f"{line(name)}: {line(message)}"
