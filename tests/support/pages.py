"""Pages of the docs as scripts: their fenced commands, in order, as a reader would type them."""

import re
import shlex
import subprocess
from pathlib import Path

from deploy.reference.cli import commands

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```sh( elsewhere)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """The commands of a page that run on one machine, block by block."""
    return [body for elsewhere, body in _BLOCK.findall(page.read_text()) if not elsewhere]


def every_block(page: Path) -> list[str]:
    """All of its commands, also those that need what no test has: an account, a cluster, another tree."""
    return [body for _, body in _BLOCK.findall(page.read_text())]


def type_in(script: str, folder: Path, environment: dict[str, str], within: float = 150) -> str:
    """What the commands print, in one shell that stops at the first that fails.

    Raises:
        AssertionError: one failed; what was said is in the message.
    """
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=within,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n--- exit {done.returncode}\n{done.stdout}"
    return done.stdout


def unknown_words(script: str) -> list[str]:
    """The `golden` commands and options of a script that there are not."""
    known = dict(commands())
    wrong = []
    for words in _golden_lines(script):
        name = next((known_name for known_name in _prefixes(words) if known_name in known), None)
        if name is None:
            wrong.append(" ".join(words))
            continue
        options = {word for each in known[name].params for word in (*each.opts, *each.secondary_opts)}
        wrong += [f"{name} {word}" for word in words if word.startswith("--") and word.split("=")[0] not in options]
    return wrong


def _golden_lines(script: str) -> list[list[str]]:
    joined = script.replace("\\\n", " ")
    joined = re.sub(r"<<'(\w+)'.*?^\1$", "", joined, flags=re.MULTILINE | re.DOTALL)
    found = []
    for piece in re.split(r"\n|[|;&]|\$\(|\)", joined):
        try:
            words = shlex.split(piece, comments=True)
        except ValueError:
            continue
        while words and re.match(r"^\w+=", words[0]):
            words = words[1:]
        if words and words[0] == "golden" and "--help" not in words:
            found.append(words)
    return found


def _prefixes(words: list[str]) -> list[str]:
    return [" ".join(words[:length]) for length in range(min(4, len(words)), 0, -1)]
