"""Runs the proofs, those that break something last, and shows what they came to in the order of the guarantees."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import httpx
from sqlalchemy.exc import SQLAlchemyError

from deploy.prove import (
    access,
    cascade,
    charging,
    escape,
    failures,
    injection,
    learning,
    load,
    messages,
    slo,
)
from deploy.prove.proof import LONGEST_SECONDS, Broken, Ground, NotShown, Proof, Unreachable
from schema.errors import GoldenError
from schema.settings import Settings

ALL_HELD, NOT_HELD, NOT_SHOWN = 0, 1, 5


class Threat(NamedTuple):
    """A guarantee: its name in the table and for --only, and what tries it."""

    name: str
    short: str
    done: str
    prove: Callable[[Ground], Awaitable[str]]


THREATS = (
    Threat("10x load", "load", load.DONE, load.prove),
    Threat("service failures", "failures", failures.DONE, failures.prove),
    Threat("message loss", "messages", messages.DONE, messages.prove),
    Threat("double charging", "charging", charging.DONE, charging.prove),
    Threat("injection", "injection", injection.DONE, injection.prove),
    Threat("unauthorised access", "access", access.DONE, access.prove),
    Threat("sandbox escape", "escape", escape.DONE, escape.prove),
    Threat("runaway learning", "learning", learning.DONE, learning.prove),
    Threat("cascading failure", "cascade", cascade.DONE, cascade.prove),
    Threat("SLO violation", "slo", slo.DONE, slo.prove),
)
LAST = ("messages", "failures", "cascade")
"""What kills, or takes a processor for itself, comes after what measures."""
NAMES = tuple(threat.short for threat in THREATS)


async def prove_all(
    settings: Settings, only: tuple[str, ...], *, gentle: bool, report: Callable[[Proof], None]
) -> list[Proof]:
    """A proof for each guarantee that is asked for; each is reported as soon as it is there.

    Raises:
        Unreachable: no gateway answers.
    """
    ground = Ground(settings, gentle=gentle)
    await _reach(ground)
    wanted = [threat for threat in THREATS if not only or threat.short in only]
    proofs: dict[str, Proof] = {}
    try:
        for threat in sorted(wanted, key=lambda threat: LAST.index(threat.short) if threat.short in LAST else -1):
            proofs[threat.short] = proof = await _one(threat, ground)
            report(proof)
    finally:
        # Also on Ctrl-C: what we asked for is not left to run on.
        await asyncio.shield(ground.clean_up())
    return [proofs[threat.short] for threat in wanted]


def exit_code(proofs: list[Proof]) -> int:
    """0 where all held, 1 where one did not, 5 where one could not be tried."""
    if any(proof.held is False for proof in proofs):
        return NOT_HELD
    return NOT_SHOWN if any(proof.held is None for proof in proofs) else ALL_HELD


async def _one(threat: Threat, ground: Ground) -> Proof:
    began = time.monotonic()
    held: bool | None = False
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            figure = await threat.prove(ground)
        held = True
    except NotShown as reason:
        held, figure = None, str(reason)
    except Broken as broken:
        figure = str(broken)
    except TimeoutError:
        figure = f"not over after {LONGEST_SECONDS:.0f} s"
    except (httpx.HTTPError, SQLAlchemyError, GoldenError, ValueError, KeyError, RuntimeError, OSError) as error:
        figure = f"broke off: {type(error).__name__}"
    return Proof(threat.name, threat.done, held, figure, round(time.monotonic() - began, 1))


async def _reach(ground: Ground) -> None:
    try:
        async with ground.stranger() as client:
            answer = await client.get("/readyz", timeout=10)
    except httpx.HTTPError as error:
        raise Unreachable from error
    if answer.status_code != httpx.codes.OK:
        raise Unreachable
