"""What a guideline has in common with other texts: runs of words, names of a task, what another one says."""

import builtins
import importlib
import keyword
import re
import sys
from collections.abc import Iterable, Sequence
from functools import cache

from schema.guideline_vocabulary import words
from schema.guideline_words import folded

RUN_WORDS = 6
RUN_CHARACTERS = 40
SAME_WORDS = 0.6
"""Jaccard's index from which two say the same."""
SAME_PART = 0.8
"""The part of the smaller's words in the larger, from which one says what the other does."""

_SAID_BY_ALL = words(
    """
    a an the this that these those it its they them their there here he she we you your our i my one ones some any
    all each every both either neither no not nor never and or but so if then else than when while until unless
    because as since though of in on at by to from for with without into onto over under up out off about after
    before between through during per via is are was were be been being am do does did done doing has have had
    having can could may might must shall should will would also only just even more most less least very too such
    same other another own what which who whom whose where why how again always often once well make makes use
    uses used using let get gets
    """
)
_IDIOMS = words(
    """
    list lists input value values function functions return returns raise empty element elements item items number
    numbers string strings first last given
    """
)
_MODULES = words(
    """
    abc argparse array ast asyncio base64 bisect calendar cmath codecs collections concurrent.futures contextlib
    copy csv dataclasses datetime decimal difflib enum errno fractions functools gc glob graphlib hashlib heapq
    hmac html inspect io itertools json keyword linecache locale logging math operator os os.path pathlib pickle
    platform queue random re sched secrets shelve shlex shutil signal socket sqlite3 statistics string struct
    subprocess sys tempfile textwrap threading time timeit traceback types typing unicodedata urllib.parse uuid
    warnings weakref zipfile zlib zoneinfo
    """
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*")
_LIKE_CODE = re.compile(r"\w_\w|^_|\w\.\w|[a-z][A-Z]|[A-Z]{2}[a-z]|[A-Za-z]\d")
_CALLED = re.compile(r"`([A-Za-z_]\w*)`|\b([A-Za-z_]\w*)\(")
_DEFINED = re.compile(
    r"^\s*(?:async\s+def|def|class)\s+([A-Za-z_]\w*)|^([A-Za-z_]\w*)\s*(?::[^=\n]+)?=[^=]", re.MULTILINE
)


def is_copied(text: str, sources: Iterable[str]) -> bool:
    """Whether it shares a run of `RUN_WORDS` words or `RUN_CHARACTERS` characters with a source that is more than
    stop words and common turns."""
    said = _spoken(text)
    spoken = said.split()
    runs = [" ".join(spoken[at : at + RUN_WORDS]) for at in range(len(spoken) - RUN_WORDS + 1)]
    runs = [f" {run} " for run in runs if _tells(run.split())]
    half = RUN_CHARACTERS // 2
    # Of 40 characters in common, 20 are a whole block that begins at a multiple of 20.
    blocks = [(at, said[at : at + half]) for at in range(0, len(said) - half + 1, half)]
    for source in sources:
        heard = f" {_spoken(source)} "
        if any(run in heard for run in runs):
            return True
        if any(block in heard and _runs_on(said, at, heard) for at, block in blocks):
            return True
    return False


def names_copied(text: str, sources: Sequence[str]) -> list[str]:
    """Names of the sources in it: those that look like code, or are used as a name, and are not Python's own."""
    told = {each.rstrip(".") for each in _NAME.findall(text)}
    coded = {each for each in told if _LIKE_CODE.search(each) and not is_pythons(each)}
    called = {one or other for one, other in _CALLED.findall(text)}
    called = {each for each in called if not is_pythons(each)}
    found: set[str] = set()
    for source in sources if coded or called else ():
        found |= {
            each for each in coded - found if re.search(rf"(?<![\w]){re.escape(each)}(?![\w])", source, re.IGNORECASE)
        }
        if called - found:
            found |= called & {one or other for one, other in _DEFINED.findall(source)}
    return sorted(found)


def is_pythons(name: str) -> bool:
    """Whether the language or its standard library calls something so: `os.path.join`, `defaultdict`, `is`."""
    first, *_, last = name.split(".") if "." in name else (name, name)
    if "." in name and first in sys.stdlib_module_names:
        return last in _names() or last in sys.stdlib_module_names
    return all(part in _names() or part in sys.stdlib_module_names for part in (first, last))


def says_the_same(text: str, other: str) -> bool:
    """By the words that tell something, without their endings."""
    mine, theirs = _meaning(text), _meaning(other)
    common = len(mine & theirs)
    smaller = min(len(mine), len(theirs))
    if not common:
        return False
    # Of one or two words all are in many a sentence.
    return common / len(mine | theirs) >= SAME_WORDS or (smaller > 2 and common / smaller >= SAME_PART)


def sentences(text: str) -> list[str]:
    """Its sentences, to be compared one by one: a long text has all the words of a short one by chance."""
    return [each for each in re.split(r"(?<=[.!?:;])\s+|\n\s*\n|\n[-*] ", text) if each.strip()]


@cache
def _names() -> frozenset[str]:
    found = {*dir(builtins), *keyword.kwlist, *keyword.softkwlist, "self", "cls", "kwargs", "args"}
    for kind in (str, bytes, int, float, list, dict, set, tuple, object, type, Exception, BaseException):
        found |= set(dir(kind))
    for name in sorted(_MODULES):
        module = importlib.import_module(name)
        found |= set(dir(module))
        found |= {member for each in vars(module).values() if isinstance(each, type) for member in dir(each)}
    return frozenset(found)


def _spoken(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", folded(text).casefold()))


def _tells(spoken: Sequence[str]) -> bool:
    return sum(word not in _SAID_BY_ALL and word not in _IDIOMS for word in spoken) >= 2


def _runs_on(said: str, at: int, heard: str) -> bool:
    """Whether a run of full length is in common around the block that begins at `at`."""
    for begin in range(max(0, at - RUN_CHARACTERS // 2), min(at, len(said) - RUN_CHARACTERS) + 1):
        run = said[begin : begin + RUN_CHARACTERS]
        if run in heard and _tells(run.split()):
            return True
    return False


def _meaning(text: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in _spoken(text).split() if word not in _SAID_BY_ALL)


def _stem(word: str) -> str:
    for ending in (
        "ations",
        "ation",
        "ments",
        "ment",
        "ings",
        "ing",
        "ies",
        "ied",
        "ers",
        "ed",
        "er",
        "es",
        "ly",
        "s",
        "e",
        "y",
    ):
        if word.endswith(ending) and len(word) - len(ending) > 2:
            return word[: -len(ending)].rstrip("e")
    return word
