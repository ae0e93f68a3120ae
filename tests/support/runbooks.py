"""Runbooks as tests read them: pages, their sections, and the commands in them as a shell would run them."""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "runbooks"
INDEX = FOLDER / "README.md"
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
WHERE = ("sh", "sh changes", "sh kubernetes")
"""Run as it stands; run where something is broken on purpose; needs a cluster."""


@dataclass(frozen=True)
class Block:
    """Attributes:
    section: the heading that it stands under, empty before the first.
    """

    section: str
    where: str
    script: str


def pages() -> dict[str, Path]:
    """Every page by its name, without the index."""
    return {page.stem: page for page in sorted(FOLDER.glob("*.md")) if page != INDEX}


def headings(page: Path) -> list[str]:
    return re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)


def blocks(page: Path, *where: str) -> list[Block]:
    """The fenced blocks of a page in order, indented or not; of these kinds only, if any is named."""
    found, section, kind, lines = [], "", None, list[str]()
    for line in page.read_text().splitlines():
        fence = re.fullmatch(r"\s*```(.*)", line)
        if fence and kind is None:
            kind, lines = fence[1], []
        elif fence and kind is not None:
            found.append(Block(section, kind, "\n".join(lines)))
            kind = None
        elif kind is not None:
            lines.append(line)
        elif line.startswith("## "):
            section = line[3:]
    return [block for block in found if not where or block.where in where]


def distinct(scripts: Iterable[str]) -> list[str]:
    """The commands of scripts, each once: pages share many, and on the same stack they say the same."""
    commands: dict[str, None] = {}
    for script in scripts:
        whole: list[str] = []
        for line in script.splitlines():
            whole.append(line)
            depth = sum(part.count("do\n") - part.count("done\n") for part in (f"{each.strip()}\n" for each in whole))
            if depth <= 0:
                commands["\n".join(whole)] = None
                whole = []
        assert not whole, f"a loop without its end: {whole}"
    return list(commands)


def golden_commands(page: Path) -> list[list[str]]:
    """Every `golden …` of a page, in blocks and in the text, as words; what it stands in is left off."""
    scripts = [block.script for block in blocks(page, "sh", "sh changes")]
    inline = re.findall(r"`(golden [a-z][^`]*)`", page.read_text())
    calls = [call for script in scripts for call in re.findall(r"\bgolden [a-z][^|;\n)]*", script)]
    return [shlex.split(call.split("||")[0]) for call in [*calls, *inline]]
