"""Remedies of calls: unsafe YAML, shells that nobody needs, weak hashes. Standard library only."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise

from deploy.sandbox.remedies.edits import Change, Edit, Source, names_of_module
from deploy.sandbox.remedies.statements import assertions

STARTERS = frozenset({"run", "call", "check_call", "check_output", "Popen"})
_SHELL = re.compile(r"[;&|<>()$`\\*?#~!{}\[\]\n\r\x00]")
_BUILT_IN = frozenset(
    "cd export source alias exit set unset ulimit umask read eval exec type . : trap wait jobs shift command if for "  # noqa: SIM905
    "while until case select function time let local return pushd popd shopt builtin hash times bg fg".split()
)
WEAK = {"md5": "sha256", "sha1": "sha256"}
_PROMISED = re.compile(r"md5|sha[-_]?1(?![0-9])", re.IGNORECASE)
LOADERS = frozenset({"Loader", "FullLoader", "UnsafeLoader", "CLoader", "CFullLoader", "CUnsafeLoader"})
"""Those that read what the safe one reads as it does. One of the candidate's own knows more, and BaseLoader less."""


def remedied(text: str) -> set[tuple[str, int]]:
    """The rules and lines that a remedy of calls or of assertions answers in this text."""
    source = Source.of(text)
    makers = (safe_yaml, without_shell, strong_hashes, assertions)
    return {(change.rule, line) for make in makers for change in make(source) for line in change.lines}


def safe_yaml(source: Source) -> Iterator[Change]:
    """`yaml.load(x, …)` as `yaml.safe_load(x)`, which makes data and no objects."""
    names, members = names_of_module(source.tree, "yaml")
    for node in _calls(source.tree):
        function = node.func
        if not (isinstance(function, ast.Attribute) and _is_name(function.value, names)):
            continue
        if function.attr not in ("load", "load_all") or not node.args or len(node.args) > 2:
            continue
        if any(keyword.arg != "Loader" for keyword in node.keywords) or isinstance(node.args[0], ast.Starred):
            continue
        loaders = [*node.args[1:], *(keyword.value for keyword in node.keywords)]
        dropped = _dropped(source, node, [*node.args[1:], *node.keywords])
        if dropped is None or not all(_is_loader(loader, names, members) for loader in loaders):
            continue
        end = source.end(function)
        rename = Edit(end - len(function.attr), end, f"safe_{function.attr}")
        yield Change("B506", _lines(node), (rename, *dropped))


def without_shell(source: Source) -> Iterator[Change]:
    """A command that is a plain literal as the list of its words, without a shell that would read it."""
    names, members = names_of_module(source.tree, "subprocess")
    for node in _calls(source.tree):
        function = node.func
        called = function.attr if isinstance(function, ast.Attribute) and _is_name(function.value, names) else None
        if isinstance(function, ast.Name):
            called = members.get(function.id)
        if called not in STARTERS or not node.args:
            continue
        words = _words(node.args[0])
        shell = next((keyword for keyword in node.keywords if keyword.arg == "shell"), None)
        if words is None or shell is None or not (isinstance(shell.value, ast.Constant) and shell.value.value is True):
            continue
        command = node.args[0]
        dropped = _dropped(source, node, [shell])
        # Another shell, or what can't be seen, would be given the words as its own.
        unknown = any(keyword.arg in (None, "executable") for keyword in node.keywords)
        if dropped is None or unknown or "#" in source.segment(command):
            continue
        listed = Edit(source.start(command), source.end(command), json.dumps(words, ensure_ascii=False))
        yield Change("B602", _lines(node), (listed, *dropped))


def strong_hashes(source: Source) -> Iterator[Change]:
    """MD5 and SHA-1 as SHA-256, where no name or text promises the old one. That a hash is not for security is nothing
    that a tool may claim: where somebody relies on the old digest a test says so, and the fix is dropped."""
    names, _ = names_of_module(source.tree, "hashlib")
    if _promises_weak_hash(source.tree):
        return
    for node in _calls(source.tree):
        function = node.func
        if not (isinstance(function, ast.Attribute) and _is_name(function.value, names)):
            continue
        if any(keyword.arg == "usedforsecurity" for keyword in node.keywords):
            continue
        if function.attr in WEAK:
            end = source.end(function)
            yield Change("B324", _lines(node), (Edit(end - len(function.attr), end, WEAK[function.attr]),))
        elif function.attr == "new" and node.args and isinstance(node.args[0], ast.Constant):
            named = node.args[0]
            if isinstance(named.value, str) and named.value.lower() in WEAK:
                strong = json.dumps(WEAK[named.value.lower()])
                yield Change("B324", _lines(node), (Edit(source.start(named), source.end(named), strong),))


def _words(command: ast.expr) -> list[str] | None:
    """The words of a literal command that no shell has to read."""
    if not (isinstance(command, ast.Constant) and isinstance(command.value, str)):
        return None
    if _SHELL.search(command.value):
        return None
    try:
        words = shlex.split(command.value)
    except ValueError:
        return None
    plain = bool(words) and "=" not in words[0] and words[0] not in _BUILT_IN
    return words if plain else None


def _is_loader(loader: ast.expr, names: set[str], members: dict[str, str]) -> bool:
    if isinstance(loader, ast.Attribute):
        return _is_name(loader.value, names) and loader.attr in LOADERS
    return isinstance(loader, ast.Name) and members.get(loader.id) in LOADERS


def _promises_weak_hash(tree: ast.Module) -> bool:
    """Whether the file tells others that it is an MD5 or SHA-1: in a function's name, a key, what it says of itself."""
    named = {id(node.args[0]) for node in _calls(tree) if node.args and _is_new(node.func)}
    for node in ast.walk(tree):
        texts: list[object] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            texts = [node.name]
        elif isinstance(node, ast.Name):
            texts = [node.id]
        elif isinstance(node, ast.arg | ast.keyword):
            texts = [node.arg]
        elif isinstance(node, ast.Constant) and id(node) not in named:
            texts = [node.value]
        if any(isinstance(text, str) and _PROMISED.search(text) for text in texts):
            return True
    return False


def _is_new(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr == "new"


def _dropped(source: Source, call: ast.Call, unwanted: Sequence[ast.expr | ast.keyword]) -> list[Edit] | None:
    """Arguments taken out, each with the comma before it; None where anything else stands between. The first argument
    is never among them."""
    edits: list[Edit] = []
    given: list[ast.expr | ast.keyword] = sorted([*call.args, *call.keywords], key=source.start)
    for before, argument in pairwise(given):
        if any(argument is one for one in unwanted):
            between = source.text[source.end(before) : source.start(argument)]
            if between.strip() != ",":
                return None
            edits.append(Edit(source.end(before), source.end(argument), ""))
    return edits


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _is_name(node: ast.expr, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _lines(node: ast.expr) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)
