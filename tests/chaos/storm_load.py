"""The clients of a storm: good ones, who send what was not answered again under the same key."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from tests.chaos.storm_plan import Planned
from tests.support.golden import Golden
from tests.support.stormy_provider import StormyProvider

AGAIN_SECONDS = 0.3
AT_ONCE = 8


@dataclass(frozen=True)
class Accepted:
    """A submission that was answered with 202."""

    tenant: str
    key: str
    task_id: UUID
    planned: Planned


@dataclass
class Load:
    """What clients sent and were told.

    Attributes:
        refused: answers that no client should get.
        repeats: requests that were sent again, since nothing or 503 came back.
    """

    golden: Golden
    provider: StormyProvider
    accepted: list[Accepted] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    repeats: int = 0

    async def submit(self, http: httpx.AsyncClient, tenant: str, planned: Planned) -> None:
        """Submit a task until there is an answer, and cancel it if it is one of those."""
        self.provider.script(planned.title, planned.script)
        if planned.course == "afflicted":
            self.provider.afflicted.add(planned.title)
        answer = await self.send(http, "POST", "/v1/tasks", json=planned.spec, headers=_key(planned))
        if answer.status_code != httpx.codes.ACCEPTED:
            self.refused[f"submit: {answer.status_code} {answer.text[:200]}"] += 1
            return
        task_id = UUID(answer.json()["task_id"])
        self.accepted.append(Accepted(tenant, planned.title, task_id, planned))
        if planned.course == "cancelled":
            cancelled = await self.send(http, "POST", f"/v1/tasks/{task_id}/cancel")
            if cancelled.status_code not in (httpx.codes.ACCEPTED, httpx.codes.CONFLICT):
                self.refused[f"cancel: {cancelled.status_code} {cancelled.text[:200]}"] += 1

    async def send(self, http: httpx.AsyncClient, method: str, path: str, **request: Any) -> httpx.Response:
        """A request, again and again until the gateway and its database are there to answer it."""
        while True:
            try:
                answer = await http.request(method, path, **request)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer
            self.repeats += 1
            await asyncio.sleep(AGAIN_SECONDS)

    async def ask_again(self) -> Mapping[tuple[str, str], UUID]:
        """The task of each submission that was accepted, sent once more as it was."""
        turn = asyncio.Semaphore(AT_ONCE)
        found: dict[tuple[str, str], UUID] = {}

        async def ask(http: httpx.AsyncClient, one: Accepted) -> None:
            async with turn:
                answer = await self.send(http, "POST", "/v1/tasks", json=one.planned.spec, headers=_key(one.planned))
            if answer.status_code == httpx.codes.ACCEPTED:
                found[one.tenant, one.key] = UUID(answer.json()["task_id"])

        for tenant in {one.tenant for one in self.accepted}:
            async with self.golden.client("developer", tenant) as http:
                await asyncio.gather(*(ask(http, one) for one in self.accepted if one.tenant == tenant))
        return found

    def asked(self) -> Mapping[tuple[UUID, bool], int]:
        """Requests that the provider saw, by task and whether it was a vote."""
        tasks = {one.planned.title: one.task_id for one in self.accepted}
        return Counter((tasks[asked.title], asked.voting) for asked in self.provider.asked if asked.title in tasks)


def _key(planned: Planned) -> dict[str, str]:
    return {"Idempotency-Key": planned.title}
