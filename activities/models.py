"""One call of one model. pydantic-ai speaks to the providers."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, infer_model
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings

from activities.ledger import Usage
from activities.provider_http import AnswerTooLarge, provider_client
from activities.routes import ModelTarget, Routes
from activities.stubs import Draft
from schema.errors import AnswerTooLong, ModelUnavailable, RouteUnknown
from schema.messages.steps import Asked

QUOTA = 429


@dataclass(frozen=True)
class Question:
    """One request: what the model is told and asked, and how it is to answer.

    Attributes:
        draft: what the answer only goes on with, for a model that can be asked so.
    """

    system: str
    user: str
    schema: dict[str, Any] | None
    temperature: float
    seed: int
    max_tokens: int
    draft: Draft | None = None


@dataclass(frozen=True)
class Reply:
    """What came back. `cut` is an answer that ended at the token limit; `model` what the provider says answered."""

    text: str
    usage: Usage
    cut: bool
    model: str | None = None


class RefusedCall(Exception):
    """The provider did no work for the request: nothing was used.

    Attributes:
        status: of the provider's answer; None where it could not be reached.
        retry_after: seconds that it asked to wait.
    """

    def __init__(self, message: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after

    @property
    def quota(self) -> bool:
        """The provider is well, and we asked too often."""
        return self.status == QUOTA

    @property
    def ours(self) -> bool:
        """The request is at fault: it tells nothing of the provider's health."""
        return self.status in (400, 413, 422)


class Models:
    """The routes, with one client for each model."""

    def __init__(self, routes: Routes, *, timeout_seconds: float) -> None:
        self.routes = routes
        self._timeout = timeout_seconds
        self._clients: dict[str, Model] = {}
        self._connections: list[httpx2.AsyncClient] = []
        self._turns: dict[str, asyncio.Semaphore] = {}

    def route(self, role: Asked, only: tuple[str, ...] | None = None) -> list[ModelTarget]:
        """The models to ask for a role, in their order; those of `only`, where a redrive named them.

        Raises:
            RouteUnknown: `only` names a model that is in no route.
        """
        route = self.routes.get(role) or self.routes["default"]
        if only is None:
            return route
        known = {target.model: target for each in (*self.routes.values(), route) for target in each}
        missing = [name for name in only if name not in known]
        if missing:
            raise RouteUnknown(f"no route of GOLDEN_MODELS names {missing[0][:100]!r}")
        return [known[name] for name in only]

    def worst_price(self, tokens: int) -> int | None:
        """Micro-dollars that so many tokens cost at most, whichever model takes them; None where one has no price."""
        costs = [
            cost
            for target in {target.circuit: target for route in self.routes.values() for target in route}.values()
            for cost in (target.cost(tokens, 0), target.cost(0, tokens))
        ]
        known = [cost for cost in costs if cost is not None]
        return max(known) if len(known) == len(costs) else None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ModelHTTPError as error:
            told = f"the provider answered {error.status_code}"
            raise RefusedCall(told, error.status_code, error.retry_after) from error
        except TimeoutError as error:
            raise ModelUnavailable("the provider was too slow") from error
        except Exception as error:
            if _caused_by(error, "ConnectError", "ConnectTimeout"):
                raise RefusedCall("the provider can't be reached") from error
            if _caused_by(error, AnswerTooLarge.__name__):
                raise AnswerTooLong("the provider's answer has no end") from error
            # A broken answer breaks the SDKs in many ways; all mean the same to us.
            raise ModelUnavailable(f"no usable answer: {type(error).__name__}") from error

    def turn(self, target: ModelTarget) -> asyncio.Semaphore:
        """Held while a model is asked: so many at once are as many as the settings say."""
        return self._turns.setdefault(target.circuit, asyncio.Semaphore(target.at_once))

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
        messages: list[ModelMessage] = [
            ModelRequest(parts=[SystemPromptPart(question.system), UserPromptPart(question.user)])
        ]
        if question.draft is not None:
            settings["extra_body"] = {"grammar": question.draft.grammar}
            # Without an empty system prompt, the model's template says what it was trained with.
            messages = [
                ModelRequest(parts=[UserPromptPart(question.user)]),
                ModelResponse(parts=[TextPart(question.draft.opening)]),
            ]
        output = None
        if question.schema is not None:
            output = OutputObjectDefinition(json_schema=question.schema, name="answer", strict=True)
        with self._errors():
            # The SDKs' timeouts begin again with every byte.
            async with asyncio.timeout(self._timeout):
                response = await model_request(
                    self._client(target),
                    messages,
                    model_settings=settings,
                    model_request_parameters=ModelRequestParameters(
                        output_mode="native" if output else "text", output_object=output, allow_text_output=True
                    ),
                )
            return _reply(target, response, question.draft)

    def _client(self, target: ModelTarget) -> Model:
        name = f"{target.model}@{target.base_url}"
        if name not in self._clients:
            connections = provider_client(self._timeout)
            self._connections.append(connections)
            self._clients[name] = _build(target, self._timeout, connections)
        return self._clients[name]

    async def close(self) -> None:
        """Close what is open to the providers. No call may be under way, and none may follow."""
        for connections in self._connections:
            await connections.aclose()


def _reply(target: ModelTarget, response: ModelResponse, draft: Draft | None) -> Reply:
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    if draft is not None:
        text = draft.whole(text)
    used = response.usage
    usage = Usage(used.input_tokens, used.output_tokens, target.cost(used.input_tokens, used.output_tokens))
    return Reply(text, usage, response.finish_reason == "length", response.model_name)


def _caused_by(error: BaseException | None, *names: str) -> bool:
    """Whether an error of this name is behind it. By name: each SDK brings its own HTTP client."""
    while error is not None:
        if type(error).__name__ in names:
            return True
        error = error.__cause__ or error.__context__
    return False


def _build(target: ModelTarget, timeout: float, connections: httpx2.AsyncClient) -> Model:
    """A client that never retries by itself: each dispatch is charged, so each is ours to decide."""
    provider, _, name = target.model.partition(":")
    if provider == "openai":
        from openai import AsyncOpenAI
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        openai = AsyncOpenAI(
            base_url=target.base_url,
            api_key=target.key(),
            max_retries=0,
            timeout=timeout,
            http_client=connections,
        )
        return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=openai))
    if provider == "anthropic":
        from anthropic import AsyncAnthropic
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        anthropic = AsyncAnthropic(
            base_url=target.base_url,
            api_key=target.key(),
            max_retries=0,
            timeout=timeout,
            http_client=connections,
        )
        return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=anthropic))
    return infer_model(target.model)
