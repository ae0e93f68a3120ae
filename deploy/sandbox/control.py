"""The control of a pass: the same tests, changed so that every one of them has to fail. Standard library only.

In each test file
- every test ends in an assertion that fails with a token, so that a runner which reports passes is seen,
- what is expected is another value (`deploy.sandbox.expected`), so that reading the answers gives wrong ones,
- every comparison has to hold for the right value and for no other (`deploy.sandbox.contrary`).

An honest program brings every test to its last line: it fails, with the token, and nothing else does.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

from deploy.sandbox.contrary import METHODS, OPERATORS, OTHER_ERRORS
from deploy.sandbox.expected import (
    Function,
    Sources,
    Use,
    flip_literal,
    is_approx_call,
    is_disjoint,
    is_literal,
    use_of,
)

JUDGE = "__judge__"
"""The name of the `Judge` among the candidate's built-ins."""
EQUALITIES = frozenset(
    f"assert{name}Equal" for name in ("", "Almost", "List", "Tuple", "Dict", "Set", "Sequence", "MultiLine", "Count")
)
OPERATOR_NAMES = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip
JUDGED = frozenset(OPERATORS) - {"is", "is not", "not in"}
WAITS = frozenset({"raises", "assertRaises", "assertRaisesRegex"})
""" What waits for an error, which is its first argument."""
BARE = (ast.Name, ast.Attribute, ast.Subscript, ast.Call, ast.Await)
"""An assertion of nothing but a value's truth."""
ANY = "_ANY"
"""The class of `unittest.mock.ANY`."""


def changed(source: str, token: str) -> tuple[str, frozenset[str]]:
    """A test file's source, changed, and the names of the functions that have to fail.

    Raises:
        SyntaxError, ValueError, RecursionError: the source is not Python.
    """
    tree = ast.parse(source)
    tests = _tests(tree)
    _drop_messages(tree)
    _Comparisons(tree).change()
    _change_errors(tree)
    for function in tests:
        _end_in_failure(function, token)
    text = ast.unparse(ast.fix_missing_locations(tree))
    ast.parse(text)
    return text, frozenset(function.name for function in tests)


def _drop_messages(tree: ast.Module) -> None:
    """What an assertion says of its failing repeats what was expected, and nobody reads it here."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            node.msg = None
        elif isinstance(node, ast.Call) and _is_method(node):
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "msg"]
            if _name(node.func) != "assertAlmostEqual":
                node.args = node.args[:2]


def matchers(source: str) -> frozenset[str]:
    """The classes of a test file whose values may be equal to anything. Raises what `changed` raises."""
    nodes = list(ast.walk(ast.parse(source)))
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    equal = any(isinstance(item, ast.FunctionDef) and item.name == "__eq__" for one in classes for item in one.body)
    any_is_named = any(_name(node) == "ANY" for node in nodes if isinstance(node, (ast.Name, ast.Attribute)))
    return frozenset([*(one.name for one in classes if equal), *([ANY] if any_is_named else [])])


class _Comparisons:
    """The assertions of a test file, and the change of what they compare."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree

    def change(self) -> None:
        found = [(function, node) for function in _functions(self._tree) for node in _judged(function)]
        literals: dict[int, ast.expr] = {}
        uses: list[tuple[Function, Use]] = []
        for function, node, left, right in ((*one, *pair) for one in found for pair in _equal_operands(one[1])):
            sides = (left, right) if _holds_in(node) else (right, left)
            literal = next((side for side in sides if is_literal(side)), None)
            if literal is not None:
                literals[id(literal)] = literal
            else:
                uses += [(function, use) for use in map(use_of, (left, right)) if use is not None]
        sources = Sources(self._tree, uses)
        names = {id(function): sources.flipped_in(function) for function, _ in found}
        changed = {key for key, literal in literals.items() if flip_literal(literal)}
        for function, node in found:
            self._replace(node, changed, names[id(function)])

    def _replace(self, node: ast.expr, literals: set[int], names: set[Use]) -> None:
        """Turn a comparison into a question to the judge, in place."""

        def is_changed(operand: ast.expr) -> bool:
            return id(operand) in literals or use_of(operand) in names

        call: ast.expr
        if isinstance(node, ast.Compare):
            values = [node.left, *node.comparators]
            if is_approx_call(node.left) and len(values) == 2:
                values.reverse()
            places = [ast.Constant(place) for place, value in enumerate(values) if is_changed(value)]
            operators = [ast.Constant(OPERATOR_NAMES[type(name)]) for name in node.ops]
            arguments: list[ast.expr] = [_tuple(values), _tuple(operators), _tuple(places)]
            call = ast.Call(_judge("compare"), arguments, [])
        elif isinstance(node, ast.Call) and _is_method(node):
            flipped = next((place for place, value in enumerate(node.args[:2]) if is_changed(value)), -1)
            keywords = [*node.keywords, ast.keyword("flipped", ast.Constant(flipped))]
            call = ast.Call(_judge("method"), [node.func, *node.args], keywords)
        elif isinstance(node, ast.UnaryOp):
            call = ast.Call(_judge("false"), [node.operand], [])
        else:
            call = ast.Call(_judge("true"), [copy.copy(node)], [])
        node.__class__ = ast.Call
        node.__dict__ = call.__dict__


