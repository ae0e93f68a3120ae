"""What a guideline may say: a lesson about the code, in a line of plain English, and nothing else. Pure.

A guideline stands in a prompt, so that whoever words one speaks to a model. It errs on refusing: a good lesson can be
said in other words, and a bad one is in force until somebody sees it.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from schema.characters import clean
from schema.guideline_likeness import is_copied, names_copied, says_the_same, sentences
from schema.guideline_vocabulary import words
from schema.guideline_words import forbidden, is_foreign

SHORTEST = 10
LONGEST = 300
"""Characters of a guideline."""

_TYPOGRAPHY = frozenset("“”‘’–—")
_COMMANDS = words("rm curl wget sudo sh bash zsh pip git ssh nc chmod chown kill dd mv cp cat eval exec python")
_QUOTED = re.compile(r"[A-Za-z_][\w.]*(?:\(\))?|[-+*/%<>=!&|^~@]{1,3}")
_DOMAINS = "com|org|net|io|dev|ai|ru|cn|sh|xyz|co|uk|de|app|me|info|onion"
_FILES = "py|pyi|md|toml|cfg|ini|json|ya?ml|txt|sql|csv"
_INJECTIONS = {
    "is written like a turn of a conversation": r"\b(?:system|assistant|user|developer|human|tool|role|bot)\s*[:>]",
    "has a tag": r"<[/!|a-z]|\|\s*>|<<|&#|&[a-z]+;|\[/?\s*(?-i:[A-Z]){3,}\s*\]|\|[a-z_]+\|",
    "has the marks of a document": r"```|~~~|#{2,}|-{3,}|={3,}|\*{2,}[a-z]",
    "has an address": rf"[a-z][a-z0-9+.-]*:/|www\.|\b[\w-]+\.(?:{_DOMAINS})\b|[\w.+-]+@[\w-]+"
    r"|\b(?!127\.0\.0\.1\b|0\.0\.0\.0\b)(?:\d{1,3}\.){3}\d{1,3}\b",
    "has the braces of a template": r"[{}]|%\(|\$\(",
    "has an escape sequence": r"\\|%[0-9a-f]{2}|\bu\+[0-9a-f]{4}",
    "has what looks encoded": r"[a-z0-9+/=_-]{25,}|\b(?:0x)?(?=[a-f]*\d)[0-9a-f]{12,}\b|\b\w{6,}={1,2}(?=[\s.,;]|$)"
    r"|(?-i:\b(?=\w*[a-z])(?=\w*[A-Z])(?=\w*\d)(?!\w*_)\w{9,}\b|\b(?:[a-z]+[A-Z]){3,}\w*)|(?:\b[01]{6,}\b\s*){2,}",
    "is spelt letter by letter": r"(?:\b[a-z]\b[^a-z0-9]{1,3}){3,}[a-z]\b",
    "names a file": r"(?:^|[\s\"'(])(?:~|\.{1,2})?/\w|\b\w+/[\w/]*\w\.\w+|\b[\w-]+\." + rf"(?:{_FILES})\b",
}
_INJECTED = {what: re.compile(pattern, re.IGNORECASE) for what, pattern in _INJECTIONS.items()}


_CONDITIONS = re.compile(
    r"\b(?:if|when|whenever|where|wherever|once|unless|until|provided|assuming|given|upon|except|as soon as"
    r"|in cases?|(?:each|every|any) time|only (?:for|in|on)|(?:named|called|containing|mentioning))\b",
    re.IGNORECASE,
)


def is_conditional(guideline: str) -> bool:
    """Whether it holds in some cases only: what it does in a case that no past task had, no evaluation shows."""
    return _CONDITIONS.search(guideline) is not None


def faults(unverified_guideline: str, *, existing: Sequence[str], base: str, sources: Sequence[str]) -> list[str]:
    """Why it may not be used, each with what to do about it; empty where it may.

    Args:
        existing: the guidelines that the prompt has already.
        base: the prompt's base.
        sources: texts of the tasks behind it, none of which may be in it.
    """
    text = unverified_guideline
    found = list(_form(text))
    if found:
        # The rest reads lines of letters.
        return found
    found += _injection(text)
    found += (
        f"It speaks of {topic} ({word!r}): say only what the code has to do, in other words."
        for topic, word in forbidden(text)
    )
    found += _copies(text, sources)
    if any(says_the_same(text, each) for each in existing):
        found.append("It says what a guideline of this prompt says already: change that one instead.")
    if any(says_the_same(text, each) for each in sentences(base)):
        found.append("It says what the base prompt says already: leave it out.")
    return found


def _form(text: str) -> Iterator[str]:
    if not SHORTEST <= len(text) <= LONGEST:
        yield f"It has {len(text)} characters: use {SHORTEST} to {LONGEST}."
        return
    if len(text.splitlines()) > 1 or "\n" in text or "\t" in text:
        yield "It has more than one line, or tabs: write one line."
    elif clean(text) != text or unicodedata.normalize("NFKC", text) != text:
        yield "It has characters that are invisible or stand for others: type it with plain letters."
    elif any(not _is_plain(each) for each in text):
        yield "It has letters or signs that English does not use: type it with plain letters."
    elif text != text.strip() or "  " in text:
        yield "It has white space at its ends, or twice: take that out."
    elif sum(each.isalpha() for each in text) < 0.6 * len(text):
        yield "It is hardly made of words: write a sentence."
    elif is_foreign(text):
        yield "It is not in English: word it in English."


def _is_plain(character: str) -> bool:
    """ASCII, quotation marks and dashes, and Latin letters that are ASCII but for an accent."""
    if character in _TYPOGRAPHY or " " <= character <= "~":
        return True
    return character.isalpha() and unicodedata.normalize("NFD", character)[0].isascii()


def _injection(text: str) -> Iterator[str]:
    for what, pattern in _INJECTED.items():
        if pattern.search(text):
            yield f"It {what}: say in plain words what the code has to do."
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        yield "A backtick is left open: close it, or use none."
    elif any(not _QUOTED.fullmatch(each) or each.rstrip("()") in _COMMANDS for each in pieces[1::2]):
        yield "It quotes more than a name of Python's: say commands and code in plain words."


def _copies(text: str, sources: Sequence[str]) -> Iterator[str]:
    if is_copied(text, sources):
        yield "It repeats the words of a task: say the lesson in general, in words of your own."
    names = names_copied(text, sources)
    if names:
        yield f"It names something of a task ({names[0][:60]}): say what holds for every task."
