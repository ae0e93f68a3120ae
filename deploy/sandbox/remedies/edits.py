"""Edits of a source by the places that its syntax tree names: the rest stays byte for byte. Standard library only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

_LINE_END = re.compile(r"\r\n|\r|\n")
Placed = ast.stmt | ast.expr | ast.excepthandler | ast.keyword | ast.arg


class Edit(NamedTuple):
    """These characters become that text."""

    start: int
    end: int
    text: str


class Change(NamedTuple):
    """What answers one finding: its rule, the lines on which a guard may tell it, and the edits."""

    rule: str
    lines: range
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Source:
    """A text that Python can read, with its tree."""

    text: str
    tree: ast.Module

    @classmethod
    def of(cls, text: str) -> Source:
        """SyntaxError or ValueError where Python can't read it."""
        return cls(text, ast.parse(text))

    @cached_property
    def starts(self) -> list[int]:
        return [0, *(match.end() for match in _LINE_END.finditer(self.text))]

    @cached_property
    def newline(self) -> str:
        """How its lines end."""
        match = _LINE_END.search(self.text)
        return match[0] if match else "\n"

    def at(self, line: int, column: int) -> int:
        """The character at a line and a column in bytes of UTF-8, as the tree counts them."""
        start = self.starts[line - 1]
        end = self.starts[line] if line < len(self.starts) else len(self.text)
        return start + len(self.text[start:end].encode("utf-8", "surrogatepass")[:column].decode("utf-8", "ignore"))

    def start(self, node: Placed) -> int:
        return self.at(node.lineno, node.col_offset)

    def end(self, node: Placed) -> int:
        return self.at(node.end_lineno or node.lineno, node.end_col_offset or 0)

    def segment(self, node: Placed) -> str:
        return self.text[self.start(node) : self.end(node)]

    def line_start(self, line: int) -> int:
        return self.starts[line - 1] if line <= len(self.starts) else len(self.text)

    def indentation(self, node: Placed) -> str | None:
        """The white space before a statement; None where it does not begin its line."""
        before = self.text[self.line_start(node.lineno) : self.start(node)]
        return before if not before.strip() else None

    def ends_line(self, node: Placed) -> bool:
        """Whether nothing but a comment stands behind it."""
        end = self.end(node)
        match = _LINE_END.search(self.text, end)
        rest = self.text[end : match.start() if match else len(self.text)].strip()
        return not rest or rest.startswith("#")


def applied(text: str, edits: Iterable[Edit]) -> str:
    """The text with its edits; of two that overlap the later one in the text is made."""
    made: list[str] = []
    limit = len(text)
    for edit in sorted(set(edits), reverse=True):
        if edit.end <= limit:
            made += (text[edit.end : limit], edit.text)
            limit = edit.start
    return "".join([text[:limit], *reversed(made)])


def first_line(statement: ast.stmt) -> int:
    """The line where a statement begins, with its decorators."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def names_of_module(tree: ast.Module, module: str) -> tuple[set[str], dict[str, str]]:
    """The names by which a file calls a module, and by which it calls its members."""
    names: set[str] = set()
    members: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name for alias in node.names if alias.name == module}
        elif isinstance(node, ast.ImportFrom) and node.module == module and not node.level:
            members |= {alias.asname or alias.name: alias.name for alias in node.names}
    return names, members
