"""Remedies of what Python can't read: the ways in which models spoil code. Standard library only."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator

MAX_CHARACTERS = 100_000
MAX_TRIES = 60
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n`]*$")
_INVISIBLE = re.compile("[\u200b\u200c\u200d\u2060\ufeff\u202a-\u202e\u2066-\u2069]")
_CODE = re.compile(
    r"(?:async\s+def|def|class|import|from|if|for|while|with|try|return|raise|async|match|global|assert|del|print|exec|pass|yield)\b.*"
    r"|[\w.]+(?:\[[^\]]*\])?\s*(?:[-+*/%&|^@]|//|\*\*|<<|>>)=.*|[\w.]+(?:\s*,\s*\*?[\w.]+)+\s*=[^=].*"
    r"|@\w.*|[A-Za-z_][\w.]*(?:\[[^\]]*\])?\s*(?::[^=]+)?=[^=].*|[A-Za-z_][\w.]*\(.*|[\"'#].*|[)\]}].*"
)
_GOES_ON = re.compile(r"(?:else|elif|except|finally|case)\b|[)\]}]")
_DEFINES = re.compile(r"(?:async\s+def|def|class)\s+(\w+)")
_WORDS = re.compile(r"[A-Za-z][\w'’-]*(?:[,;]? [\w'’`\"().-]+){3,}[.:!]?")
_ODD = re.compile(r"invalid (?:non-printable )?character")
_PLAIN = str.maketrans({"\u00a0": " ", "\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'"})
_CUT_OFF = re.compile(
    r"was never closed|unterminated|unexpected EOF|expected an indented block|expected ':'|expected 'except'"
)
MAX_CUT = 20
"""Lines that an unfinished end may have: what misses more is no matter of its end."""
_QUOTES = re.compile(r'"""|\'\'\'')

Step = tuple[str, Callable[[str], str]]


def mended(text: str) -> tuple[str, tuple[str, ...]] | None:
    """A text that Python can read, and what was done for it; None where nothing here helps.

    Each step goes on from what the one before left, and the first result that can be read and does something is it.
    """
    if len(text) > MAX_CHARACTERS or _reads(text) is not None:
        return None
    steps: tuple[Step, ...] = (
        ("invisible characters removed", without_invisible),
        ("fences and the words around them removed", unfenced),
        ("indentation made even", evenly_indented),
        ("missing colons added", with_colons),
        ("words that are no code, and unfinished ends, removed", only_whole_blocks),
    )
    done: list[str] = []
    for said, step in steps:
        changed = step(text)
        if changed == text:
            continue
        text = changed
        done.append(said)
        tree = _reads(text)
        if tree is not None and _does_something(tree):
            return text, tuple(done)
    return None


def without_invisible(text: str) -> str:
    """Without NUL and, in the lines where Python stumbles over them, without characters that nobody sees and with plain
    spaces and quotes for those of a word processor. Those in strings that can be read stay."""
    text = text.replace("\x00", "")
    for _ in range(MAX_TRIES):
        try:
            _parse(text)
        except SyntaxError as error:
            lines = text.splitlines(keepends=True)
            number = error.lineno or 0
            if not _ODD.match(error.msg or "") or not 0 < number <= len(lines):
                break
            plain = _INVISIBLE.sub("", lines[number - 1]).translate(_PLAIN)
            if plain == lines[number - 1]:
                break
            text = "".join([*lines[: number - 1], plain, *lines[number:]])
        except (ValueError, RecursionError, MemoryError, OverflowError):
            break
        else:
            break
    return text


def unfenced(text: str) -> str:
    """The first fenced block with code; an unfinished one reaches to the end. Or what stands before a lone fence."""
    blocks: list[list[str]] = [[]]
    quoted = ""
    for line in text.splitlines(keepends=True):
        # A fence within a long string is part of what the code says of itself.
        if not quoted and _FENCE.match(line.rstrip("\r\n")):
            blocks.append([])
        else:
            blocks[-1].append(line)
        for mark in _QUOTES.findall(line):
            quoted = "" if quoted == mark else quoted or mark
    if len(blocks) == 1:
        return text
    inside, outside = blocks[1::2], blocks[0::2]
    for block in (*inside, *outside):
        tree = _reads(textwrap.dedent("".join(block)))
        if tree is not None and _does_something(tree):
            return textwrap.dedent("".join(block))
    # None can be read as it is: the first that looks like code goes on to the next step.
    for block in (*inside, *outside):
        if any(_CODE.match(line.strip()) for line in block if line.strip()):
            return "".join(block)
    return text


