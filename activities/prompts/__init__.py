"""The base prompts of the roles, as files, reviewed like code. A prompt's version is the hash of its text."""

from functools import cache
from importlib.resources import files

from schema.messages.steps import Role
from schema.texts import digest_of


@cache
def base_prompt(role: Role) -> str:
    """The text of a role's base prompt."""
    return (files(__package__) / f"{role}.md").read_text().strip()


def prompt_version(role: Role) -> str:
    """The first 12 hexadecimal digits of the prompt's SHA-256."""
    return digest_of(base_prompt(role))[:12]
