"""A vote as a picture: SVG text out of an explanation, with no script, no link and nothing from elsewhere.

The tree is built with ElementTree, which escapes all text; what XML can't hold is replaced first.
"""

import base64
import hashlib
import re
import textwrap
from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, tostring

from gateway import consensus_words as words
from gateway.terminal import line
from schema.explained import by_category
from schema.messages.vote import Explanation, VoterAccount

WIDTH = 760
MARGIN = 20
BARS = 200
"""Where bars begin."""
BAR_WIDTH = 400
"""Of the heaviest voter's weight, and of all weight that counts."""
BAR_HEIGHT = 18
LINE = 17
WRAP = 100
"""Characters a line of 12 px takes in the width, with room to spare."""
MAX_RATIONALE = 300

STYLE = (
    "svg{color-scheme:light dark}"
    "text{font:12px system-ui,sans-serif;fill:#1b1f24}.big{font-size:18px;font-weight:600}.bold{font-weight:600}"
    ".faint{fill:#57606a}.ground{fill:#ffffff}.outline{fill:none;stroke:#57606a;stroke-width:1}"
    ".mark{stroke:#1b1f24;stroke-width:2;stroke-dasharray:4 3}.approve{fill:#2da44e}.reject{fill:#cf222e}"
    ".abstain,.absent{fill:#8c959f}.segment{stroke:#ffffff;stroke-width:1}"
    "@media (prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#9198a1}.ground{fill:#0d1117}"
    ".outline{stroke:#9198a1}.mark{stroke:#e6edf3}.approve{fill:#3fb950}.reject{fill:#f85149}.segment{stroke:#0d1117}}"
)
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
"""The Content-Security-Policy of the picture: nothing but its own style, by hash."""

_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def draw(vote: Explanation) -> str:
    """The picture of a vote: a bar for each voter, the count, what it turned on, and the objections."""
    return _Picture(vote).text()


class _Picture:
    """Puts one line under another."""

    def __init__(self, vote: Explanation) -> None:
        self._vote = vote
        self._y = 2 * MARGIN
        self._svg = Element("svg", xmlns="http://www.w3.org/2000/svg", role="img")
        self._svg.set("aria-labelledby", "title desc")
        _child(self._svg, "title", f"Vote: {vote.outcome}", id="title")
        _child(self._svg, "desc", _told(vote), id="desc")
        _child(self._svg, "style", STYLE)
        self._ground = _child(self._svg, "rect", x=0, y=0, width=WIDTH, **{"class": "ground"})

    def text(self) -> str:
        self._head()
        self._count()
        for voter in self._vote.voters:
            self._voter(voter)
        self._objections()
        self._list("Late ballots", words.late_of(self._vote.late))
        height = self._y + MARGIN
        self._ground.set("height", str(height))
        self._svg.set("viewBox", f"0 0 {WIDTH} {height}")
        self._svg.set("width", str(WIDTH))
        self._svg.set("height", str(height))
        return tostring(self._svg, encoding="unicode")

    def _head(self) -> None:
        vote = self._vote
        self._write(f"Vote: {vote.outcome}", "big", step=8)
        self._write(vote.summary, "bold")
        if vote.veto is not None:
            self._write(f"veto: {vote.veto}", "bold")
        if vote.question is not None:
            self._write(f"question: {vote.question}", "bold")
        for told in (words.rule_of(vote), words.first_round_of(vote), words.pivots_of(vote), words.flip_of(vote)):
            if told is not None:
                self._write(told)

    def _count(self) -> None:
        """All weight that counts: who approves from the left, who rejects from the right, and the thresholds."""
        approving, rejecting = words.sides_of(self._vote)
        total = approving + rejecting
        self._y += LINE
        self._write(words.counted_of(self._vote), "bold")
        top = self._y - 4
        self._rect(BARS, top, BAR_WIDTH, "outline count")
        left, right = float(BARS), float(BARS + BAR_WIDTH)
        for voter in self._vote.voters if total else ():
            width = voter.effective_weight / total * BAR_WIDTH
            if voter.choice == "approve":
                self._rect(left, top, width, "segment approve")
                left += width
            elif voter.choice == "reject":
                right -= width
                self._rect(right, top, width, "segment reject")
        at = BARS + self._vote.threshold * BAR_WIDTH
        _child(self._svg, "line", x1=at, x2=at, y1=top - 4, y2=top + BAR_HEIGHT + 4, **{"class": "mark threshold"})
        self._text(f"approval at {self._vote.threshold:.0%}", at, top + BAR_HEIGHT + 17, "faint", anchor="middle")
        self._y = top + BAR_HEIGHT + 2 * LINE + 10

    def _voter(self, voter: VoterAccount) -> None:
        heaviest = max(other.weight for other in self._vote.voters) or 1
        top = self._y
        self._text(voter.role, MARGIN, top + 13, "bold")
        self._text(words.ballot_of(voter), MARGIN + 75, top + 13)
        self._rect(BARS, top, voter.effective_weight / heaviest * BAR_WIDTH, f"effective {voter.choice}")
        self._rect(BARS, top, voter.weight / heaviest * BAR_WIDTH, "outline weight")
        pivotal = " ◆ pivotal" if voter.pivotal else ""
        self._text(words.weight_of(voter) + pivotal, BARS + BAR_WIDTH + 10, top + 13, "bold" if pivotal else "")
        self._y = top + BAR_HEIGHT + 14
        self._write(words.power_of(voter), "faint")
        record = words.record_of(voter)
        for told in (*words.reasons_of(voter), *((record,) if record else ())):
            self._write(told, "faint")
        if voter.rationale:
            self._write(f"“{textwrap.shorten(line(voter.rationale), MAX_RATIONALE, placeholder=' …')}”")
        self._y += 8

    def _objections(self) -> None:
        for category, found in by_category(self._vote).items():
            self._list(f"Objections: {category}", [words.objection_of(each) for each in found])

    def _list(self, title: str, lines: Iterable[str]) -> None:
        for index, told in enumerate(lines):
            if index == 0:
                self._y += 6
                self._write(title, "bold")
            self._write(told)

    def _write(self, text: str, kind: str = "", step: int = 0) -> None:
        """A paragraph across the width."""
        for part in textwrap.wrap(line(text), WRAP):
            self._text(part, MARGIN, self._y, kind)
            self._y += LINE
        self._y += step

    def _text(self, text: str, x: float, y: float, kind: str = "", anchor: str = "start") -> None:
        _child(self._svg, "text", text, x=x, y=y, **{"class": kind, "text-anchor": anchor})

    def _rect(self, x: float, y: float, width: float, kind: str) -> None:
        _child(self._svg, "rect", x=x, y=y, width=width, height=BAR_HEIGHT, **{"class": kind})


def _told(vote: Explanation) -> str:
    """The picture in words, for whoever hears it."""
    voters = (
        f"{voter.role} {words.ballot_of(voter)}, weight {words.weight_of(voter)}{', pivotal' if voter.pivotal else ''}"
        for voter in vote.voters
    )
    return ". ".join((line(vote.summary), *voters, words.flip_of(vote)))


def _child(parent: Element, tag: str, text: str | None = None, **attributes: str | float) -> Element:
    shown = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in attributes.items()}
    made = SubElement(parent, tag, {name: value for name, value in shown.items() if value})
    made.text = None if text is None else _NOT_XML.sub("\ufffd", text)
    return made
