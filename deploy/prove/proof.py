"""What a proof says, and what each of them is given to work with."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import uuid4

import httpx

from deploy.local import lock
from gateway.authorisation import Role
from gateway.tokens import issue_token
from schema.settings import Settings

LONGEST_SECONDS = 120.0
"""No proof goes on for longer; what has not held until then has not held."""
STEP_SECONDS = 0.25
AT_ONCE = 8
FINAL = ("accepted", "rejected", "failed", "cancelled")
TESTS = {"test_mean.py": "from mean import mean\n\n\ndef test_mean():\n    assert mean([1, 2, 3]) == 2\n"}
GIVEN = {"mean.py": 'def mean(numbers: list[float]) -> float:\n    """Return the arithmetic mean of numbers."""\n'}

Standing = Literal["held", "not held", "not shown"]


class NotShown(Exception):
    """This can't be tried here; the message says why."""


class Broken(Exception):
    """The defence did not hold; the message says what was seen."""


class Unreachable(Exception):
    """Nothing answers where the stack should be."""


@dataclass(frozen=True)
class Proof:
    """One row of the table.

    Attributes:
        threat: the guarantee's name.
        done: the attack or the fault, in a sentence.
        held: whether the defence held; None where it could not be tried.
        figure: what was measured; what was seen where it did not hold; why it was not shown.
        seconds: how long the proof took.
    """

    threat: str
    done: str
    held: bool | None
    figure: str
    seconds: float

    @property
    def standing(self) -> Standing:
        return "not shown" if self.held is None else "held" if self.held else "not held"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "standing": self.standing}


class Ground:
    """The stack that is attacked, and the tenants `prove-…` that are ours in it.

    Attributes:
        run: a word of this run alone: no tenant, key or text of another run has it.
        local: whether the stack is the one of this GOLDEN_HOME, on this machine.
        gentle: nothing may be killed.
    """

    def __init__(self, settings: Settings, *, gentle: bool) -> None:
        self.settings = settings
        self.run = uuid4().hex[:8]
        self.gentle = gentle
        found = lock.running(settings)
        self.local = found is not None and settings.url is None
        self.supervisor = found.pid if found is not None else 0
        self._tenants: set[str] = set()

    def tenant(self, name: str) -> str:
        """A tenant of this run; its tasks are cancelled at the end."""
        tenant = f"prove-{name}-{self.run}"
        self._tenants.add(tenant)
        return tenant

    def token(self, role: Role, tenant: str, sub: str = "prove") -> str:
        """A token for ten minutes, signed with the stack's key.

        Raises:
            NotShown: the key is not on this machine.
        """
        if not (self.settings.keys_folder / "signing").exists() and not any(self.settings.keys_folder.glob("*")):
            raise NotShown("needs the signing key in GOLDEN_HOME, to act for tenants of its own")
        return issue_token(self.settings, sub=sub, role=role, tenant=tenant, ttl=timedelta(minutes=10))

    def client(
        self, role: Role, tenant: str, sub: str = "prove", *, url: str | None = None, origin: str | None = None
    ) -> httpx.AsyncClient:
        """A client of the gateway. `origin` is another address of this machine to come from."""
        return self.stranger({"Authorization": f"Bearer {self.token(role, tenant, sub)}"}, url=url, origin=origin)

    def stranger(
        self, headers: dict[str, str] | None = None, *, url: str | None = None, origin: str | None = None
    ) -> httpx.AsyncClient:
        """A client with these headers and no token of ours."""
        ca = self.settings.tls_ca
        transport = httpx.AsyncHTTPTransport(
            local_address=origin if self.local else None, limits=httpx.Limits(max_connections=100), retries=2,
            verify=str(ca) if ca else True,
        )  # fmt: skip
        return httpx.AsyncClient(
            base_url=url or self.settings.gateway_url, headers=headers or {}, timeout=60, transport=transport
        )

    def need_local(self, what: str) -> None:
        """Raise NotShown where the stack is another machine's."""
        if not self.local:
            raise NotShown(f"{what}: the stack is not the one of this GOLDEN_HOME")

    async def limit(self, tenant: str, **limits: int) -> None:
        """Bound what a tenant of ours may spend and run."""
        async with self.client("admin", tenant) as client:
            expect(await client.put(f"/v1/budgets/{tenant}", json=limits), 200)

    async def clean_up(self) -> None:
        """Cancel what our tenants still have under way; what can't be reached any more is left to its deadline."""
        for tenant in sorted(self._tenants):
            with contextlib.suppress(httpx.HTTPError, NotShown, Broken):
                await self.cancel_all(tenant)

    async def cancel_all(self, tenant: str) -> set[str]:
        """Ask for the end of every task of a tenant; returns those that were not over."""
        open_tasks = {task["task_id"] for task in await self.tasks(tenant) if task["state"] not in FINAL}
        several, name = asyncio.Semaphore(AT_ONCE), uuid4().hex[:6]

        async def cancel(place: int, task_id: str) -> None:
            # A new name for every 40: an operator has 60 requests a minute.
            async with several, self.client("operator", tenant, f"prove-end-{name}-{place // 40}") as client:
                await client.post(f"/v1/tasks/{task_id}/cancel")

        await asyncio.gather(*(cancel(place, task_id) for place, task_id in enumerate(sorted(open_tasks))))
        return open_tasks

    async def tasks(self, tenant: str) -> list[dict[str, Any]]:
        """Every task of a tenant."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        async with self.client("operator", tenant, f"prove-look-{uuid4().hex[:6]}") as client:
            while True:
                query = {"limit": "100", **({"cursor": cursor} if cursor else {})}
                page = expect(await client.get("/v1/tasks", params=query), 200).json()
                found += page["items"]
                cursor = page["next_cursor"]
                if not cursor:
                    return found

    async def task(self, tenant: str, task_id: str) -> dict[str, Any]:
        """A task as it is; nothing while the gateway is away. Each look is another principal's, for the limits."""
        async with self.client("viewer", tenant, f"prove-look-{uuid4().hex[:6]}") as client:
            try:
                answer = await client.get(f"/v1/tasks/{task_id}")
            except httpx.TransportError:
                return {}
        return answer.json() if answer.status_code == 200 else {}

    async def state_in(self, tenant: str, task_id: str, states: tuple[str, ...], within: float) -> dict[str, Any]:
        """The task once it is in one of these states.

        Raises:
            Broken: it is not, within so many seconds.
        """
        task: dict[str, Any] = {}

        async def there() -> bool:
            nonlocal task
            task = await self.task(tenant, task_id)
            return task.get("state") in states

        if not await until(there, within):
            raise Broken(f"a task is {task.get('state', 'not to be seen')} after {within:.0f} s, not {states[0]}")
        return task


def expect(answer: httpx.Response, *statuses: int) -> httpx.Response:
    """The answer, if it has one of these statuses; raises Broken otherwise."""
    if answer.status_code not in statuses:
        path = answer.request.url.path
        raise Broken(f"{answer.request.method} {path[:60]} was answered {answer.status_code}, not {statuses[0]}")
    return answer


def spec(title: str, **changes: Any) -> dict[str, Any]:
    """A small task."""
    told = "Write mean(numbers), which returns the arithmetic mean of a list of numbers."
    task = {"title": title, "instructions": told, "files": GIVEN, "tests": TESTS, "budget_tokens": 20_000}
    return {**task, "candidates": 1, "repair_rounds": 0, **changes}


async def until(there: Callable[[], Awaitable[bool]], within: float) -> bool:
    """Whether something comes true within so many seconds."""
    end = time.monotonic() + within
    while not await there():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(STEP_SECONDS)
    return True
