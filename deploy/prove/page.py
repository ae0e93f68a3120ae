"""Puts what `golden prove --json` printed into the page of guarantees: pipe it to `python -m deploy.prove.page`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "guarantees.md"
BEGIN, END = "<!-- measured: golden prove -->", "<!-- measured: end -->"


def filled(page: str, proofs: list[dict[str, Any]]) -> str:
    """The page with the table of these proofs between its marks.

    Raises:
        ValueError: the page has not each mark once.
    """
    before, found, rest = page.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        raise ValueError(f"{BEGIN} and {END} are not in the page")
    return f"{before}{BEGIN}\n{table(proofs)}\n{END}{after}"


def table(proofs: list[dict[str, Any]]) -> str:
    """A row for each proof, and how many held."""
    rows = [("threat", "what was done", "held", "figure", "s"), ("---",) * 5]
    rows += [(_cell(each["threat"]), _cell(each["done"]), each["standing"], _cell(each["figure"]),
              f"{each['seconds']:.1f}") for each in proofs]  # fmt: skip
    held = sum(each["held"] is True for each in proofs)
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{lines}\n\n{held} of {len(proofs)} held, on {os.cpu_count()} processors."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(), json.load(sys.stdin)["proofs"]))
