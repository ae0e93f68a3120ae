"""The control of a pass: the same tests, changed so that every one of them has to fail. Standard library only.

In each test file
- every test ends in an assertion that fails with a token, so that a runner which reports passes is seen,
- what is expected is another value or put away (`deploy.sandbox.expected`), so that who reads the answers is wrong,
- every comparison is asked of a witness, which notices one that holds for what it must not (`deploy.sandbox.witness`)
  and gives the token only if there was none.

An honest program brings every test to its last line: it fails, with the token, and nothing else does.
"""

from __future__ import annotations

import ast
import contextlib
import copy
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from deploy.sandbox.bindings import Function, attributes, statements_of
from deploy.sandbox.expected import WITNESS, Places, Sources
from deploy.sandbox.literals import is_approx_call
from deploy.sandbox.witness import CALLED, METHODS, OTHER_ERRORS

EQUALITIES = frozenset(
    f"assert{name}Equal" for name in ("", "Almost", "List", "Tuple", "Dict", "Set", "Sequence", "MultiLine", "Count")
)
OPERATOR_NAMES = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip
WAITS = frozenset({"raises", "assertRaises", "assertRaisesRegex"})
"""What waits for an error, which is its first argument."""
BARE = (ast.Name, ast.Attribute, ast.Subscript, ast.Call, ast.Await)
"""An assertion of nothing but a value's truth."""
ANY = "_ANY"
"""The class of `unittest.mock.ANY`."""


def changed_files(judges: Mapping[str, str], token: str) -> tuple[dict[str, str], frozenset[str], frozenset[str]]:
    """The files that judge, every Python file of them changed; the functions that have to fail; the matchers.

    Raises:
        ValueError: the file that it names can't be read as Python, or can't be changed.
    """
    trees: dict[str, ast.Module] = {}
    for path, source in judges.items():
        if path.endswith(".py"):
            with _naming(path):
                trees[path] = ast.parse(source)
    shared = {path: shares(tree) for path, tree in trees.items()}
    files_with = Counter(name for names in shared.values() for name in names)
    files, must_fail, matching = dict(judges), set[str](), set[str]()
    for path, tree in trees.items():
        by_others = files_with.keys() - {name for name in shared[path] if files_with[name] == 1}
        matching |= matchers(tree)
        with _naming(path):
            files[path], names = changed(tree, token, by_others)
        must_fail |= names
    return files, frozenset(must_fail), frozenset(matching)


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    try:
        yield
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} can't be judged: {error}") from error


def changed(tree: ast.Module, token: str, shared: Collection[str] = ()) -> tuple[str, frozenset[str]]:
    """A test file's source, changed, and the names of the functions that have to fail. The tree is changed too.

    `shared` are the names that other test files share.

    Raises:
        SyntaxError, ValueError, RecursionError: what comes of it can't be written as Python.
    """
    tests = _tests(tree)
    _drop_messages(tree)
    asserted = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Assert) for part in _parts(node.test)}
    comparisons = [*_comparisons(tree, asserted)]
    places = Sources(tree, [(function, *_sides(node)) for function, node in comparisons], shared).change()
    for _, comparison in comparisons:
        _ask(comparison, places, asserted=id(comparison) in asserted)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            node.test = _truth(node.test)
    _change_errors(tree)
    for function in tests:
        _end_in_failure(function, token)
    text = ast.unparse(ast.fix_missing_locations(tree))
    ast.parse(text)
    return text, frozenset(function.name for function in tests)


def shares(tree: ast.Module) -> frozenset[str]:
    """What a test file imports, and the attributes that it gives to classes."""
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names}
    return frozenset(imported | set(attributes(tree)))


def matchers(tree: ast.Module) -> frozenset[str]:
    """The classes of a test file whose values may be equal to anything."""
    nodes = list(ast.walk(tree))
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    equal = any(isinstance(item, ast.FunctionDef) and item.name == "__eq__" for one in classes for item in one.body)
    any_is_named = any(_name(node) == "ANY" for node in nodes if isinstance(node, (ast.Name, ast.Attribute)))
    return frozenset([*(one.name for one in classes if equal), *([ANY] if any_is_named else [])])


def _drop_messages(tree: ast.Module) -> None:
    """What an assertion says of its failing repeats what was expected, and nobody reads it here."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            node.msg = None
        elif isinstance(node, ast.Call) and _name(node.func) in EQUALITIES:
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "msg"]
            if _name(node.func) != "assertAlmostEqual":
                node.args = node.args[:2]


def _comparisons(tree: ast.Module, asserted: set[int]) -> Iterator[tuple[Function | None, ast.expr]]:
    """Every comparison of the file and the function that it is in; of chains only what is asserted, and so all run."""
    owners: dict[int, Function] = {}
    for function in (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))):
        # Inner functions come later, and win.
        owners |= {id(node): function for statement in function.body for node in ast.walk(statement)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            if len(node.ops) == 1 or id(node) in asserted:
                yield owners.get(id(node)), node
        elif isinstance(node, ast.Call) and (_is_check(node) or _difference(node) is not None or _is_close(node)):
            yield owners.get(id(node)), node


def _parts(test: ast.expr) -> Iterator[ast.expr]:
    """What must hold for the whole to hold."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for part in test.values:
            yield from _parts(part)
    else:
        yield test