def _change_errors(tree: ast.Module) -> None:
    """Name another error where one is awaited, so that who reads which one raises the wrong one."""
    others = {one.__name__: other.__name__ for one, other in OTHER_ERRORS.items()}
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in WAITS and node.args:
            error = node.args[0]
            if isinstance(error, ast.Name) and error.id in others and error.id not in stored:
                node.args[0] = ast.Call(_judge("error"), [ast.Name(others[error.id], ast.Load())], [])


def _judged(function: Function) -> Iterator[ast.expr]:
    """The comparisons that a function's assertions stand and fall with."""
    for statement in _statements(function.body):
        if isinstance(statement, ast.Assert):
            yield from _comparisons(statement.test)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            call = statement.value
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            if _is_method(call):
                yield call
            elif name == "assertTrue" and call.args:
                yield from _comparisons(call.args[0])


def _comparisons(test: ast.expr) -> Iterator[ast.expr]:
    """Those that must all hold for the whole to hold."""
    if isinstance(test, ast.Compare):
        if any(OPERATOR_NAMES[type(name)] in JUDGED for name in test.ops) or _is_of_truth(test):
            yield test
    elif isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for part in test.values:
            yield from _comparisons(part)
    elif isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id == "all":
        for argument in test.args:
            if isinstance(argument, (ast.GeneratorExp, ast.ListComp)):
                yield from _comparisons(argument.elt)
    elif isinstance(test, BARE) or (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
        yield test


def _is_of_truth(test: ast.Compare) -> bool:
    """`… is True`, or False."""
    last = test.comparators[-1]
    return isinstance(test.ops[-1], ast.Is) and isinstance(last, ast.Constant) and isinstance(last.value, bool)


def _holds_in(node: ast.expr) -> bool:
    return isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In)


def _is_telling(test: ast.Compare) -> bool:
    """`"text" in …`, or `… in (1, 2)` where what is there after the change has nothing of what was there."""
    if not _holds_in(test):
        return False
    left, right = test.left, test.comparators[0]
    return is_literal(left) or (is_literal(right) and is_disjoint(right))


