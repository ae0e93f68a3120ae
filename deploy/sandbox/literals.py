"""Literals in a test file, and the other values that can stand in their place. Standard library only."""

from __future__ import annotations

import ast

from deploy.sandbox.contrary import flip

UNREADABLE = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)


def is_literal(node: ast.expr) -> bool:
    """Whether `flip_literal` would put another value there."""
    return _flipped(node) is not None


def flip_literal(node: ast.expr) -> None:
    """Put another value into a literal, or into that of an `approx(…)`, in place."""
    if is_approx_call(node):
        flip_literal(node.args[0])  # type: ignore[attr-defined]
        return
    text = _flipped(node)
    if text is None:
        raise ValueError("this is no literal that has another value")
    other = ast.parse(text, mode="eval").body
    node.__class__ = other.__class__
    node.__dict__ = {**other.__dict__, "lineno": node.lineno, "col_offset": node.col_offset}


def is_truth(node: ast.expr) -> bool:
    """`True` or `False`."""
    return isinstance(node, ast.Constant) and isinstance(node.value, bool)


def is_disjoint(node: ast.expr) -> bool:
    """Whether it is a literal list or tuple of which nothing is still there when it is changed."""
    if not is_literal(node) or not isinstance(node, (ast.List, ast.Tuple)):
        return False
    value = ast.literal_eval(node)
    return not any(item in value for item in flip(value))


def is_approx_call(node: ast.expr) -> bool:
    """`approx(…)`, by whatever way it was imported."""
    if not isinstance(node, ast.Call) or not node.args:
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name == "approx"


def _flipped(node: ast.expr) -> str | None:
    """The source of the other value; None where there is none that leads back."""
    if is_approx_call(node):
        return _flipped(node.args[0])  # type: ignore[attr-defined]
    try:
        value = ast.literal_eval(node)
        other = flip(value)
        text = repr(other)
        if repr(value) == text or repr(flip(other)) != repr(value) or repr(ast.literal_eval(text)) != text:
            return None
    except UNREADABLE:
        return None
    return text