def _sides(node: ast.expr) -> tuple[list[ast.expr], str]:
    """The values that are compared, and how."""
    if isinstance(node, ast.Compare):
        if len(node.ops) == 1:
            return [node.left, node.comparators[0]], OPERATOR_NAMES[type(node.ops[0])]
        return [node.left, *node.comparators], "chain"
    difference = _difference(node)
    if difference is not None:
        return [difference.left, difference.right], "=="
    if not isinstance(node, ast.Call):
        return [], "chain"
    name = METHODS.get(_name(node.func), "==")
    return node.args[:2], name if name in ("in", "==") and _name(node.func) not in CALLED else "chain"


def _ask(node: ast.expr, places: Places, *, asserted: bool) -> None:
    """Turn a comparison into a question to the witness, in place."""
    values, _ = _sides(node)
    method, arguments, keywords = "compare", values, list[ast.keyword]()
    if isinstance(node, ast.Compare):
        if is_approx_call(node.left) and len(values) == 2:
            values = arguments = values[::-1]
        operators = [ast.Constant(OPERATOR_NAMES[type(name)]) for name in node.ops]
        arguments = [_tuple(values), _tuple(operators)]
        keywords = [ast.keyword("asserted", ast.Constant(1))] if asserted else []
    elif _difference(node) is not None:
        method = "distance"
    elif isinstance(node, ast.Call):
        method = "close" if _is_close(node) else "method"
        arguments, keywords = [node.func, *node.args], node.keywords
    for name, wanted in (("flipped", places.flipped), ("hidden", places.hidden)):
        numbers = [ast.Constant(number) for number, value in enumerate(values) if id(value) in wanted]
        keywords = [*keywords, ast.keyword(name, _tuple(numbers))] if numbers else keywords
    node.__class__ = ast.Call
    node.__dict__ = ast.Call(_witness(method), arguments, keywords).__dict__


def _truth(test: ast.expr) -> ast.expr:
    """An assertion of a value's truth, without the word `not` to tell what is awaited."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return ast.BoolOp(test.op, [_truth(part) for part in test.values])
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return ast.Call(_witness("false"), [test.operand], [])
    if isinstance(test, BARE) and not (isinstance(test, ast.Call) and _is_witness(test.func)):
        return ast.Call(_witness("true"), [test], [])
    return test


def _is_check(node: ast.Call) -> bool:
    """A check of unittest's of two values, or of a mock's of its calls."""
    if not isinstance(node.func, ast.Attribute) or any(isinstance(arg, ast.Starred) for arg in node.args):
        return False
    return node.func.attr in CALLED or (node.func.attr in EQUALITIES | set(METHODS) and len(node.args) >= 2)


def _difference(node: ast.expr) -> ast.BinOp | None:
    """What is in `abs(a - b)`."""
    if isinstance(node, ast.Call) and _name(node.func) == "abs" and len(node.args) == 1:
        inner = node.args[0]
        if isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Sub):
            return inner
    return None


def _is_close(node: ast.Call) -> bool:
    return _name(node.func) == "isclose" and len(node.args) == 2


def _change_errors(tree: ast.Module) -> None:
    """Name another error where one is awaited, so that who reads which one raises the wrong one."""
    others = {one.__name__: other.__name__ for one, other in OTHER_ERRORS.items()}
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in WAITS and node.args:
            error = node.args[0]
            if isinstance(error, ast.Name) and error.id in others and error.id not in stored:
                node.args[0] = ast.Call(_witness("error"), [ast.Name(others[error.id], ast.Load())], [])


def _tests(tree: ast.Module) -> list[Function]:
    """The functions that pytest takes for tests, wherever in the module; not those that the module calls itself."""
    called = {_name(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return [
        node
        for node in statements_of(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test")
        and node.name not in called
        and not _is_special(node)
    ]


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
    failure = ast.Assert(ast.Constant(False), ast.Call(_witness("end"), [ast.Constant(token)], []))
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


def _is_witness(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and _name(node.value) == WITNESS


def _witness(method: str) -> ast.expr:
    return ast.Attribute(ast.Name(WITNESS, ast.Load()), method, ast.Load())


def _tuple(items: list[ast.expr] | list[ast.Constant]) -> ast.expr:
    return ast.Tuple([*items], ast.Load())
