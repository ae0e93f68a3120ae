"""One thing that a machine needs, whether it is there, and the remedy if not."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """`problem` and `remedy` are empty where all is well."""

    name: str
    ok: bool
    problem: str = ""
    remedy: str = ""
