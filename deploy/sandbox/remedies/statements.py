"""Remedies of statements: shared defaults, bare excepts, assertions, doubled definitions. Standard library only."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator

from deploy.sandbox.remedies.edits import Change, Edit, Placed, Source, first_line

Function = ast.FunctionDef | ast.AsyncFunctionDef
_MAKERS = frozenset({"list", "dict", "set"})
_DISPLAYS = (ast.List, ast.Dict, ast.Set)
_MEMORY = re.compile(r"cache|memo|registry", re.IGNORECASE)
_FAILURES = frozenset({"AssertionError", "ValueError", "TypeError"})
_SIMPLE = (ast.Name, ast.Attribute, ast.Call, ast.Subscript)


def own_defaults(source: Source) -> Iterator[Change]:
    """A default that all calls would share is made anew in each call."""
    for node in ast.walk(source.tree):
        if not isinstance(node, Function):
            continue
        place = _first_place(source, node)
        if place is None:
            continue
        offset, indentation = place
        for argument, default in _defaults(node):
            if not _is_shared(default) or not _may_be_none(argument.annotation):
                continue
            # What its name says all calls shall share.
            if _MEMORY.search(argument.arg):
                continue
            made = f"{indentation}if {argument.arg} is None:{source.newline}"
            made += f"{_deeper(indentation)}{argument.arg} = {source.segment(default)}{source.newline}"
            edits = [Edit(source.start(default), source.end(default), "None"), Edit(offset, offset, made)]
            yield Change("B006", _lines(default), (*edits, *_optional(source, argument.annotation)))


def caught_exceptions(source: Source) -> Iterator[Change]:
    """`except:` as `except Exception:`, which lets Ctrl-C and exits through. What is raised again is no finding; where
    a handler before it has `Exception`, it is there for the others."""
    for tree in ast.walk(source.tree):
        if not isinstance(tree, ast.Try) or any("Exception" in _names(handler.type) for handler in tree.handlers):
            continue
        for node in tree.handlers:
            if node.type is None:
                place = source.start(node) + len("except")
                edit = Edit(place, place, " Exception")
                yield Change("E722", range(node.lineno, node.lineno + 1), (edit,))


def assertions(source: Source) -> Iterator[Change]:
    """`assert` as a check that `python -O` does not take away; not where the file catches what either raises."""
    caught = _caught(source.tree)
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Assert) or isinstance(node.test, ast.Tuple) or id(node) in caught:
            continue
        indentation = source.indentation(node)
        if indentation is None or not source.ends_line(node):
            continue
        test = source.segment(node.test)
        parts = [node.test] if node.msg is None else [node.test, node.msg]
        if _comments(source.segment(node)) != sum(_comments(source.segment(part)) for part in parts):
            continue
        said = source.segment(node.msg) if node.msg is not None else json.dumps(f"not true: {' '.join(test.split())}")
        if node.msg is not None and "\n" in said:
            said = f"({said})"
        condition = test if isinstance(node.test, _SIMPLE) and "\n" not in test else f"({test})"
        error = "TypeError" if _asks_for_a_type(node.test) else "ValueError"
        checked = f"if not {condition}:{source.newline}{_deeper(indentation)}raise {error}({said})"
        yield Change("B101", _lines(node), (Edit(source.start(node), source.end(node), checked),))


def single_definitions(source: Source) -> Iterator[Change]:
    """Of functions and classes that are defined twice in a row of statements, only the last: the one that counts."""
    for node in ast.walk(source.tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        last: dict[str, Function | ast.ClassDef] = {}
        for statement in body:
            if not isinstance(statement, Function | ast.ClassDef):
                continue
            before = last.get(statement.name)
            if before is not None and _is_alone(source, before) and not statement.decorator_list:
                lines = range(statement.lineno, statement.lineno + 1)
                end = source.line_start((before.end_lineno or before.lineno) + 1)
                yield Change("F811", lines, (Edit(source.line_start(before.lineno), end, ""),))
            last[statement.name] = statement


def _defaults(function: Function) -> Iterator[tuple[ast.arg, ast.expr]]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    if arguments.defaults:
        yield from zip(positional[-len(arguments.defaults) :], arguments.defaults, strict=True)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            yield argument, default


def _is_shared(default: ast.expr) -> bool:
    """Whether it makes an object that can change, of values that are the same whenever it is made."""
    if isinstance(default, ast.Call):
        made = isinstance(default.func, ast.Name) and default.func.id in _MAKERS
        return made and not default.args and not default.keywords
    if not isinstance(default, _DISPLAYS):
        return False
    try:
        ast.literal_eval(default)
    except (ValueError, TypeError, SyntaxError):
        return False
    return True


def _may_be_none(annotation: ast.expr | None) -> bool:
    """Whether ` | None` can stand behind an annotation, which Python works out when it defines the function."""
    if isinstance(annotation, ast.Name):
        return annotation.id not in ("any", "callable")
    return annotation is None or isinstance(annotation, ast.Attribute | ast.Subscript | ast.BinOp | ast.Constant)


def _names(caught: ast.expr | None) -> set[str]:
    """The exceptions that a handler names."""
    if caught is None:
        return set()
    return {node.id for node in ast.walk(caught) if isinstance(node, ast.Name)}


def _caught(tree: ast.Module) -> set[int]:
    """The assertions whose failure, or the error in its place, is caught where they stand; all of them where the file
    knows of `AssertionError`."""
    if any(isinstance(node, ast.Name) and node.id == "AssertionError" for node in ast.walk(tree)):
        return {id(node) for node in ast.walk(tree)}
    return {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Try) and any(_names(handler.type) & _FAILURES for handler in node.handlers)
        for statement in node.body
        for part in ast.walk(statement)
    }


def _comments(text: str) -> int:
    """How many comments an expression or a statement holds."""
    if "#" not in text:
        return 0
    try:
        tokens = tokenize.generate_tokens(io.StringIO(f"({text}\n)").readline)
        return sum(token.type == tokenize.COMMENT for token in tokens)
    except (tokenize.TokenError, SyntaxError):
        return text.count("#")


def _optional(source: Source, annotation: ast.expr | None) -> Iterator[Edit]:
    """` | None` behind an annotation that says nothing of None."""
    if annotation is None or isinstance(annotation, ast.Constant):
        return
    told = source.segment(annotation)
    if "None" not in told and "Optional" not in told and "\n" not in told:
        end = source.end(annotation)
        yield Edit(end, end, " | None")


def _first_place(source: Source, function: Function) -> tuple[int, str] | None:
    """Where a function's first statement after its docstring begins, and how far it is indented."""
    first = function.body[0]
    documented = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    indentation = source.indentation(first)
    if indentation is None or not indentation:
        return None
    if not documented:
        return source.line_start(first_line(first)), indentation
    if len(function.body) > 1:
        following = function.body[1]
        return (
            (source.line_start(first_line(following)), indentation)
            if source.indentation(following) is not None
            else None
        )
    place = source.line_start((first.end_lineno or first.lineno) + 1)
    return (place, indentation) if source.text[:place].endswith(("\n", "\r")) else None


def _is_alone(source: Source, definition: Function | ast.ClassDef) -> bool:
    """Whether its lines are its own, and nothing else may know of it."""
    return not definition.decorator_list and source.indentation(definition) is not None and source.ends_line(definition)


def _asks_for_a_type(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id in ("isinstance", "issubclass")
    )


def _deeper(indentation: str) -> str:
    return indentation + ("\t" if "\t" in indentation else "    ")


def _lines(node: Placed) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)
