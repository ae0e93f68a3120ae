"""Which characters of a text somebody can see, and which only deceive whoever reads it or obey what wrote it.

One rule for what is shown, where `clean` replaces them, and for names, ids and paths, which are refused where `clean`
would change them.
"""

import re
import unicodedata

REPLACEMENT = "\ufffd"

# Printable ASCII, tabs and line ends are fine; a flag of England, Scotland or Wales is one character to its reader.
_SUSPECT = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,6}\U000e007f|[^\t\n -~]")
_JOINERS = "\u200c\u200d"
_SELECTORS = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# Invisible, though Unicode calls them letters or marks.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
# Visible, though Unicode calls them format characters: signs over Arabic and Kaithi numbers and the like.
_SIGNS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")


def clean(text: str) -> str:
    """`text` with U+FFFD for each control, invisible, unpaired or direction-changing character.

    As long as before. Kept are tabs and line feeds, letters of every script with their marks, and joiners and
    variation selectors where emoji and scripts need them.
    """
    return _SUSPECT.sub(_shown, text)


def without_joints(text: str) -> str:
    """`text` without joiners and variation selectors, which some file systems ignore in names."""
    return _SELECTORS.sub("", text.replace("\u200c", "").replace("\u200d", ""))


def _shown(match: re.Match[str]) -> str:
    found = match[0]
    if len(found) > 1:
        return found
    before = match.string[max(match.start() - 1, 0) : match.start()]
    after = match.string[match.end() : match.end() + 1]
    return REPLACEMENT if _is_hostile(found, before, after) else found


def _is_hostile(character: str, before: str, after: str) -> bool:
    if character in _JOINERS:
        return not (_can_be_joined(before) and _can_be_joined(after))
    if _SELECTORS.match(character):
        return not _can_be_varied(before)
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character not in _SIGNS
    return character in _FILLERS


def _can_be_joined(character: str) -> bool:
    """Emoji, and the letters of scripts without capitals: Persian and the Indic ones need joiners, Latin doesn't."""
    return character != "" and unicodedata.category(character) in ("Lo", "Mn", "Mc", "So", "Sk", "Sm")


def _can_be_varied(character: str) -> bool:
    if character == "":
        return False
    category = unicodedata.category(character)
    return category[0] in "SPN" or category in ("Lo", "Mc") or character == "ℹ"
