"""The pages of the docs hang together: every link leads somewhere, every command is one, every page is in the index."""

import re
from pathlib import Path

import pytest

from deploy.sandbox.guards import looking
from deploy.sandbox.guards.material import Guard, Material
from tests.support.pages import DOCS, ROOT, every_block, unknown_words

PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", *(ROOT / "deploy").rglob("*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The headings of a page as the usual renderers name them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in _LINK.findall(text):
        if re.match(r"^[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_golden_is_one(page: Path) -> None:
    assert not [wrong for block in every_block(page) for wrong in unknown_words(block)]


def test_every_page_is_found_from_the_index() -> None:
    index = (DOCS / "README.md").read_text()
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in _LINK.findall(index)}
    assert not {page for page in DOCS.rglob("*.md") if page.name != "README.md"} - linked


def test_the_guard_of_the_guide_finds_what_it_says() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "how-to" / "write-a-guard.md").read_text(), re.DOTALL)
    made: dict[str, type[Guard]] = {}
    exec(compile(code, "prints.py", "exec", dont_inherit=True), made)  # noqa: S102 (our own page's code)
    guard = made["PrintsGuard"]()
    found = looking.look(guard, Material({"work.py": "def f():\n    print(1)\n", "ok.py": "printed = 1\n"}), {})
    assert [(each["rule"], each["file"], each["line"]) for each in found] == [("print-call", "work.py", 2)]
    assert looking.look(guard, Material({"work.py": "def f(:\n"}), {}) == []
