"""Finds what a guideline may not speak of, however it is spelt.

A word is looked for in every spelling that a model would still read: with marks, in camelCase, with digits for letters,
with signs or spaces between its letters, backwards and by a shifted alphabet.
"""

import codecs
import re
import unicodedata
from collections.abc import Iterator, Sequence

from schema.guideline_turns import ENGLISH, HONEST_TURNS, OFTEN_MISSPELT, RISKS, TURNS, WARNED
from schema.guideline_vocabulary import FOREIGN, HONEST, PHRASES, TOPICS, words

# A forbidden word that is part of a longer one: `acceptancetests`.
_INSIDE = re.compile(r"test|guard|ignore|bypass|prompt|sandbox|ballot|noqa|nosec|assert|jailbreak|verdict|disable")
_LEET = tuple(str.maketrans("013456789@$!|+", letters) for letters in ("oieasgtbgasilt", "oleasgtbgaslit"))
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORDS = {topic: re.compile("".join(pattern.split())) for topic, pattern in TOPICS.items()}
_SAID = {
    topic: re.compile(rf"\b(?:{''.join(line.strip() for line in pattern.splitlines())})")
    for topic, pattern in (*TURNS.items(), *PHRASES.items())
}
_RISKS = {what: re.compile(rf"\b(?:{risk})\b") for what, risk in RISKS.items()}
_WARNED = re.compile(WARNED)
_HONEST_TURNS = re.compile("|".join(HONEST_TURNS), re.IGNORECASE)
_ROUND = "going round what is in the way"
_ONLY_NOT = {
    "trust": (re.compile(r"\btrust"), re.compile(r"\b(never|not|dont) (\w+ )?trust"), _ROUND),
    "password": (re.compile(r"\bpassword"), re.compile(r"\b(never|not|no|dont|hash)\b.*\bpassword"), "secrets"),
}
"""What is honest as a warning only."""

_BEFORE_CHECK = words("and then to always first also must should explicitly carefully so or")
_AFTER_CHECK = words(
    """
    the a an that whether if for each every both all any its their it them what which how when where this these those
    bounds types inputs arguments indexes lengths membership
    """
)
_REACH = 3
"""Pieces into which a word may be broken by spaces."""
_SHORT = 3
"""Letters of what is made out of others too often by chance."""
_A_SENTENCE = 5
"""Words that don't come together in English without a frequent one."""


def _misspelt(word: str) -> Iterator[str]:
    """What it is with a letter missing; and how its letters are, whatever their order and however often they stand."""
    yield from (word[:at] + word[at + 1 :] for at in range(1, len(word) - 1) if len(word) > _SHORT + 2)
    yield _mixed(word)


def _mixed(word: str) -> str:
    once = re.sub(r"(.)\1+", r"\1", word)
    return f"{word[0]}{''.join(sorted(once[1:-1]))}-{word[-1]}"


_MISSPELT = {spelt: word for word in sorted(OFTEN_MISSPELT) for spelt in _misspelt(word)}


def forbidden(text: str) -> Iterator[tuple[str, str]]:
    """(topic, word) of what is spoken of and may not be; each topic once."""
    told: set[str] = set()
    text = _HONEST_TURNS.sub("that", text)
    for topic, word in (*_by_word(text), *_by_phrase(text)):
        if topic not in told:
            told.add(topic)
            yield topic, word


def is_foreign(text: str) -> bool:
    """It looks like another language than English, whose words are not known here."""
    spoken = words_of(text)
    return len(FOREIGN.intersection(spoken)) > 1 or (len(spoken) >= _A_SENTENCE and ENGLISH.isdisjoint(spoken))


def folded(text: str) -> str:
    """Without marks on letters, and without the apostrophes in words."""
    bare = text
    if not text.isascii():
        bare = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return re.sub(r"(?<=\w)['’‘](?=\w)", "", bare)


def words_of(text: str) -> list[str]:
    """The words in lower case, those in camelCase and with underscores apart."""
    return re.findall(r"[a-z0-9]+", _CAMEL.sub(" ", folded(text)).lower())


def _by_word(text: str) -> Iterator[tuple[str, str]]:
    for spelt in _spellings(text):
        for topic, pattern in _WORDS.items():
            if pattern.fullmatch(spelt):
                yield topic, spelt
    for word in (*words_of(text), *_chunks(text)):
        found = _INSIDE.search(word)
        if found and not word.startswith(tuple(HONEST)):
            yield "tests" if "test" in found[0] else "the governance", word


def _by_phrase(text: str) -> Iterator[tuple[str, str]]:
    spoken = words_of(text)
    said = " ".join(spoken)
    for topic, pattern in _SAID.items():
        found = pattern.search(said)
        if found:
            yield topic, found[0].strip()
    for word in spoken:
        meant = _MISSPELT.get(word) or _MISSPELT.get(_mixed(word))
        if meant and not word.startswith(tuple(HONEST)):
            yield "the governance", word
    for word, risk in _RISKS.items():
        if any(not _WARNED.search(said[: found.start()]) for found in risk.finditer(said)):
            yield "a risk as if it were none", word
    for word, (names, warns, topic) in _ONLY_NOT.items():
        if names.search(said) and not warns.search(said):
            yield topic, word
    if not _only_as_verb(spoken):
        yield "tests", "check"


def _spellings(text: str) -> Iterator[str]:
    """Each word that somebody may read in it."""
    spoken = words_of(text)
    yield from spoken
    for size in range(2, _REACH + 1):
        joined = ("".join(spoken[at : at + size]) for at in range(len(spoken) - size + 1))
        yield from (each for each in joined if len(each) > _SHORT)
    yield from _chunks(text)
    for word in spoken:
        if len(word) > _SHORT:
            yield word[::-1]
            yield codecs.encode(word, "rot13")


def _chunks(text: str) -> Iterator[str]:
    """What stands between spaces, without the signs in it, and with letters for digits and signs."""
    for chunk in folded(text).lower().split():
        yield re.sub(r"[^a-z0-9]", "", chunk)
        read = (re.sub(r"[^a-z]", "", chunk.strip(".,;:!?()").translate(table)) for table in _LEET)
        yield from (each for each in read if len(each) > _SHORT)


def _only_as_verb(spoken: Sequence[str]) -> bool:
    """Whether each `check` asks for one, as in `Check the bounds`: what is only named may be that of the task."""
    return all(_asks(spoken, at) for at, word in enumerate(spoken) if word.startswith("check"))


def _asks(spoken: Sequence[str], at: int) -> bool:
    if spoken[at] not in ("check", "checking") or at + 1 == len(spoken) or spoken[at + 1] not in _AFTER_CHECK:
        return False
    if {"not", "never", "dont", "no", "stop", "avoid"}.intersection(spoken[max(0, at - 4) : at]):
        return False
    before = spoken[at - 1] if at else ""
    return before in _BEFORE_CHECK or not before or (spoken[at] == "checking" and before in ("by", "before", "after"))
