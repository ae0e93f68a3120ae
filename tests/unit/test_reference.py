"""The reference says what the code says, and every page of the docs is found from the index."""

import pytest

from deploy.reference.pages import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_what_the_code_makes_of_it(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name](), "run `make reference`"


def test_the_reference_has_no_other_pages() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)


def test_nothing_in_the_reference_is_without_a_word_of_what_it_is() -> None:
    for name in ("settings.md", "metrics.md", "tables.md"):
        for line in (FOLDER / name).read_text().splitlines():
            assert not line.startswith("| `GOLDEN") or not line.endswith("|  |"), line
            assert "None." not in line, line
