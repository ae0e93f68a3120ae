"""The guard `dependencies`: imports that nothing provides. Standard library only."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from functools import cache

from deploy.sandbox.guards.material import HIGH, LOW, MODEL, Found, Material, is_python, lines_of


class DependenciesGuard:
    """Imports whose first name is neither Python's, nor the candidate's or its tests', nor in the image."""

    name = "dependencies"

    def applies_to(self, path: str) -> bool:
        return is_python(path)

    def run(self, material: Material) -> Iterator[Found]:
        own = _own_names((*material.files, *material.tests))
        for path in filter(self.applies_to, material.changed):
            tree = material.tree(path)
            if isinstance(tree, Exception):
                continue
            optional = _guarded(tree)
            kept, lines = material.kept_lines(path), lines_of(material.files[path])
            for node in ast.walk(tree):
                if kept and lines[getattr(node, "lineno", 0) - 1] in kept:
                    continue
                for name in _imported(node):
                    if name not in own and not is_provided(name):
                        severity = LOW if id(node) in optional else HIGH
                        said = f"nothing here provides the module {name}"
                        yield Found("missing-module", severity, path, getattr(node, "lineno", 0), said, MODEL)


@cache
def is_provided(name: str) -> bool:
    """Whether Python or the image has such a module. Looking for it imports nothing: the name has no dot."""
    if name in sys.stdlib_module_names or name in sys.builtin_module_names:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def _own_names(paths: Iterable[str]) -> set[str]:
    """Folders and modules, wherever they stand: tests may put their own folders on the path."""
    names = set()
    for path in paths:
        *folders, last = path.split("/")
        names.update(folders)
        if is_python(last):
            names.add(last.rsplit(".", 1)[0])
    return names


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name.split(".")[0]
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module.split(".")[0]


def _guarded(tree: ast.Module) -> set[int]:
    """The imports that the code can do without: within a `try` that catches their failure, or for checkers alone."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            found |= _parts(node.body) if any(_catches_imports(one.type) for one in node.handlers) else set()
        elif isinstance(node, ast.If) and _is_for_checkers(node.test):
            found |= _parts(node.body)
    return found


def _parts(body: list[ast.stmt]) -> set[int]:
    return {id(part) for statement in body for part in ast.walk(statement)}


def _is_for_checkers(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def _catches_imports(caught: ast.expr | None) -> bool:
    names = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
    return caught is None or any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(caught))
