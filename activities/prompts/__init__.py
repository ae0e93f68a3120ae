"""The base prompts of the roles, as files, reviewed like code. What is learned is put on them in the database."""

from functools import cache
from importlib.resources import files

from schema.messages.steps import Asked
from schema.texts import digest_of


@cache
def base_prompt(role: Asked) -> str:
    """The text of a role's base prompt."""
    return (files(__package__) / f"{role}.md").read_text().strip()


def prompt_version(role: Asked) -> str:
    """What names the base prompt where no version does: the first 12 hexadecimal digits of its SHA-256."""
    return digest_of(base_prompt(role))[:12]
