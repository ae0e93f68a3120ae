"""A function that is to be completed: what stands before its body, what it is for, and the grammar of its body.

A small model does much better where it only has to go on: the signature is kept by construction, and a grammar leaves
it no way to write prose, another docstring, or brackets that don't close.
"""

import ast
import re
from dataclasses import dataclass

from schema.messages.task import TaskSpec

MAX_SEARCHED = 20_000
"""Characters of a file in which a function to complete is looked for."""

INDENT = " " * 4

DEPTH = 4
"""Levels of indentation that a body may have."""


def _grammar(depth: int) -> str:
    """GBNF, as llama.cpp's server takes it, for the body of a function.

    Line by line, and so cheap to follow: after a line that ends in a colon the next is one level deeper, after any
    other it is as deep or less, and the answer is at its end with a `return` at the first level. Brackets and quotes
    close; there is no way to say a comment, a docstring or a function within, with which small models begin again.
    """
    rules = ['root ::= "    " line1']
    for level in range(1, depth + 1):
        deeper = f' | other ":\\n" "{INDENT * (level + 1)}" line{level + 1}' if level < depth else ""
        ended = "exit?" if level == 1 else f"next{level}"
        rules.append(f'line{level} ::= other "\\n" next{level} | back "\\n" {ended}{deeper}')
        rules.append(f"next{level} ::= " + " | ".join(f'"{INDENT * at}" line{at}' for at in range(1, level + 1)))
    return "\n".join([*rules, _LINES])


_LINES = r"""
other ::= start piece*
start ::= [a-ce-qs-zA-Z_] | "d" ([a-df-z0-9_ =,.] | de) | "r" ([b-df-z0-9_ =,.] | re)
de ::= "e" [a-eg-z0-9_ =,.]
re ::= "e" [a-su-z0-9_ =,.]
back ::= "return " piece+
piece ::= [^()\[\]{}"':\n\t#`$?;&\\] | ":" [^()\[\]{}"':\n\t#`$?;&\\] | group | string
group ::= "(" inner* ")" | "[" inner* "]" | "{" inner* "}"
inner ::= [^()\[\]{}"'\n\t#`$?;&\\] | group | string
string ::= "\"" ([^"\\\n] | "\\" [^\n])* "\"" | "'" ([^'\\\n] | "\\" [^\n])* "'"
exit ::= [^ \n]
""".strip()

GRAMMAR = _grammar(DEPTH)


@dataclass(frozen=True)
class Stub:
    """A function without its body.

    Attributes:
        path: the file it stands in.
        head: the file up to the body, docstring included.
        bare: the same without the docstring.
        tail: the file behind it.
        signature: of the function, on one line, without `def` and colon.
        doc: its docstring, as a person reads it.
    """

    path: str
    head: str
    bare: str
    tail: str
    signature: str
    doc: str

    def whole(self, unverified_body: str) -> str:
        """The file with a body."""
        return f"{self.head}{body_of(unverified_body)}{self.tail}"


@dataclass(frozen=True)
class Draft:
    """An answer that is begun: the model goes on with it, held to the grammar.

    Attributes:
        opening: the answer's beginning, as the model sees it.
    """

    stub: Stub
    opening: str
    grammar: str = GRAMMAR

    def whole(self, unverified_text: str) -> str:
        """The file. Servers differ in whether they repeat what was begun."""
        return self.stub.whole(unverified_text.removeprefix(self.opening))


def body_of(unverified_text: str) -> str:
    """What of a continuation belongs to the body: up to the first line that is not indented."""
    kept = []
    for line in unverified_text.splitlines():
        if line.strip() and not line[0].isspace():
            break
        kept.append(line)
    return "\n".join(kept).rstrip() + "\n"


def stub_of(spec: TaskSpec, path: str) -> Stub | None:
    """The last function of a file that has no body yet; None where there is none, or its body is not indented by 4."""
    text = spec.files.get(path, "")
    if not text.strip() or len(text) > MAX_SEARCHED or "\r" in text:
        return None
    text = text.rstrip() + "\n"
    for source in (text, f"{text}{INDENT}pass\n"):
        tree = _parse(source)
        if tree is not None:
            empty = [node for node in tree.body if isinstance(node, ast.FunctionDef) and _is_empty(node)]
            return _cut(path, text, empty[-1]) if empty else None
    return None


def _cut(path: str, text: str, function: ast.FunctionDef) -> Stub | None:
    lines = text.splitlines(keepends=True)
    first, last = function.body[0], function.body[-1]
    if first.col_offset != len(INDENT) or last.end_lineno is None:
        return None
    doc = ast.get_docstring(function) or ""
    start = first.end_lineno if doc and first.end_lineno else first.lineno - 1
    head, tail = "".join(lines[:start]), "".join(lines[last.end_lineno :])
    shown = ast.unparse(ast.FunctionDef(function.name, function.args, [ast.Pass()], [], function.returns, lineno=0))
    signature = re.sub(r"\s*:\s*pass\s*$", "", shown).removeprefix("def ")
    return Stub(path, head, "".join(lines[: first.lineno - 1]), tail, signature, doc)


def _is_empty(function: ast.FunctionDef) -> bool:
    """Whether its body is nothing but a docstring, `...`, `pass` or `raise NotImplementedError`."""
    return all(
        isinstance(node, ast.Pass)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Raise) and node.exc is not None and "NotImplementedError" in ast.dump(node.exc))
        for node in function.body
    )


def _parse(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
