"""A client of the gateway for tests, and a task that is valid but for what a test changes."""

from typing import Any

import httpx

SPEC: dict[str, Any] = {
    "title": "Add two numbers",
    "instructions": "Write add(a, b).",
    "tests": {"test_add.py": "from add import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"},
    "budget_tokens": 20_000,
}


def client(url: str, token: str | None, **headers: str) -> httpx.AsyncClient:
    """A client that sends `token` with every request."""
    authorization = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(base_url=url, headers={**authorization, **headers}, timeout=20)


def spec(**changes: Any) -> dict[str, Any]:
    """The valid task with some fields changed."""
    return {**SPEC, **changes}
