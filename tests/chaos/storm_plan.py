"""What a storm is to do, all of it chosen by its seed."""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.support.provider import Script, files
from tests.support.specs import BAD, GOOD, HALF, spec

SHORT_SECONDS = 12.0
PARTS = {
    "postgres": "postgres -D",
    "temporal": "server start-dev",
    "worker": "gateway.cli worker",
    "gateway": "gateway.cli gateway",
    "model": "deploy.local.model_server",
}
"""Parts of the stack, and words of their command lines."""
OUTSIDE = ("provider", "dockerd")
"""What no stack starts again. Only the long form touches it: other tests may need it."""
COURSES = ("good", "good", "good", "good", "repaired", "rejected", "afflicted", "afflicted", "poor", "cancelled")
"""How tasks go: `afflicted` has no plan until it is calm, `poor` has no budget for one."""


@dataclass(frozen=True)
class Planned:
    """One task to submit, what the models say about it, and how long its tenant waits before the next, in seconds."""

    title: str
    course: str
    spec: dict[str, Any]
    script: Script
    pause: float


@dataclass(frozen=True)
class Plan:
    """A storm. The same seed chooses the same tasks, faults and kills; what meets what is the machine's."""

    seed: int
    seconds: float
    parts: tuple[str, ...]

    @classmethod
    def from_environment(cls) -> "Plan":
        """By `GOLDEN_CHAOS_SEED`, `GOLDEN_CHAOS_SECONDS` and `GOLDEN_CHAOS_PARTS`; without them short, and new."""
        seconds = float(os.environ.get("GOLDEN_CHAOS_SECONDS") or SHORT_SECONDS)
        known = (*PARTS, *OUTSIDE) if seconds > SHORT_SECONDS else tuple(PARTS)
        chosen = os.environ.get("GOLDEN_CHAOS_PARTS")
        return cls(
            seed=int(os.environ.get("GOLDEN_CHAOS_SEED") or secrets.randbelow(1_000_000)),
            seconds=seconds,
            parts=tuple(part for part in known if not chosen or part in chosen.split(",")),
        )

    @property
    def is_long(self) -> bool:
        return self.seconds > SHORT_SECONDS

    @property
    def tenants(self) -> tuple[str, ...]:
        return ("north", "south", "east", "west") if self.is_long else ("north", "south")

    @property
    def patience(self) -> float:
        """Seconds in which all of it must have come to rest."""
        return 600 if self.is_long else 120

    def kills(self) -> Iterator[tuple[float, str]]:
        """Without end: how long to wait, and what to kill then. Each part has its turn before one has another."""
        chance = Random(f"{self.seed}/kills")  # noqa: S311 - to be repeated, not to be secret
        pauses = (3.0, 10.0) if self.is_long else (1.5, 3.0)
        while True:
            for part in chance.sample(self.parts, len(self.parts)):
                yield chance.uniform(*pauses), part

    def tasks(self, tenant: str) -> Iterator[Planned]:
        """Without end: what a tenant submits. The first is one that will be parked."""
        chance = Random(f"{self.seed}/tasks/{tenant}")  # noqa: S311
        number, deck = 0, ["afflicted"]
        while True:
            for course in deck:
                number += 1
                pause = chance.expovariate(1 / (7.0 if self.is_long else 1.5))
                yield _planned(f"storm-{tenant}-{number:04}", course, chance.randint(1, 2), pause)
            deck = chance.sample(COURSES, len(COURSES))


def _planned(title: str, course: str, candidates: int, pause: float) -> Planned:
    scripts = {"repaired": [files(work=HALF), files(work=GOOD)], "rejected": [files(work=BAD)]}
    fields: dict[str, Any] = {"candidates": candidates, "deadline": "1h", "labels": {"course": course}}
    if course == "repaired":
        fields |= {"candidates": 1, "repair_rounds": 3}
    if course == "poor":
        fields["budget_tokens"] = 1_000
    script = Script(developer=scripts.get(course, [files(work=GOOD)]))
    return Planned(title, course, spec(title, **fields), script, pause)
