"""A gateway whose defences are off: for tests of what should notice. `python -m tests.support.weak_gateway` serves."""

import asyncio
from typing import Any

import yaml
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from gateway import app, bodies, main, submission, token_reader
from gateway.strict_yaml import parse_yaml
from schema.settings import Settings

SLOW_SECONDS = 0.6


class _Slow:
    """Lists of tasks take longer than the objective allows."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (scope.get("method"), scope.get("path")) == ("GET", "/v1/tasks"):
            await asyncio.sleep(SLOW_SECONDS)
        await self.app(scope, receive, send)


def _any_yaml(content: bytes) -> Any:
    """YAML whose tags make objects, and so run whatever they name."""
    return yaml.unsafe_load(content) if b"!!python" in content else parse_yaml(content)


async def _no_key(*given: Any, **named: Any) -> None:
    """No key was ever used before."""


def weaken() -> None:
    """Take the defences away, in this process."""
    create_app = app.create_app

    def slow_app(*given: Any) -> Starlette:
        made = create_app(*given)
        made.add_middleware(_Slow)
        return made

    setattr(main, "create_app", slow_app)  # noqa: B010 - the type checker takes no other function for it
    setattr(bodies, "parse_yaml", _any_yaml)  # noqa: B010
    setattr(submission, "claim_key", _no_key)  # noqa: B010
    setattr(token_reader, "_check_times", lambda *_: None)  # noqa: B010


if __name__ == "__main__":
    weaken()
    main.run(Settings())
