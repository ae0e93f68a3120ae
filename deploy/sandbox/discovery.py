"""The tests of a file, found by reading it, before the candidate is there. Standard library only."""

import ast
import sys
from collections.abc import Iterable, Iterator


def expected_tests(path: str, source: str) -> Iterator[str]:
    """The node ids, without parameters, that pytest must report for a test file; the file's own if it can't be read."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        yield path
        return
    yield from dict.fromkeys(_tests_of(path, tree.body))


def _tests_of(prefix: str, body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if node.name.startswith("test") and not any(_is_fixture(item) for item in node.decorator_list):
                yield f"{prefix}::{node.name}"
        elif isinstance(node, ast.ClassDef) and _is_test_class(node):
            yield from _tests_of(f"{prefix}::{node.name}", node.body)


def _is_fixture(decorator: ast.expr) -> bool:
    name = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")) == "fixture"


def _is_test_class(node: ast.ClassDef) -> bool:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name in ("__init__", "__new__"):
            return False
        if isinstance(item, ast.Assign) and any(getattr(t, "id", "") == "__test__" for t in item.targets):
            return not (isinstance(item.value, ast.Constant) and not item.value.value)
    bases = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases]
    return node.name.startswith("Test") or any(base.endswith("TestCase") for base in bases)


CHANGING = frozenset({"builtins", "sys", "threading", "warnings"})
"""Modules that honest programs, or pytest itself, put other functions into."""


def tools(sources: Iterable[str]) -> frozenset[str]:
    """The standard modules that test files judge with, but for those that they change themselves."""
    imported: set[str] = set(CHANGING)
    changed: set[str] = set(CHANGING)
    for source in sources:
        for node in _nodes(source):
            if isinstance(node, ast.Import):
                imported.update(name.name for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                changed.add(ast.unparse(node.value))
    return frozenset(name for name in imported - changed if name.split(".")[0] in sys.stdlib_module_names)


def _nodes(source: str) -> Iterable[ast.AST]:
    try:
        return ast.walk(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError):
        return ()
