"""One thing that must hold on this machine, as `golden doctor` tells it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """What was looked at, whether it is well, and if not: what is wrong and what to do about it."""

    name: str
    ok: bool
    problem: str = ""
    remedy: str = ""
