"""Mends a candidate's files with every remedy that answers what was found. Standard library only."""

from __future__ import annotations

import ast
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import PurePosixPath
from typing import Any

from deploy.sandbox.guards.material import Material, is_python, is_test, lines_of, parsed
from deploy.sandbox.guards.scope import PROTECTED, SUPPRESSION
from deploy.sandbox.remedies.edits import Edit, Source, applied
from deploy.sandbox.remedies.registry import REMEDIES, Finding, Remedy

MAX_BYTES = 2 * 1024 * 1024
MAX_FILES = 100
MAX_LINES = 3_000
"""Lines of a given file beyond which no remedy of whole files is tried: to compare them takes their square."""


def mend(material: Material, findings: Sequence[Finding], *, gentle: bool) -> dict[str, Any]:
    """The changed files, and for each remedy that changed something what it did: `{files, remedies}`.

    Tests, configuration of guards, suppression comments and what the task gave unchanged are left alone.

    Args:
        gentle: only remedies after which the code does the same.
    """
    remedies = [remedy for remedy in REMEDIES if remedy.gentle or not gentle]
    files: dict[str, str] = {}
    touched: dict[str, list[str]] = {}
    for path, text in list(material.changed.items())[:MAX_FILES]:
        if not may_be_mended(path, material):
            continue
        own = [finding for finding in findings if finding["file"] == path]
        better, names = mend_file(text, own, remedies, list(material.files), material.given.get(path))
        if better != text and not _takes_from_others(path, text, better, material):
            files[path] = better
            for name in names:
                touched.setdefault(name, []).append(path)
    told = [
        {"name": remedy.name, "sentence": f"{remedy.why} ({_named(touched[remedy.name])})"}
        for remedy in remedies if remedy.name in touched
    ]  # fmt: skip
    return {"files": files, "remedies": told}


def may_be_mended(path: str, material: Material) -> bool:
    protected = PROTECTED.fullmatch(PurePosixPath(path).name.lower())
    return is_python(path) and not is_test(path) and path not in material.tests and not protected


def mend_file(
    text: str, findings: Sequence[Finding], remedies: Sequence[Remedy], files: Sequence[str], given: str | None = None
) -> tuple[str, list[str]]:
    """A file after all remedies that answer its findings, and which of them changed it.

    Those that know the places are made together, on the lines that the findings name. One that fails, or whose
    result can't be read, changes nothing.
    """
    names: list[str] = []
    placed = [remedy for remedy in remedies if remedy.changes is not None]
    for remedy in remedies:
        if remedy.changes is not None:
            if placed:
                text, changed_by = _mend_places(text, findings, placed)
                names += changed_by
                placed = []
            continue
        found = remedy.answers(findings)
        if not found or remedy.apply is None:
            continue
        try:
            better = remedy.apply(text, found, files)
            if given is not None:
                better = without_given_lines(text, better, given)
        except Exception:  # noqa: S112 - a remedy that fails is no remedy, and the others are tried
            continue
        if better != text and is_harmless(text, better):
            names.append(remedy.name)
            text = better
    return text, names


def _mend_places(text: str, findings: Sequence[Finding], remedies: Sequence[Remedy]) -> tuple[str, list[str]]:
    if isinstance(parsed(text), Exception):
        return text, []
    source = Source.of(text)
    edits: list[Edit] = []
    names: list[str] = []
    for remedy in remedies:
        places = {(one["rule"], one["line"]) for one in remedy.answers(findings)}
        if not places or remedy.changes is None:
            continue
        wanted = [
            edit for change in remedy.changes(source)
            if any((change.rule, line) in places for line in change.lines)
            for edit in change.edits
        ]  # fmt: skip
        if wanted and is_harmless(text, applied(text, [*edits, *wanted])):
            edits += wanted
            names.append(remedy.name)
    return applied(text, edits), names


def _takes_from_others(path: str, before: str, after: str, material: Material) -> bool:
    """Whether a name goes that another file, or a test, imports from here: to this file it looks unused."""
    trees = parsed(before), parsed(after)
    if any(isinstance(tree, Exception) for tree in trees):
        return False
    was, left = (set(_imported(tree)) for tree in trees if isinstance(tree, ast.Module))
    gone = {name for name, _ in was} - {name for name, _ in left}
    module = PurePosixPath(path).stem
    return bool(gone) and any(
        name in gone and (source or "").split(".")[-1] == module
        for other, text in (*material.files.items(), *material.tests.items())
        if other != path and is_python(other) and isinstance(tree := parsed(text), ast.Module)
        for name, source in _imported(tree, of_source=True)
    )


def _imported(tree: ast.Module, *, of_source: bool = False) -> Iterator[tuple[str, str | None]]:
    """The names that a file's imports bind, or those that it asks for where they come from, with their modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((alias.name if of_source else alias.asname or alias.name, node.module) for alias in node.names)
        elif isinstance(node, ast.Import) and not of_source:
            yield from (((alias.asname or alias.name).split(".")[0], None) for alias in node.names)


def without_given_lines(before: str, after: str, given: str) -> str:
    """What a remedy made of a whole file, without its changes of lines that the task had given: they are not judged."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if max(len(old), len(new)) > MAX_LINES:
        return before
    kept = set(given.splitlines(keepends=True))
    made: list[str] = []
    for kind, start, end, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        given_lines = [] if kind == "equal" else [line for line in old[start:end] if line in kept and line.strip()]
        if kind == "delete":
            made += given_lines
        else:
            made += old[start:end] if given_lines else new[first:last]
    return "".join(made)


def is_harmless(before: str, after: str) -> bool:
    """Whether the result can be read, and no comment that silences a guard has come or gone."""
    readable = not isinstance(parsed(after), Exception)
    return readable and len(after) <= MAX_BYTES and _silencing(before) == _silencing(after)


def _silencing(text: str) -> Counter[str]:
    return Counter(match.group().lower() for line in lines_of(text) for match in SUPPRESSION.finditer(line))


def _named(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"{', '.join(paths[:3])}{more}"


def report(material: Material, findings: Sequence[Finding], gentle: bool, descriptor: int) -> None:
    """Tell what came of it on a descriptor, as JSON."""
    rest = memoryview(json.dumps(mend(material, findings, gentle=gentle)).encode())
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_report(data: bytes) -> Mapping[str, Any] | None:
    """What `report` told; None where it is nothing of that shape."""
    try:
        told = json.loads(data)
        files = {str(path): text for path, text in told["files"].items() if isinstance(text, str)}
        remedies = [{"name": str(one["name"]), "sentence": str(one["sentence"])} for one in told["remedies"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return {"files": files, "remedies": remedies}
