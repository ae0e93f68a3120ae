"""The guard `scope`: a candidate stays with what it was asked for. Standard library only."""

from __future__ import annotations

import io
import re
import tokenize
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from deploy.sandbox.guards.material import HIGH, LOW, MEDIUM, MODEL, NONE, Found, Material, is_python, lines_of

MAX_FILE_BYTES, MAX_BYTES, MAX_NEW = 200_000, 700_000, 50
PROTECTED = re.compile(
    r"(conftest\.py|\.?pytest\.(ini|toml)|pyproject\.toml|setup\.(cfg|py)|tox\.ini|(site|user)customize\.py|.*\.pth"
    r"|\.?ruff\.toml|\.bandit(\..*)?|bandit\.ya?ml|\.?mypy\.ini|\.flake8|\.?pylintrc|\.pre-commit-config\.yaml"
    r"|\.secrets\.baseline|\.coveragerc)"
)
"""Files that change how tests are judged or what guards say."""
SUPPRESSION = re.compile(
    r"#\s*(noqa|nosec|type:\s*ignore|pyright:|mypy:|ruff:|flake8:|isort:|fmt:|pylint:|pragma:?\s*(no|allowlist)"
    r"|pyre-|pytype:|ty:\s*ignore|yapf:|noinspection\b|nosonar\b|nosemgrep\b|gitleaks:|trufflehog:|codeql\b|lgtm\b|skipcq\b)",
    re.IGNORECASE,
)


class ScopeGuard:
    """Paths, sizes, protected files, tests, deletions, suppression comments and characters that hide."""

    name = "scope"

    def applies_to(self, path: str) -> bool:  # noqa: ARG002
        return True

    def run(self, material: Material) -> Iterator[Found]:
        for path, text in material.changed.items():
            yield from _path(path)
            yield from _size(path, text)
            yield from _hidden(path, text)
            if path in material.tests:
                yield Found("test-changed", HIGH, path, 0, "an acceptance test is not the candidate's to write")
            elif PROTECTED.fullmatch(PurePosixPath(path).name.lower()):
                yield Found("protected-file", HIGH, path, 0, "it changes how code is judged", MODEL)
            if is_python(path):
                yield from _encoding(path, text)
                yield from _suppressions(path, text, material)
        yield from _whole(material)


def _whole(material: Material) -> Iterator[Found]:
    for path in sorted(set(material.given) - set(material.files)):
        yield Found("file-deleted", MEDIUM, path, 0, "the task brought this file, and the candidate lacks it", MODEL)
    changed = material.changed
    total = sum(len(text.encode("utf-8", "replace")) for text in changed.values())
    if total > MAX_BYTES:
        yield Found("large-candidate", MEDIUM, "", 0, f"{total:,} bytes are new or changed; {MAX_BYTES:,} are much")
    new = sum(path not in material.given for path in changed)
    if new > MAX_NEW:
        yield Found("many-files", MEDIUM, "", 0, f"{new:,} files are new; {MAX_NEW} are many")


def _path(path: str) -> Iterator[Found]:
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "\\" in path:
        yield Found("path-outside", HIGH, path, 0, "the path leads out of the workspace")
    elif any(part.startswith("-") or "=" in part or not part.isprintable() for part in parts):
        yield Found("odd-path", MEDIUM, path, 0, "programs take such a name for an option", MODEL)
    elif any(part.startswith(".") for part in parts):
        yield Found("hidden-file", LOW, path, 0, "a hidden file is easily overlooked", MODEL)


def _size(path: str, text: str) -> Iterator[Found]:
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_FILE_BYTES:
        yield Found("large-file", MEDIUM, path, 0, f"{size:,} bytes; {MAX_FILE_BYTES:,} are much for one file", MODEL)


def _hidden(path: str, text: str) -> Iterator[Found]:
    """Characters that an editor does not show, or that show code in another order than Python reads it."""
    if text.isascii() and "\x00" not in text:
        return
    for number, line in enumerate(lines_of(text), 1):
        kinds = {unicodedata.category(character) for character in line if not character.isprintable()} - {"Zs"}
        if kinds & {"Cf", "Cs"} or "\x00" in line:
            yield Found("hidden-characters", HIGH, path, number, "the line holds characters that are not shown", MODEL)


def _encoding(path: str, text: str) -> Iterator[Found]:
    """A first line that lets Python read other text than is seen here: in UTF-7 a comment may hold code."""
    data = text.encode("utf-8", "replace")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        same = data.decode(encoding) == data.decode("utf-8-sig")
    except (SyntaxError, ValueError, LookupError):
        same = False
    if not same:
        yield Found("other-encoding", HIGH, path, 1, "Python reads the file in another encoding than UTF-8", MODEL)


def _suppressions(path: str, text: str, material: Material) -> Iterator[Found]:
    """Comments that silence a guard, where the task had not brought them."""
    before = Counter(comment for _, comment in _silencing(material.given.get(path, "")))
    for number, comment in _silencing(text):
        before[comment] -= 1
        if before[comment] < 0:
            said = "a comment that silences a guard is new; guards look past it"
            yield Found("suppression", MEDIUM, path, number, said, MODEL if number else NONE)


def _silencing(text: str) -> list[tuple[int, str]]:
    if not SUPPRESSION.search(text):
        return []
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        comments = [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    except (tokenize.TokenError, SyntaxError, ValueError, RecursionError):
        comments = [(number, line[line.index("#") :]) for number, line in enumerate(lines_of(text), 1) if "#" in line]
    return [(number, comment) for number, comment in comments if SUPPRESSION.search(comment)]
