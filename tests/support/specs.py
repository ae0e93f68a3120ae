"""Task specs for tests, small and valid, each field to be replaced."""

from typing import Any

TESTS = """
from work import double


def test_it_doubles():
    assert double(2) == 4


def test_it_doubles_nothing():
    assert double(0) == 0
"""

GOOD = "def double(number):\n    return number * 2\n"
HALF = "def double(number):\n    return 0\n"
BAD = "def double(number):\n    return number + 1\n"


def spec(title: str, **fields: Any) -> dict[str, Any]:
    """A task to write `double`; the title is how the scripted provider knows it."""
    return {
        "title": title,
        "instructions": "Write double(number).",
        "files": {"work.py": "def double(number): ...\n"},
        "tests": {"test_work.py": TESTS},
        "budget_tokens": 50_000,
        "candidates": 1,
        "repair_rounds": 0,
        "deadline": "5m",
        **fields,
    }