def evenly_indented(text: str) -> str:
    """Tabs before code as spaces, and a whole file that is indented moved to the left."""
    for width in (4, 8):
        even = "".join(_with_spaces(text, width))
        for candidate in (even, textwrap.dedent(even), textwrap.dedent(text)):
            if _reads(candidate) is not None:
                return candidate
    return text


def with_colons(text: str) -> str:
    """A colon at the end of each line where Python expects one."""
    changed = text
    for _ in range(20):
        try:
            _parse(changed)
        except SyntaxError as error:
            lines = changed.splitlines(keepends=True)
            if error.msg != "expected ':'" or not error.lineno or error.lineno > len(lines):
                break
            line = lines[error.lineno - 1]
            code = line.split("#")[0].rstrip() if "'" not in line and '"' not in line else line.rstrip()
            lines[error.lineno - 1] = f"{code}:{line[len(code) :]}"
            changed = "".join(lines)
        except (ValueError, RecursionError, MemoryError):
            break
        else:
            return changed
    return changed if _reads(changed) is not None else text


def only_whole_blocks(text: str) -> str:
    """Statements that can be read by themselves. Words between them go; so does a definition that is not whole
    where a whole one of its name is there, and the unfinished end of the last."""
    blocks = list(_blocks(text))
    whole = {name for block in blocks if _reads(block) is not None for name in _DEFINES.findall(block)}
    kept: list[str] = []
    for number, block in enumerate(blocks):
        tree = _reads(block)
        if tree is not None:
            if not _is_a_word(tree):
                kept.append(block)
        elif not _looks_like_code(block) or set(_DEFINES.findall(block)[:1]) & whole:
            continue
        elif number == len(blocks) - 1 or not any(map(_looks_like_code, blocks[number + 1 :])):
            kept.append(_without_end(block))
        else:
            return text
    return "".join(kept)


def _blocks(text: str) -> Iterator[str]:
    """Runs of lines that belong together: each begins at the left margin, and not within a long string."""
    block: list[str] = []
    quoted, decorated = "", False
    for line in text.splitlines(keepends=True):
        starts = bool(line.strip()) and not line[0].isspace() and not quoted and not _GOES_ON.match(line)
        if starts and block and not decorated:
            yield "".join(block)
            block = []
        if starts:
            decorated = line.startswith("@")
        block.append(line)
        for mark in _QUOTES.findall(line):
            quoted = "" if quoted == mark else quoted or mark
    if block:
        yield "".join(block)


def _without_end(block: str) -> str:
    """The longest beginning of a block that can be read and is more than its first line."""
    lines = block.splitlines(keepends=True)
    try:
        _parse(block)
    except SyntaxError as error:
        whole = block.rstrip().count("\n") + 1
        if not _CUT_OFF.search(error.msg or "") and (error.lineno or 0) < whole:
            return block
    except (ValueError, RecursionError, MemoryError, OverflowError):
        return block
    for end in range(len(lines) - 1, max(1, len(lines) - MAX_CUT), -1):
        beginning = "".join(lines[:end])
        if _reads(beginning) is not None:
            return beginning
    return ""


def _looks_like_code(block: str) -> bool:
    first = next((line for line in block.splitlines() if line.strip()), "")
    words = _WORDS.fullmatch(first.strip()) and not re.match(r"print\s*[\"']", first)
    return bool(_CODE.fullmatch(first)) and not words


def _is_a_word(tree: ast.Module) -> bool:
    """Whether it is but a name or names: `Sorry` is valid Python too."""
    only = all(isinstance(node, ast.Expr) for node in tree.body)
    return only and all(
        isinstance(node.value, ast.Name | ast.Tuple) for node in tree.body if isinstance(node, ast.Expr)
    )


def _does_something(tree: ast.Module) -> bool:
    return any(not isinstance(node, ast.Expr) for node in tree.body)


def _with_spaces(text: str, width: int) -> Iterator[str]:
    """Lines whose leading tabs are spaces, but for those within a long string."""
    quoted = ""
    for line in text.splitlines(keepends=True):
        if quoted:
            yield line
        else:
            code = line.lstrip(" \t")
            yield line[: len(line) - len(code)].expandtabs(width) + code
        for mark in _QUOTES.findall(line):
            quoted = "" if quoted == mark else quoted or mark


def _reads(text: str) -> ast.Module | None:
    try:
        return _parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return None


def _parse(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(text)
        compile(text, "candidate", "exec", dont_inherit=True)
    return tree
