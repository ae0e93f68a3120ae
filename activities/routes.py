"""Which models answer for which role, as `GOLDEN_MODELS` says: routes, prices, keys."""

import os
import re
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError, field_validator

from activities.prices import Price, listed_cost, said_cost
from schema.errors import SettingsError
from schema.settings import Settings

EMBEDDED = "embedded"
EMBEDDED_NAME = "smollm2-135m"


class ModelTarget(BaseModel):
    """One model of a route.

    Attributes:
        model: `PROVIDER:NAME` as pydantic-ai names it, or `embedded`.
        lean: for models too small for the usual briefs and answers: the developer answers in plain code instead of
            code inside JSON, the others in the shortest form of their schema.
        drafts: of a lean model behind llama.cpp's server: it goes on with an answer that is begun for it, held to a
            grammar. A function to complete is then put to it so.
        max_tokens: the most that one answer may have.
        at_once: so many calls a worker has under way; the others wait their turn, which takes nothing of their time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    base_url: str | None = None
    api_key: SecretStr | None = None
    api_key_file: Path | None = None
    api_key_env: str | None = None
    price: Price | None = None
    lean: bool = False
    drafts: bool = False
    max_tokens: int = Field(default=4_096, ge=16, le=128_000)
    at_once: int = Field(default=64, ge=1, le=1_000)

    @field_validator("model")
    @classmethod
    def _has_provider(cls, model: str) -> str:
        if model != EMBEDDED and not re.fullmatch(r"[^\s:]+:\S+", model):
            raise ValueError("must be PROVIDER:NAME, or `embedded`")
        return model

    def key(self) -> str | None:
        """The API key, from wherever the settings say it is.

        Raises:
            SettingsError: the file can't be read, or the variable isn't set.
        """
        if self.api_key is not None:
            return self.api_key.get_secret_value()
        if self.api_key_file is not None:
            try:
                return self.api_key_file.read_text().strip()
            except (OSError, ValueError):
                name = _name(str(self.api_key_file), _PATH)
                raise SettingsError(f"GOLDEN_MODELS: api_key_file {name} can't be read") from None
        if self.api_key_env is not None:
            if self.api_key_env not in os.environ:
                name = _name(self.api_key_env, _VARIABLE)
                raise SettingsError(f"GOLDEN_MODELS: api_key_env names {name}, which is not set")
            return os.environ[self.api_key_env]
        return None

    def cost(self, input_tokens: int, output_tokens: int) -> int | None:
        """Micro-dollars of a call; None where the price is unknown."""
        if self.price is not None:
            return said_cost(self.price, input_tokens, output_tokens)
        if self.model.endswith(EMBEDDED_NAME):
            return 0
        # At an address of its own a model may cost anything, whatever its name.
        return None if self.base_url is not None else listed_cost(self.model, input_tokens, output_tokens)

    @property
    def circuit(self) -> str:
        """What fails together: a model at a provider's address."""
        host = urlsplit(self.base_url).netloc.rpartition("@")[2] if self.base_url else ""
        return f"{self.model}@{host}" if host else self.model


Routes = dict[str, list[ModelTarget]]
_ROUTES = TypeAdapter(Routes)
_ROLES = {"default", "architect", "developer", "reviewer", "security", "tester", "supervisor"}

_WORD = re.compile(r"[a-z_]{1,30}|[0-9]{1,4}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,60}")
_PATH = re.compile(r"[/.~][^\n]{0,200}|[^\n]{1,200}\.(ya?ml|json|txt|key)")


def read_routes(settings: Settings) -> Routes:
    """The routes by role of `GOLDEN_MODELS`: `embedded`, a YAML file, or its text.

    Raises:
        SettingsError: it is none of these, a role is unknown, there is no default, or a key is not there. The message
            never quotes the text, which may hold keys.
    """
    embedded = ModelTarget(
        model=f"openai:{EMBEDDED_NAME}",
        base_url=settings.model_url,
        api_key=SecretStr("none"),
        lean=True,
        drafts=True,
        max_tokens=512,
        at_once=settings.model_slots,
    )
    source = settings.models.strip()
    if source == EMBEDDED:
        return {"default": [embedded]}
    routes = _parse(_text(source))
    unknown = sorted(set(routes) - _ROLES)
    if unknown or not routes.get("default"):
        raise SettingsError(
            f"GOLDEN_MODELS: unknown role {_name(unknown[0], _WORD)}"
            if unknown
            else "GOLDEN_MODELS: `default` is missing"
        )
    for target in chain.from_iterable(routes.values()):
        target.key()
    return {
        role: [embedded if target.model == EMBEDDED else target for target in route] for role, route in routes.items()
    }


def _text(source: str) -> str:
    """The text itself, or that of the file which it names."""
    if set(source) & set("{:\n"):
        return source
    try:
        return Path(source).read_text()
    except (OSError, ValueError):
        name = _name(source, _PATH)
        raise SettingsError(f"GOLDEN_MODELS: no file {name}: name a YAML file, or `embedded`") from None


def _parse(text: str) -> Routes:
    # Without the causes, which quote the text.
    try:
        parsed = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise SettingsError("GOLDEN_MODELS is not YAML") from None
    try:
        return _ROUTES.validate_python(parsed)
    except ValidationError as error:
        told = []
        for fault in error.errors(include_input=False, include_url=False)[:5]:
            place = ".".join(_name(str(part), _WORD) for part in fault["loc"])
            told.append(f"{place}: {fault['msg'].removeprefix('Value error, ')}".removeprefix(": "))
        raise SettingsError(f"GOLDEN_MODELS: {'; '.join(told)}") from None


def _name(text: str, usual: re.Pattern[str]) -> str:
    """A name of the text if it looks like one: a key may stand in its place by mistake."""
    return text if usual.fullmatch(text) else "…"
