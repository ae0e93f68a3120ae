"""Markdown out of rows, the same for every page."""

from collections.abc import Iterable, Sequence

WRITTEN = "<!-- Made by `python -m deploy.reference` from the code: change the code, then make it again. -->"


def head(title: str, about: str) -> str:
    """A page's title and first sentences."""
    return f"{WRITTEN}\n# {title}\n\n{about}\n"


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what would end a cell is escaped."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines) + "\n"


def cell(text: str) -> str:
    """Text as one cell."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """Text as code, nothing for none."""
    return f"`{text}`" if text else ""
