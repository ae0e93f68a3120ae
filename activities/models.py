"""Which model answers for which role, and one call of one model. pydantic-ai speaks to the providers."""

import os
import re
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError, field_validator
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelRequest, SystemPromptPart, TextPart, UserPromptPart
from pydantic_ai.models import Model, ModelRequestParameters, infer_model
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings

from activities.ledger import Usage
from schema.errors import ModelUnavailable, SettingsError
from schema.messages.steps import Role
from schema.settings import Settings

EMBEDDED = "embedded"
EMBEDDED_NAME = "smollm2-135m"


class Price(BaseModel):
    """Dollars a million tokens."""

    model_config = ConfigDict(extra="forbid")

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class ModelTarget(BaseModel):
    """One model of a route.

    Attributes:
        model: `PROVIDER:NAME` as pydantic-ai names it, or `embedded`.
        lean: for models too small for the usual briefs and answers: the developer answers in plain code instead of
            code inside JSON, the others in the shortest form of their schema.
        max_tokens: the most that one answer may have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    base_url: str | None = None
    api_key: SecretStr | None = None
    api_key_file: Path | None = None
    api_key_env: str | None = None
    price: Price | None = None
    lean: bool = False
    max_tokens: int = Field(default=4_096, ge=16, le=128_000)

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
        """Micro-dollars of a call; None where the price is unknown. A dollar a million is a micro-dollar each."""
        if self.price is None:
            return 0 if self.model.endswith(EMBEDDED_NAME) else None
        return round(self.price.input * input_tokens + self.price.output * output_tokens)


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
        max_tokens=512,
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


@dataclass(frozen=True)
class Question:
    """One request: what the model is told and asked, and how it is to answer."""

    system: str
    user: str
    schema: dict[str, Any] | None
    temperature: float
    seed: int
    max_tokens: int


@dataclass(frozen=True)
class Reply:
    """What came back. `cut` is an answer that ended at the token limit."""

    text: str
    usage: Usage
    cut: bool


class RefusedCall(Exception):
    """The provider did no work for the request: nothing was used."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Models:
    """The routes, with one client for each model."""

    def __init__(self, routes: Routes, *, timeout_seconds: float) -> None:
        self.routes = routes
        self._timeout = timeout_seconds
        self._clients: dict[str, Model] = {}

    def route(self, role: Role) -> list[ModelTarget]:
        return self.routes.get(role) or self.routes["default"]

    async def call(self, target: ModelTarget, question: Question) -> Reply:
        """Send one request, once.

        Raises:
            RefusedCall: an error answer, or the provider could not be reached; nothing was used.
            ModelUnavailable: the call went out and no usable answer came; whether tokens were used is unknown.
        """
        settings = ModelSettings(
            temperature=question.temperature,
            seed=question.seed,
            max_tokens=question.max_tokens,
            timeout=self._timeout,
        )
        output = None
        if question.schema is not None:
            output = OutputObjectDefinition(json_schema=question.schema, name="answer", strict=True)
        try:
            response = await model_request(
                self._client(target),
                [ModelRequest(parts=[SystemPromptPart(question.system), UserPromptPart(question.user)])],
                model_settings=settings,
                model_request_parameters=ModelRequestParameters(
                    output_mode="native" if output else "text", output_object=output, allow_text_output=True
                ),
            )
        except ModelHTTPError as error:
            raise RefusedCall(f"the provider answered {error.status_code}", error.retry_after) from error
        except Exception as error:
            if _never_left(error):
                raise RefusedCall("the provider can't be reached", None) from error
            # A broken answer breaks the SDKs in many ways; all mean the same to us.
            raise ModelUnavailable(f"no usable answer: {type(error).__name__}") from error
        text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
        used = response.usage
        usage = Usage(used.input_tokens, used.output_tokens, target.cost(used.input_tokens, used.output_tokens))
        return Reply(text, usage, response.finish_reason == "length")

    def _client(self, target: ModelTarget) -> Model:
        name = f"{target.model}@{target.base_url}"
        if name not in self._clients:
            self._clients[name] = _build(target, self._timeout)
        return self._clients[name]


def _never_left(error: BaseException | None) -> bool:
    """Whether the connection was never made. By name: each SDK brings its own HTTP client."""
    while error is not None:
        if type(error).__name__ in ("ConnectError", "ConnectTimeout"):
            return True
        error = error.__cause__ or error.__context__
    return False


def _build(target: ModelTarget, timeout: float) -> Model:
    """A client that never retries by itself: each dispatch is charged, so each is ours to decide."""
    provider, _, name = target.model.partition(":")
    if provider == "openai":
        from openai import AsyncOpenAI
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        openai = AsyncOpenAI(base_url=target.base_url, api_key=target.key(), max_retries=0, timeout=timeout)
        return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=openai))
    if provider == "anthropic":
        from anthropic import AsyncAnthropic
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        anthropic = AsyncAnthropic(base_url=target.base_url, api_key=target.key(), max_retries=0, timeout=timeout)
        return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=anthropic))
    return infer_model(target.model)
