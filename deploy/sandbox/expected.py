"""Finds what a test expects, and puts another value in its place or hides it. Standard library only.

A program that reads its answers out of the test file, or out of the variables of the test that calls it, then gives
answers that are wrong.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from deploy.sandbox.bindings import (
    Function,
    Use,
    argument_names,
    assigned,
    attributes,
    bindings,
    column,
    fields,
    loaded,
    parts,
    use_of,
    used,
)
from deploy.sandbox.literals import flip_literal, is_disjoint, is_literal, is_truth

WITNESS = "__witness__"
"""The name of the `Witness` among the candidate's built-ins."""
Comparison = tuple[Function | None, list[ast.expr], str]
"""The function it is in, the values that are compared, and by which operator."""


@dataclass
class Places:
    """The values in comparisons, by identity, that stand flipped in the file, and those that are hidden before."""

    flipped: set[int] = field(default_factory=set)
    hidden: set[int] = field(default_factory=set)


class Sources:
    """Where the compared values of a module come from.

    What gives a name its value is changed only if the name is used for nothing but comparisons. `shared` are names
    and attributes that other files know of.
    """

    def __init__(self, tree: ast.Module, comparisons: Iterable[Comparison], shared: Collection[str]) -> None:
        self._loads = Counter(loaded(tree.body))
        self._globals = assigned(tree.body)
        self._attributes = attributes(tree)
        self._comparisons = list(comparisons)
        self._shared = frozenset(shared)
        self._done: set[int] = set()
        self._wanted: Counter[str] = Counter()

    def change(self) -> Places:
        """Change what is expected, in place, and tell where."""
        places = Places()
        literals: list[ast.expr] = []
        uses: dict[int, tuple[Function, dict[Use, list[tuple[ast.expr, str]]]]] = {}
        for function, values, name in self._comparisons:
            literal = _literal_of(values, name)
            if literal is not None:
                literals.append(literal)
                continue
            for value in values:
                use = use_of(value)
                if use is not None and function is not None:
                    self._wanted[use[0]] += 1
                    uses.setdefault(id(function), (function, {}))[1].setdefault(use, []).append((value, name))
        for function, found in uses.values():
            self._change_uses(function, found, places)
        for literal in literals:
            flip_literal(literal)
            places.flipped.add(id(literal))
        return places

    def _change_uses(self, function: Function, found: dict[Use, list[tuple[ast.expr, str]]], places: Places) -> None:
        loads = Counter(used(function.body))
        for (name, key), nodes in found.items():
            # Of a table that is passed on as a whole nobody knows which field is used.
            if not name.startswith(".") and (loads[name, key] != len(nodes) or (key is not None and loads[name, None])):
                continue
            operators = {operator for _, operator in nodes}
            ids = {id(node) for node, _ in nodes}
            if operators <= {"==", "!=", "is", "is not"} and self._flip_source(function, (name, key), operators):
                places.flipped |= ids
            elif key is None and _hide(function, name):
                places.hidden |= ids

    def _flip_source(self, function: Function, use: Use, operators: set[str]) -> bool:
        literals = self._sources(function, use)
        if use[1] is not None:
            literals = fields(literals, use[1])
        todo = [node for node in literals if id(node) not in self._done]
        if not todo:
            # What another function uses in the same way.
            return bool(literals)
        suits = is_literal if operators <= {"==", "!="} else is_truth
        if len(todo) < len(literals) or not all(map(suits, literals)):
            return False
        self._done.update(map(id, literals))
        for node in literals:
            flip_literal(node)
        return True

    def _sources(self, function: Function, use: Use) -> list[ast.expr]:
        """Every expression that the name gets its value from; none where that can't be told."""
        name = use[0]
        found = [] if name.startswith(".") else [*bindings(function, name)]
        if not found:
            # Of the whole module: all its uses must be comparisons.
            whole = self._whole(name)
            return [whole] if whole is not None and self._loads[name] == self._wanted[name] else []
        return self._expressions(found[0], name, function) if len(found) == 1 else []

    def _whole(self, name: str) -> ast.expr | None:
        if name in self._shared:
            return None
        if name.startswith("."):
            values = self._attributes.get(name, [])
            return values[0] if len(values) == 1 else None
        return self._globals.get(name)

    def _expressions(self, binding: ast.AST, name: str, function: Function) -> list[ast.expr]:
        if isinstance(binding, ast.Assign):
            return [binding.value]
        if isinstance(binding, ast.Call):
            names, rows = argument_names(binding), self._items(binding.args[1], function)
            return column(rows, names.index(name), len(names))
        if isinstance(binding, (ast.For, ast.comprehension)):
            return self._looped(binding.target, binding.iter, name, function)
        return []

    def _looped(self, target: ast.expr, source: ast.expr, name: str, function: Function) -> list[ast.expr]:
        names = [part.id if isinstance(part, ast.Name) else "" for part in parts(target)]
        called = source.func if isinstance(source, ast.Call) else None
        if isinstance(source, ast.Call) and isinstance(called, ast.Name) and called.id == "enumerate":
            inner = parts(target)[-1]
            return self._looped(inner, source.args[0], name, function) if source.args else []
        if name not in names:
            return []
        place = names.index(name)
        if isinstance(source, ast.Call) and isinstance(called, ast.Name) and called.id == "zip":
            return self._items(source.args[place], function) if len(source.args) == len(names) else []
        if isinstance(called, ast.Attribute) and called.attr == "items":
            table = self._resolve(called.value, function)
            return list(table.values) if isinstance(table, ast.Dict) and (place, len(names)) == (1, 2) else []
        return column(self._items(source, function), place, len(names))

    def _items(self, node: ast.expr, function: Function) -> list[ast.expr]:
        found = self._resolve(node, function)
        return list(found.elts) if isinstance(found, (ast.List, ast.Tuple)) else []

    def _resolve(self, node: ast.expr, function: Function) -> ast.expr | None:
        """The expression behind a name that is bound once and used once in the whole module."""
        use = use_of(node)
        if use is None or use[1] is not None:
            return node
        if self._loads[use[0]] != 1:
            return None
        return assigned(function.body).get(use[0]) or self._whole(use[0])


def _literal_of(values: list[ast.expr], name: str) -> ast.expr | None:
    """The literal among two compared values that tells the answer."""
    if len(values) != 2 or name == "chain":
        return None
    left, right = values
    if name in ("==", "!="):
        return next((side for side in (right, left) if is_literal(side)), None)
    if name in ("is", "is not"):
        return right if is_truth(right) else None
    if name in ("in", "not in"):
        return left if is_literal(left) else right if is_disjoint(right) else None
    return None


def _hide(function: Function, name: str) -> bool:
    """Put the value away where the function's name gets it; False where that is not one place."""
    found = [] if name.startswith(".") else [*bindings(function, name)]
    if len(found) != 1:
        return False
    binding = found[0]
    if isinstance(binding, ast.Assign):
        binding.value = _hidden(binding.value)
        return True
    assign = ast.Assign([ast.Name(name, ast.Store())], _hidden(ast.Name(name, ast.Load())))
    if isinstance(binding, ast.For):
        binding.body.insert(0, assign)
    elif isinstance(binding, (ast.Call, ast.arguments)):
        function.body.insert(1 if ast.get_docstring(function, clean=False) is not None else 0, assign)
    else:
        return False
    return True


def _hidden(value: ast.expr) -> ast.expr:
    return ast.Call(ast.Attribute(ast.Name(WITNESS, ast.Load()), "hide", ast.Load()), [value], [])
