"""Where the names of a test file get their values from. Standard library only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeGuard

Function = ast.FunctionDef | ast.AsyncFunctionDef
Key = str | int | None
Use = tuple[str, Key]
"""A name, and the field of it that is used; None is the whole. An attribute of a class begins with a dot."""


def use_of(node: ast.expr) -> Use | None:
    """A name, a field of one, or an attribute of a test's class."""
    if isinstance(node, ast.Name):
        return node.id, None
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
        return f".{node.attr}", None
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant):
        key = node.slice.value
        return (node.value.id, key) if isinstance(key, (str, int)) else None
    return None


def used(body: list[ast.stmt]) -> Iterator[Use]:
    """Every use of a name; with a key where a field of it is taken."""
    fields: set[int] = set()
    for node in (part for statement in body for part in ast.walk(statement)):
        use = use_of(node) if isinstance(node, (ast.Name, ast.Subscript)) else None
        if use is None or not isinstance(getattr(node, "ctx", None), ast.Load) or id(node) in fields:
            continue
        if isinstance(node, ast.Subscript):
            fields.add(id(node.value))
        yield use


def fields(rows: list[ast.expr], key: str | int) -> list[ast.expr]:
    """One field of each row; nothing where a row has it not."""
    found: list[ast.expr] = []
    for row in rows:
        if isinstance(row, ast.Dict):
            named = {part.value: value for part, value in zip(row.keys, row.values, strict=True) if _is_constant(part)}
            if key not in named:
                return []
            found.append(named[key])
        elif isinstance(row, (ast.Tuple, ast.List)) and isinstance(key, int) and 0 <= key < len(row.elts):
            found.append(row.elts[key])
        else:
            return []
    return found


def _is_constant(node: ast.expr | None) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant)


def bindings(function: Function, name: str) -> Iterator[ast.AST]:
    """What gives a function's name its value: a parametrize decorator, its arguments, an assignment, or a loop.

    Whatever else it is counts twice, so that it is never the only one.
    """
    arguments = function.args
    if any(arg.arg == name for arg in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)):
        found = [call for call in function.decorator_list if name in argument_names(call)]
        yield from found
        if not found:
            yield arguments
    for node in (part for statement in function.body for part in ast.walk(statement)):
        if isinstance(node, ast.Assign):
            if any(
                part.id == name for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)
            ):
                yield node
                if len(node.targets) > 1 or not isinstance(node.targets[0], ast.Name):
                    yield node
        elif isinstance(node, (ast.For, ast.comprehension)):
            if any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node.target)):
                yield node
        elif _binds_otherwise(node, name):
            yield arguments
            yield arguments


def _binds_otherwise(node: ast.AST, name: str) -> bool:
    if isinstance(node, (ast.AugAssign, ast.AnnAssign, ast.NamedExpr)):
        return isinstance(node.target, ast.Name) and node.target.id == name
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return node.name == name
    if isinstance(node, ast.arg):
        return node.arg == name
    if isinstance(node, ast.withitem):
        return node.optional_vars is not None and name in _stored(node.optional_vars)
    return isinstance(node, (ast.Global, ast.Nonlocal)) and name in node.names


def argument_names(call: ast.expr) -> list[str]:
    """The names that a `parametrize("a, b", [...])` gives values to; none where it is another call."""
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "parametrize"):
        return []
    if len(call.args) < 2 or any(keyword.arg == "indirect" for keyword in call.keywords):
        return []
    try:
        names = ast.literal_eval(call.args[0])
    except (ValueError, TypeError, SyntaxError):
        return []
    parts = names.split(",") if isinstance(names, str) else names
    return [str(part).strip() for part in parts]


def column(rows: list[ast.expr], place: int, width: int) -> list[ast.expr]:
    """One column of a table of literals; nothing where a row has another shape."""
    column: list[ast.expr] = []
    for row in rows:
        cells: list[ast.expr]
        if isinstance(row, ast.Call) and isinstance(row.func, ast.Attribute) and row.func.attr == "param":
            cells = row.args
        elif width == 1:
            cells = [row]
        else:
            cells = list(row.elts) if isinstance(row, (ast.Tuple, ast.List)) else []
        if len(cells) != width:
            return []
        column.append(cells[place])
    return column


def parts(target: ast.expr) -> list[ast.expr]:
    return list(target.elts) if isinstance(target, (ast.Tuple, ast.List)) else [target]


def assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """The names that these statements assign exactly once, each with its value."""
    found: dict[str, list[ast.expr]] = {}
    for node in (part for statement in body for part in ast.walk(statement)):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def attributes(tree: ast.Module) -> dict[str, list[ast.expr]]:
    """What attributes of classes and of `self` are assigned, by name with a dot."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                if isinstance(statement, ast.Assign):
                    for target in statement.targets:
                        if isinstance(target, ast.Name):
                            found.setdefault(f".{target.id}", []).append(statement.value)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute):
                    found.setdefault(f".{target.attr}", []).append(node.value)
    return found


def loaded(body: list[ast.stmt]) -> Iterator[str]:
    """Every name that is read, and every attribute with a dot."""
    for node in (part for statement in body for part in ast.walk(statement)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield f".{node.attr}"


def statements_of(tree: ast.Module) -> Iterator[ast.stmt]:
    """Every statement outside of functions, wherever, in order; functions themselves among them."""
    pending: list[ast.AST] = [tree]
    while pending:
        for node in ast.iter_child_nodes(pending.pop(0)):
            if isinstance(node, (ast.stmt, ast.excepthandler)):
                if isinstance(node, ast.stmt):
                    yield node
                if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    pending.append(node)


def _stored(node: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
