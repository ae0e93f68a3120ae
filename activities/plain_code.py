"""Reads the answer of a model that is too small for JSON: code, with or without prose and fences around it."""

import ast
import re
import sys

from activities.answer_json import AnswerRefused, check_storable
from activities.answer_types import MAX_FILE_CHARACTERS, CandidateAnswer, FileAnswer
from schema.messages.task import TaskSpec
from schema.paths import check_workspace_path

MAX_SEARCHED = 20_000
"""Characters: looking for the code's end in more than that would take the worker seconds."""

_FENCE = re.compile(
    r"^[ \t]*```[ \t]*(?:python|py)?[ \t]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE | re.IGNORECASE
)
# What tells broken code from words: no sentence has such a line.
_STATEMENT = re.compile(
    r"^\s*(?:(?:async\s+)?def\s+\w+\s*\(|class\s+\w+\s*[(:]|import\s+[\w.]+\s*$|from\s+[\w.]+\s+import\b)", re.MULTILINE
)


def parse_code(unverified_text: str, path: str) -> CandidateAnswer:
    """Read a plain answer as one whole file.

    Raises:
        AnswerRefused: it is too long, can't be stored, or there is no code in it.
    """
    check_storable(unverified_text)
    if len(unverified_text) > MAX_FILE_CHARACTERS:
        raise AnswerRefused(f"the answer is longer than {MAX_FILE_CHARACTERS} characters: be shorter")
    blocks = [block.strip("\n") for block in _FENCE.findall(unverified_text)]
    code = next((block for block in blocks if block.strip() and _does_something(block)), None)
    if code is None:
        code = _longest_prefix_that_parses(blocks[0] if blocks else unverified_text)
    if not _does_something(code) and not _STATEMENT.search(code):
        raise AnswerRefused("the answer holds no code: answer with the Python file alone")
    return CandidateAnswer(files=[FileAnswer(path=path, content=code.rstrip() + "\n")])


def _parse(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _does_something(code: str) -> bool:
    """Whether it is Python that does more than to name things: `Sorry` is valid Python too."""
    tree = _parse(code)
    statements = tree.body if tree is not None else []
    return any(not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call) for node in statements)


def _longest_prefix_that_parses(text: str) -> str:
    """Small models add prose after the code; what is left when it is cut must still define something."""
    if len(text) > MAX_SEARCHED:
        return text
    lines = text.splitlines()[:400]
    for end in range(len(lines), 0, -1):
        code = "\n".join(lines[:end])
        if ("def " in code or "class " in code) and _parse(code) is not None:
            return code
    return text


def main_path(spec: TaskSpec) -> str:
    """The one file that a plain-code answer is taken for: the task's only module, or what its tests import."""
    modules = [path for path in spec.files if path.endswith(".py")]
    imported = [name for name in _imports(spec.tests) if f"{name}.py" not in spec.tests]
    for name in imported:
        if f"{name}.py" in spec.files:
            return f"{name}.py"
    if len(modules) == 1:
        return modules[0]
    return f"{imported[0]}.py" if imported else "solution.py"


def _imports(tests: dict[str, str]) -> list[str]:
    """Top-level modules that the tests import and Python does not bring, in order."""
    known = set(sys.stdlib_module_names) | {"pytest", "hypothesis", "__future__"}
    names: list[str] = []
    for text in tests.values():
        tree = _parse(text)
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, ast.Import):
                names += [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.append(node.module.split(".")[0])
    return [name for name in dict.fromkeys(names) if name not in known and _can_be_a_file(f"{name}.py")]


def _can_be_a_file(path: str) -> bool:
    try:
        check_workspace_path(path)
    except ValueError:
        return False
    return True
