"""The picture of a vote: well-formed, to scale, and deaf to what voters write."""

import base64
import hashlib
from xml.etree import ElementTree

import pytest

from gateway.consensus_svg import BAR_WIDTH, POLICY, draw
from schema.messages.vote import Explanation
from tests.support.votes import VOTE

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>alert(1)</script>&lol; ]]> \x00\x1b\ud800\ufffe \u202e \" onload='x'"


def drawn(vote: Explanation) -> ElementTree.Element:
    return ElementTree.fromstring(draw(vote))  # noqa: S314 (our own)


def widths(picture: ElementTree.Element, kind: str) -> list[float]:
    found = (each for each in picture.iter(f"{SVG}rect") if kind in each.get("class", "").split())
    return [float(each.get("width", "nan")) for each in found]


def words_of(picture: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in picture.iter(f"{SVG}text")]


def test_the_bars_are_as_wide_as_the_weights() -> None:
    picture = drawn(VOTE)

    of_weights = [3000, 2500, 2500], [3000, 1250, 0]
    full, counted = ([weight / 3000 * BAR_WIDTH for weight in weights] for weights in of_weights)
    assert widths(picture, "weight") == pytest.approx(full, rel=1e-4)
    assert widths(picture, "effective") == pytest.approx(counted, rel=1e-4)
    assert widths(picture, "segment") == pytest.approx([3000 / 4250 * BAR_WIDTH, 1250 / 4250 * BAR_WIDTH], rel=1e-4)


def test_the_threshold_stands_at_its_share_of_the_weight_that_counts() -> None:
    picture = drawn(VOTE)
    (mark,) = (each for each in picture.iter(f"{SVG}line") if "threshold" in each.get("class", ""))
    (frame,) = (each for each in picture.iter(f"{SVG}rect") if "count" in each.get("class", ""))

    assert float(mark.get("x1", "")) - float(frame.get("x", "")) == pytest.approx(0.6 * BAR_WIDTH)


def test_everything_that_is_known_of_a_vote_is_told() -> None:
    shown = "\n".join(words_of(drawn(VOTE)))

    for told in (
        "Vote: undecided",
        VOTE.summary,
        "question: Is a path that nobody checked acceptable?",
        "round 1 alone: approved (the second round changed it)",
        "pivotal: reviewer",
        "tester: absent → approve (voters of 25 % of the weight)",
        "worth 1.72 independent votes",
        "Banzhaf 0.50",
        "25 % → 12.5 %",
        "confidence ×0.50: said 0.80 and was right in 5 of 12",
        "Objections: security\nhigh at a.py:9",
        "Late ballots\ntester, round 2: approve 0.70",
    ):
        assert told in shown


def test_what_a_voter_writes_stays_text() -> None:
    reviewer = VOTE.voters[0].model_copy(update={"rationale": HOSTILE})
    vote = VOTE.model_copy(update={"voters": (reviewer, *VOTE.voters[1:]), "summary": HOSTILE, "question": HOSTILE})
    picture = drawn(vote)

    assert {each.tag.removeprefix(SVG) for each in picture.iter()} == {
        *("svg", "title", "desc", "style", "rect", "line", "text")
    }
    assert not [name for each in picture.iter() for name in each.attrib if name.startswith("on") or "href" in name]
    assert any("<script>alert(1)</script>" in told for told in words_of(picture))
    assert "\u202e" not in draw(vote)


def test_its_own_style_is_all_that_its_policy_allows() -> None:
    picture = drawn(VOTE)
    style = picture.findtext(f"{SVG}style", "")

    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in POLICY
    assert "default-src 'none'" in POLICY
    assert "url(" not in style
    assert "prefers-color-scheme:dark" in style


def test_who_cannot_see_it_hears_it() -> None:
    picture = drawn(VOTE)

    assert picture.get("role") == "img"
    assert {picture.findtext(f"{SVG}title")} == {"Vote: undecided"}
    assert "security reject 0.80, weight 25 % → 12.5 %" in picture.findtext(f"{SVG}desc", "")


def test_a_vote_without_any_weight_is_drawn_too() -> None:
    nobody = tuple(voter.model_copy(update={"effective_weight": 0, "weight": 0}) for voter in VOTE.voters)

    assert widths(drawn(VOTE.model_copy(update={"voters": nobody})), "segment") == []
