"""Known-bad candidates: one small slip in a function that is right.

The slips are those of mutation testing (DeMillo, Lipton and Sayward, "Hints on test data selection", 1978): a bound
off by one, a comparison the other way or too wide, another constant, another operator, a condition turned round, a
return that is lost.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
COUNTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Div, ast.Div: ast.FloorDiv,
    ast.Mod: ast.FloorDiv,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A changed file, and the slip in it."""

    code: str
    slip: str


def mutants(code: str, name: str) -> list[Mutant]:
    """Every slip of every kind in the function of that name, each alone, in the order of the text; no two are equal."""
    tree = ast.parse(code)
    found: dict[str, Mutant] = {}
    for index, node in enumerate(ast.walk(tree)):
        for number, slip in enumerate(_slips(node)):
            changed = copy.deepcopy(tree)
            twin = next(each for place, each in enumerate(ast.walk(changed)) if place == index)
            if not _is_within(tree, node, name):
                continue
            _apply(twin, number)
            text = ast.unparse(ast.fix_missing_locations(changed)) + "\n"
            found.setdefault(text, Mutant(text, f"{slip}, line {getattr(node, 'lineno', 0)}"))
    found.pop(ast.unparse(tree) + "\n", None)
    return list(found.values())


def _is_within(tree: ast.Module, node: ast.AST, name: str) -> bool:
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == name]
    return any(child is node for function in functions for child in ast.walk(function))


def _slips(node: ast.AST) -> Iterator[str]:
    """What can be done to a node; `_apply` knows them by their order."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARED:
        yield "flipped comparison"
    elif isinstance(node, ast.BinOp) and type(node.op) in COUNTED:
        yield "wrong operator"
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield "off by one"
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield "wrong constant"
    elif isinstance(node, ast.If):
        yield "condition turned round"
    elif isinstance(node, ast.Return) and node.value is not None:
        yield "dropped return"


def _apply(node: ast.AST, number: int) -> None:
    assert number == 0
    if isinstance(node, ast.Compare):
        node.ops[0] = COMPARED[type(node.ops[0])]()
    elif isinstance(node, ast.BinOp):
        node.op = COUNTED[type(node.op)]()
    elif isinstance(node, ast.Constant):
        node.value = (not node.value) if type(node.value) is bool else node.value + 1  # type: ignore[operator]
    elif isinstance(node, ast.If):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif isinstance(node, ast.Return):
        node.value = None
