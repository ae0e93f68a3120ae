"""Which characters are shown, and which are not."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import terminal
from schema.characters import REPLACEMENT, clean

HONEST = {
    "apostrophes": "It's O'Brien's “quote” – naïve",
    "markup and SQL": "<script>alert(1)</script> '; DROP TABLE users; --",
    "lines and tabs": "one\n\ttwo\n",
    "Hebrew": "שָׁלוֹם עולם",
    "Arabic": "مَرْحَبًا بالعالم ٣٫٥",
    "a Persian word with a joiner": "می\u200cخواهم",
    "Hindi with a joiner": "क्\u200dष",
    "Tamil and Thai": "தமிழ் ภาษาไทย",
    "Japanese": "日本語 か\u3099",
    "Korean": "한국어",
    "a family": "👩‍👩‍👧‍👦",
    "a flag of many parts": "🏳️‍🌈 🏴‍☠️ ❤️‍🔥 👁️‍🗨️",
    "skin and hair": "👩🏽‍💻 🧔🏻‍♂️ 👨‍🦰",
    "a keycap": "1️⃣ #️⃣",
    "a flag of England": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "regional flags": "🇪🇺",
    "an arrow as text": "↔︎ ℹ️ ©️",
    "combining marks": "e\u0301 Z\u0335\u0321",
    "an ideograph's variant": "葛\U000e0100",
}
HOSTILE = {
    "a terminal escape": "\x1b[2J",
    "an operating system command": "\x1b]0;title\x07",
    "its C1 forms": "\x9b31m\x9d",
    "a carriage return": "safe\rdanger",
    "a backspace": "a\x08b",
    "DEL": "a\x7fb",
    "NUL": "a\x00b",
    "NEL": "a\x85b",
    "a direction override": "\u202egnp.exe",
    "isolates": "\u2066a\u2069",
    "marks of direction": "a\u200eb\u200fc\u061cd",
    "zero width": "a\u200bb",
    "a word joiner": "a\u2060b",
    "invisible operators": "a\u2061\u2062\u2063\u2064b",
    "a byte-order mark": "\ufeffa",
    "a soft hyphen": "a\u00adb",
    "separators": "a\u2028b\u2029",
    "a joiner between Latin letters": "a\u200db",
    "a joiner at an end": "👩\u200d",
    "a joiner at a beginning": "\u200d👩",
    "two joiners": "👩\u200d\u200d💻",
    "tags": "a\U000e0041\U000e0042",
    "tags on a flag without an end": "🏴\U000e0067\U000e0062 x",
    "selectors on a letter": "a\ufe0fb",
    "selectors in a row": "👩\U000e0101\U000e0102",
    "a selector on a space": " \ufe0f",
    "fillers": "a\u3164b\uffa0c\u115f",
    "a grapheme joiner": "a\u034fb",
    "annotations": "\ufff9a\ufffab\ufffb",
    "half a surrogate pair": "a\ud800b",
}


@pytest.mark.parametrize("text", HONEST.values(), ids=HONEST.keys())
def test_what_people_write_is_shown_as_it_is(text: str) -> None:
    assert clean(text) == text
    assert terminal.clean(text) == text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_obeys_or_hides_is_replaced_where_it_stands(text: str) -> None:
    shown = clean(text)

    assert REPLACEMENT in shown
    assert len(shown) == len(text)
    assert all(new in (old, REPLACEMENT) for old, new in zip(text, shown, strict=True))
    assert all(
        old == new for old, new in zip(text, shown, strict=True) if unicodedata.category(old) in ("Ll", "Zs", "So")
    )


@given(st.text(st.characters() | st.characters(categories=["Cc", "Cf", "Cs", "Mn", "So"])))
def test_nothing_that_was_cleaned_holds_a_control_or_half_a_pair(text: str) -> None:
    shown = clean(text)

    assert len(shown) == len(text)
    assert not any(unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") for each in shown if each not in "\n\t")
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\u200f\ufeff")
    shown.encode()


def test_line_ends_of_windows_are_shown_as_line_ends() -> None:
    assert terminal.clean("one\r\ntwo\r\n") == "one\ntwo\n"
    assert terminal.clean("one\rtwo") == f"one{REPLACEMENT}two"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_one_line_of_the_terminal_holds_nothing_of_it(text: str) -> None:
    shown = terminal.line(text)

    assert "\n" not in shown
    assert clean(shown) == shown
