"""What a rationale claims of the tests, in plain words. Few patterns: to miss a claim costs less than to invent one."""

import re
from typing import Literal

Claim = Literal["failing", "passing"]

_TESTS = r"(?:acceptance |unit |given |provided )?tests?(?: cases?)?"
_SOME = r"some |several |many |most |one |two |three |\d+ "
_FAILING = re.compile(
    rf"\b{_TESTS} (?:still |all |both )?fail(?:s|ed)?\b(?! (?:to|if|when|unless))"
    rf"|\b{_TESTS} (?:is|are|was|were) (?:still |all )?failing\b"
    rf"|\b{_TESTS} (?:do|does|did)(?: not|n't) pass\b"
    rf"|\bfail(?:s|ed)? (?:all |both |{_SOME})?(?:of )?(?:the |its )?{_TESTS}\b"
    rf"|\b(?:there are|has|have|because of|due to) (?:{_SOME})?failing {_TESTS}"
)
_PASSING = re.compile(
    rf"\b(?:all|every|each|both)(?: of)?(?: the)?(?: \d+)? {_TESTS} (?:have |has |do |does |now )?pass(?:es|ed)?\b"
    rf"|\b(?:the|its) {_TESTS} (?:have |has )?(?:all )?pass(?:es|ed)?\b"
    rf"|\bpass(?:es|ed)? (?:all|every|each)(?: of)?(?: the)? {_TESTS}\b"
)
# In the rest of the sentence: what was said is denied, supposed, wished for, past, or of a part only.
_HEDGES = re.compile(
    r"\b(?:no|not|none|never|nothing|neither|nor|without|zero|0|would|could|might|may|can|cannot|should|will|if|unless"
    r"|whether|when|whenever|until|once|before|previously|earlier|initially|any|expected|supposed|likely|unlikely|claims?"
    r"|only|some|most|many|few|several|but|except|although|though|while|however|of|fixed|repaired|example|hypothetical"
    r"|says?|said|argues?|objection)\b|n't\b|\?"
)
_SENTENCES = re.compile(r"(?<=[.!?;])\s+(?:(?:but|however|yet|and|so),? )?|\n+")


def claims(rationale: str) -> set[Claim]:
    """What it says of the tests, sentence by sentence; nothing where it is denied or supposed."""
    found: set[Claim] = set()
    for sentence in _SENTENCES.split(rationale.lower().replace("’", "'")):
        if _says(_FAILING, sentence):
            found.add("failing")
        elif _says(_PASSING, sentence):
            found.add("passing")
    return found


def _says(pattern: re.Pattern[str], sentence: str) -> bool:
    return pattern.search(sentence) is not None and _HEDGES.search(pattern.sub(" ", sentence)) is None
