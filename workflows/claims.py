"""What a rationale claims of the tests, in plain words. Few patterns: to miss a claim costs less than to invent one."""

import re
from typing import Literal

Claim = Literal["failing", "passing"]

_TESTS = r"(?:acceptance |unit |given |provided )?tests?(?: cases?| suite)?"
_SOME = r"some |several |many |most |one |two |three |\d+ "
# After the verb the clause ends, or says where or why: "the tests fail fast", "the tests pass a list" claim nothing.
_ENDS = r"(?=\s*$|[^\w\s-]|\s+(?:[-–—(]|(?:and|so|because|since|as|with|on|at|for|due|here|now|again)\b))"
_FAILING = re.compile(
    rf"\b{_TESTS} (?:still |all |both )?fail(?:s|ed)?{_ENDS}"
    rf"|\b{_TESTS} (?:is|are|was|were) (?:still |all )?failing{_ENDS}"
    rf"|\b{_TESTS} (?:do|does|did)(?: not|n't) pass{_ENDS}"
    rf"|\b(?:does|did)(?: not|n't) pass (?:the |its ){_TESTS}{_ENDS}"
    rf"|\b(?:fails (?:of )?(?:the |its )?|fail(?:s|ed)? (?:all |both |{_SOME})(?:of )?(?:the |its )?){_TESTS}{_ENDS}"
    rf"|\b(?:there are|because of|due to) (?:{_SOME})?failing {_TESTS}{_ENDS}"
)
_PASSING = re.compile(
    rf"\b(?:all|every|each|both)(?: of)?(?: the)?(?: \d+)? {_TESTS} (?:have |has |do |does |now )?pass(?:es|ed)?{_ENDS}"
    rf"|(?:^|\bthe |\bits ){_TESTS} (?:have |has )?(?:all )?pass(?:es|ed)?{_ENDS}"
    rf"|\bpass(?:es|ed)? (?:all|every|each)(?: of)?(?: the)? {_TESTS}{_ENDS}"
    rf"|\bpasses (?:the|its) {_TESTS}{_ENDS}"
)
# In the rest of the sentence: what was said is denied, supposed, wished for, past, or of a part only.
_HEDGES = re.compile(
    r"\b(?:no|not|none|never|nothing|neither|nor|without|zero|0|would|could|might|may|can|cannot|should|will|if|unless"
    r"|whether|when|whenever|until|once|before|after|previous(?:ly)?|earlier|initially|original(?:ly)?|old|round"
    r"|any|expected|supposed|likely|unlikely|claim(?:s|ed|ing)?|only|some|most|many|few|several|but|except|apart|save|bar"
    r"|although|though|while|however|of|fix(?:es|ed)|repair(?:s|ed)|example|hypothetical|says?|said|argues?|objection"
    r"|false|wrong|untrue|disagree|deny|must|to|need(?:s|ed)?|required?|goal|make|makes|making|made"
    r"|remov(?:e|es|ing)|mutat(?:e|es|ing)|break(?:s|ing)?|then)\b|n't\b|\?"
)
_FAILS, _PASSES = re.compile(r"\bfail"), re.compile(r"\bpass(?:es|ed)?\b")
_SENTENCES = re.compile(r"(?<=[.!?;])\s+(?:(?:but|however|yet|and|so),? )?|\n+")


def claims(rationale: str) -> set[Claim]:
    """What it says of the tests, sentence by sentence; nothing where it is denied or supposed."""
    found: set[Claim] = set()
    for sentence in _SENTENCES.split(rationale.lower().replace("’", "'")):
        # Who says both in one sentence compares.
        if _says(_FAILING, _PASSES, sentence):
            found.add("failing")
        elif _says(_PASSING, _FAILS, sentence):
            found.add("passing")
    return found


def _says(pattern: re.Pattern[str], contrary: re.Pattern[str], sentence: str) -> bool:
    rest = pattern.sub(" ", sentence)
    return rest != sentence and not (_HEDGES.search(rest) or contrary.search(rest))
