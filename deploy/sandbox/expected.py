"""Finds the literals in a test file that hold what is expected, and puts others in their place. Standard library only.

A program that reads its answers out of the test file, or out of the variables of the test that calls it, then gives
answers that are wrong.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeGuard

from deploy.sandbox.contrary import flip

Function = ast.FunctionDef | ast.AsyncFunctionDef
Key = str | int | None
Use = tuple[str, Key]
"""A name, and the field of it that is used; None is the whole."""


def flip_literal(node: ast.expr) -> bool:
    """Put another value into a literal, in place; False where it is none, or one that has no other."""
    if is_approx_call(node):
        return flip_literal(node.args[0])  # type: ignore[attr-defined]
    try:
        value = ast.literal_eval(node)
        other = flip(value)
        text = repr(other)
        if repr(value) == text or repr(flip(other)) != repr(value) or repr(ast.literal_eval(text)) != text:
            return False
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    _become(node, ast.parse(text, mode="eval").body)
    return True


def is_literal(node: ast.expr) -> bool:
    """Whether `flip_literal` would put another value there."""
    if is_approx_call(node):
        return is_literal(node.args[0])  # type: ignore[attr-defined]
    try:
        value = ast.literal_eval(node)
        other = flip(value)
        return repr(other) != repr(value) and repr(flip(other)) == repr(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False


def is_disjoint(node: ast.expr) -> bool:
    """Whether no element of a literal list, tuple or set is still there when it is changed."""
    value = ast.literal_eval(node)
    return isinstance(value, (list, tuple)) and not any(item in value for item in flip(value))


class Sources:
    """Where a module's names get their values from.

    A name's literals may be changed only if the name is used for nothing but what is expected; `uses` names, function
    by function, such uses: `answer`, or one field of it, `case["answer"]`.
    """

    def __init__(self, tree: ast.Module, uses: Iterable[tuple[Function, Use]]) -> None:
        self._loads = Counter(_loaded(tree.body))
        self._globals = _assigned(tree.body)
        self._done: set[int] = set()
        self._wanted: Counter[Use] = Counter()
        self._by_function: dict[int, Counter[Use]] = {}
        for function, use in uses:
            self._wanted[use] += 1
            self._by_function.setdefault(id(function), Counter())[use] += 1

    def flipped_in(self, function: Function) -> set[Use]:
        """Change the literals of what holds in a function only what is expected, and tell of which uses."""
        loads, wanted = Counter(_used(function.body)), self._by_function.get(id(function), Counter())
        only = [
            (name, key)
            for (name, key), count in wanted.items()
            # Of a table that is passed on as a whole nobody knows which field is used.
            if loads[name, key] == count and (key is None or not loads[name, None])
        ]
        return {use for use in only if self._flip_source(function, *use)}

    def _flip_source(self, function: Function, name: str, key: Key) -> bool:
        bindings = [*_bindings(function, name)]
        if not bindings and self._loads[name] == self._wanted[name, key] and name in self._globals:
            literals = [self._globals[name]]
        elif len(bindings) == 1:
            literals = self._literals(bindings[0], name, function)
        else:
            return False
        if key is not None:
            literals = _fields(literals, key)
        todo = [node for node in literals if id(node) not in self._done]
        if not todo:
            # A global that another function uses in the same way.
            return bool(literals)
        if len(todo) < len(literals) or not all(is_literal(node) for node in literals):
            return False
        self._done.update(map(id, literals))
        for node in literals:
            flip_literal(node)
        return True

    def _literals(self, binding: ast.AST, name: str, function: Function) -> list[ast.expr]:
        """Every literal that the name gets its value from; none where that can't be told."""
        if isinstance(binding, ast.Assign):
            return [binding.value]
        if isinstance(binding, ast.Call):
            names, rows = _argument_names(binding), self._items(binding.args[1], function)
            return _column(rows, names.index(name), len(names))
        if isinstance(binding, (ast.For, ast.comprehension)):
            return self._looped(binding.target, binding.iter, name, function)
        return []

    def _looped(self, target: ast.expr, source: ast.expr, name: str, function: Function) -> list[ast.expr]:
        names = [part.id if isinstance(part, ast.Name) else "" for part in _parts(target)]
        if isinstance(source, ast.Call) and isinstance(source.func, ast.Attribute) and source.func.attr == "items":
            table = self._resolve(source.func.value, function)
            if isinstance(table, ast.Dict) and len(names) == 2 and names[1] == name:
                return list(table.values)
            return []
        return _column(self._items(source, function), names.index(name), len(names)) if name in names else []

    def _items(self, node: ast.expr, function: Function) -> list[ast.expr]:
        found = self._resolve(node, function)
        return list(found.elts) if isinstance(found, (ast.List, ast.Tuple)) else []

    def _resolve(self, node: ast.expr, function: Function) -> ast.expr | None:
        """The expression behind a name that is bound once and used once in the whole module."""
        if not isinstance(node, ast.Name):
            return node
        if self._loads[node.id] != 1:
            return None
        return _assigned(function.body).get(node.id) or self._globals.get(node.id)


def use_of(node: ast.expr) -> Use | None:
    """A name, or a field of one."""
    if isinstance(node, ast.Name):
        return node.id, None
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant):
        key = node.slice.value
        return (node.value.id, key) if isinstance(key, (str, int)) else None
    return None


def _used(body: list[ast.stmt]) -> Iterator[Use]:
    """Every use of a name; with a key where a field of it is taken."""
    fields: set[int] = set()
    for node in (part for statement in body for part in ast.walk(statement)):
        use = use_of(node) if isinstance(node, (ast.Name, ast.Subscript)) else None
        if use is None or not isinstance(getattr(node, "ctx", None), ast.Load) or id(node) in fields:
            continue
        if isinstance(node, ast.Subscript):
            fields.add(id(node.value))
        yield use


def _fields(rows: list[ast.expr], key: str | int) -> list[ast.expr]:
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


def _bindings(function: Function, name: str) -> Iterator[ast.AST]:
    """What gives a function's name its value: a parametrize decorator, an assignment, or a loop."""
    arguments = function.args
    if any(arg.arg == name for arg in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)):
        found = [call for call in function.decorator_list if name in _argument_names(call)]
        # A fixture's value is not found here, and then counts as a second binding.
        if found:
            yield from found
        else:
            yield from (arguments, arguments)
    for node in (part for statement in function.body for part in ast.walk(statement)):
        if isinstance(node, ast.Assign):
            if any(
                part.id == name for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)
            ):
                yield node if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name) else arguments
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


def _argument_names(call: ast.expr) -> list[str]:
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


def _column(rows: list[ast.expr], place: int, width: int) -> list[ast.expr]:
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


def _parts(target: ast.expr) -> list[ast.expr]:
    return list(target.elts) if isinstance(target, (ast.Tuple, ast.List)) else [target]


def _assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """The names that these statements assign exactly once, each with its value."""
    found: dict[str, list[ast.expr]] = {}
    for node in (part for statement in body for part in ast.walk(statement)):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _loaded(body: list[ast.stmt]) -> Iterator[str]:
    for node in (part for statement in body for part in ast.walk(statement)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id


def _stored(node: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def is_approx_call(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call) or not node.args:
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name == "approx"


def _become(node: ast.expr, other: ast.expr) -> None:
    """Turn a node into another where it stands."""
    node.__class__ = other.__class__
    node.__dict__ = {**other.__dict__, "lineno": node.lineno, "col_offset": node.col_offset}
