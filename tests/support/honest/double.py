"""What honest programs are made of."""

Program = tuple[dict[str, str], dict[str, str]]
"""A program's files, and the tests that it passes."""

DOUBLE = "def double(x):\n    return 2 * x\n"
HEAD = "from double import *\nimport double as module\n"


def double(tests: str, program: str = DOUBLE) -> Program:
    """Tests of one module."""
    return {"double.py": program}, {"test_double.py": HEAD + tests}
