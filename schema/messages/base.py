"""The base of all messages, and the types of field that several of them share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError

from schema.paths import check_workspace_path


class Message(BaseModel):
    """Immutable; refuses unknown fields, so that a misspelt one is an error and not a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


WorkspacePath = Annotated[str, AfterValidator(check_workspace_path)]
"""A relative path with forward slashes that stays in the workspace on every platform."""

Tenant = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""A tenant's name: lower-case letters, digits and hyphens, at most 63."""

TextRef = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a text in the tenant's text store, hexadecimal. Large texts travel by reference."""


def field_fault(field: str, message: str) -> PydanticCustomError:
    """What a check of a whole message raises, so that its error still names the field to mend."""
    return PydanticCustomError("field_fault", "{message}", {"field": field, "message": message})