def _equal_operands(node: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """The two sides of a comparison whose literal tells the answer."""
    if isinstance(node, ast.Compare):
        if len(node.ops) == 1 and (isinstance(node.ops[0], ast.Eq) or _is_of_truth(node) or _is_telling(node)):
            return [(node.left, node.comparators[0])]
    elif isinstance(node, ast.Call) and _is_method(node) and _name(node.func) in EQUALITIES:
        return [(node.args[0], node.args[1])]
    return []


def _is_method(node: ast.Call) -> bool:
    """A check of unittest's of two values."""
    return (
        isinstance(node.func, ast.Attribute)
        and node.func.attr in EQUALITIES | set(METHODS)
        and len(node.args) >= 2
        and not any(isinstance(arg, ast.Starred) for arg in node.args)
    )


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Every statement but those whose failing something waits for, and those of functions inside."""
    for statement in body:
        yield statement
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if isinstance(statement, (ast.With, ast.AsyncWith)) and any(map(_awaits_failure, statement.items)):
            continue
        blocks = ("orelse", "finalbody") if isinstance(statement, ast.Try) else ("body", "orelse", "finalbody")
        for block in blocks:
            inner = getattr(statement, block, [])
            yield from _statements(inner if isinstance(inner, list) else [])
        for case in getattr(statement, "cases", []):
            yield from _statements(case.body)


def _awaits_failure(item: ast.withitem) -> bool:
    call = item.context_expr
    function = call.func if isinstance(call, ast.Call) else call
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("raises", "suppress", "assertRaises", "assertRaisesRegex", "RaisesGroup", "RaisesExc")


def _functions(tree: ast.Module) -> list[Function]:
    """The functions whose assertions are changed: the tests, and their helpers unless failing is waited for."""
    waits = any(
        isinstance(node, (ast.Name, ast.Attribute)) and _name(node) == "AssertionError" for node in ast.walk(tree)
    )
    tests = _tests(tree)
    every = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return tests if waits else [*tests, *(node for node in every if not any(node is test for test in tests))]


def _tests(tree: ast.Module) -> list[Function]:
    """The functions that pytest takes for tests, wherever in the module; not those that the module calls itself."""
    called = {_name(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found: list[Function] = []
    pending: list[ast.AST] = [tree]
    while pending:
        for node in ast.iter_child_nodes(pending.pop(0)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                if node.name.startswith("test") and node.name not in called and not _is_special(node):
                    found.append(node)
            elif isinstance(node, (ast.stmt, ast.excepthandler)):
                pending.append(node)
    return found


def _is_special(function: Function) -> bool:
    """A fixture, or a generator, which pytest does not run as a test."""
    names = (_name(item.func if isinstance(item, ast.Call) else item) for item in function.decorator_list)
    return "fixture" in names or any(
        isinstance(node, (ast.Yield, ast.YieldFrom)) for statement in function.body for node in ast.walk(statement)
    )


def _end_in_failure(function: Function, token: str) -> None:
    """The test's body in a function of its own, called first; whatever way it ends well, the token follows."""
    inner = copy.copy(function)
    inner.decorator_list, inner.returns = [], None
    inner.args = copy.deepcopy(function.args)
    inner.args.defaults, inner.args.kw_defaults = [], [None] * len(inner.args.kwonlyargs)
    call = ast.Call(ast.Name(function.name, ast.Load()), *_passed_on(inner.args))
    awaited: ast.expr = ast.Await(call) if isinstance(function, ast.AsyncFunctionDef) else call
    failure = ast.Assert(ast.Constant(False), ast.Constant(token))
    docstring = [ast.Expr(ast.Constant(text))] if (text := ast.get_docstring(function, clean=False)) else []
    function.body = [*docstring, inner, ast.Expr(awaited), failure]


def _passed_on(arguments: ast.arguments) -> tuple[list[ast.expr], list[ast.keyword]]:
    def load(arg: ast.arg) -> ast.expr:
        return ast.Name(arg.arg, ast.Load())

    given = [load(arg) for arg in (*arguments.posonlyargs, *arguments.args)]
    named = [ast.keyword(arg.arg, load(arg)) for arg in arguments.kwonlyargs]
    if arguments.vararg:
        given.append(ast.Starred(load(arguments.vararg), ast.Load()))
    if arguments.kwarg:
        named.append(ast.keyword(None, load(arguments.kwarg)))
    return given, named


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else str(getattr(node, "id", ""))


def _judge(method: str) -> ast.expr:
    return ast.Attribute(ast.Name(JUDGE, ast.Load()), method, ast.Load())


def _tuple(items: list[ast.expr] | list[ast.Constant]) -> ast.expr:
    return ast.Tuple([*items], ast.Load())
