"""Guards and remedies in real sandboxes: on every tool of the image, beside hostile candidates."""

from typing import Any

import pytest

from activities.docker_pool import DockerSandboxPool
from activities.judging import judge
from deploy.sandbox.guards.registry import NAMES
from schema.messages.sandbox import SandboxJob, SandboxRun
from tests.support.sandbox import DOUBLE, TESTS, judged

pytest_plugins = ["tests.support.sandbox_fixtures"]
pytestmark = pytest.mark.sandbox

FAULTY = """import os
import hashlib
import subprocess
import yaml


def double(x, seen=[]):
    assert x is not None, "no"
    try:
        subprocess.run("true", shell=True)
        hashlib.md5(b"x")
        yaml.load("a: 1", Loader=yaml.Loader)
        math.sqrt(4)
    except:
        pass
    return 2 * x"""


def guarded(files: dict[str, str], **changes: Any) -> SandboxJob:
    return judged(files, TESTS).model_copy(update={"guards": {}, "given": {}, **changes})


def found(run: SandboxRun) -> set[tuple[str, str]]:
    return {(finding.guard, finding.rule) for finding in run.findings}


async def test_faults_are_found_mended_and_gone_while_the_tests_still_pass(pool: DockerSandboxPool) -> None:
    job = guarded({"double.py": FAULTY})
    before = await judge(pool, job)
    assert before.passed
    assert found(before) >= {
        ("security", "B506"), ("security", "B602"), ("security", "B324"), ("security", "B101"),
        ("lint", "F401"), ("lint", "F821"), ("lint", "B006"), ("lint", "E722"), ("lint", "W292"),
    }  # fmt: skip

    mended = (await pool.run(job.model_copy(update={"kind": "mend", "findings": before.findings}))).mended
    assert mended is not None
    assert len(mended.remedies) >= 8
    after = await judge(pool, guarded(mended.files))
    assert after.passed
    # What is swallowed stays a matter for a model.
    assert found(after) == {("security", "B110")}


async def test_a_clean_candidate_has_no_finding_and_one_that_fails_has_its_failing_test(
    pool: DockerSandboxPool,
) -> None:
    clean = await judge(pool, guarded({"double.py": DOUBLE}))
    wrong = await judge(pool, guarded({"double.py": "def double(x):\n    return x\n"}))
    assert (clean.passed, clean.findings, clean.weights) == (True, (), {})
    assert found(wrong) == {("tests", "test-failed")}
    assert "assert 2 == 4" in wrong.findings[0].message


async def test_without_a_policy_no_guard_looks(pool: DockerSandboxPool) -> None:
    assert (await judge(pool, judged({"double.py": FAULTY}, TESTS))).findings == ()


HOSTILE = {
    "kills every process that it may": "import os\nos.kill(-1, 9)\n",
    "writes where guards write": "import pathlib, os\nfor p in pathlib.Path('/tmp').glob('*'): os.unlink(p)\n",
    "fills the memory": "x = 'x' * (1 << 40)\n",
    "brings its own tools": "import sys\nsys.modules['bandit'] = None\n",
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_candidate_that_runs_can_not_take_back_what_was_found(pool: DockerSandboxPool, code: str) -> None:
    run = await judge(pool, guarded({"double.py": f"{code}import hashlib\nhashlib.md5(b'')\n{DOUBLE}"}))
    assert ("security", "B324") in found(run)


async def test_what_a_candidate_brings_to_steer_the_guards_changes_nothing(pool: DockerSandboxPool) -> None:
    steering = {
        "ruff.toml": "exclude = ['*']\n", "pyproject.toml": "[tool.bandit]\nskips = ['B324']\n",
        ".bandit": "[bandit]\nskips: B324\n", "bandit.py": "raise SystemExit\n", "ruff.py": "raise SystemExit\n",
        "sitecustomize.py": "raise SystemExit\n", "json/__init__.py": "raise SystemExit\n",
    }  # fmt: skip
    text = f"import hashlib\nimport os  # noqa\nhashlib.md5(b'')  # nosec\n{DOUBLE}"
    run = await judge(pool, guarded({"double.py": text, **steering}))
    assert found(run) >= {("security", "B324"), ("lint", "F401"), ("scope", "suppression"), ("scope", "protected-file")}


async def test_hostile_files_end_in_bounded_findings_and_never_in_a_pass_of_a_guard(pool: DockerSandboxPool) -> None:
    deep = (
        "x = " + "[" * 90 + "]" * 90 + "\n" + "".join(f"{'    ' * n}if x:\n" for n in range(95)) + "    " * 95 + "x\n"
    )
    files = {
        "double.py": DOUBLE,
        "many.py": "import os\n" * 10_000,
        "deep.py": deep,
        "chain.py": "x = 1" + " + 1" * 30_000 + "\n",
        "nul.py": "x = 1\x00\n",
        "half.py": "x = '\ud800'\n",
        "-rf.py": "import os\n",
        "--config=x.py": "import os\n",
    }
    # Such paths come past no check of ours, and mean nothing all the same.
    job = SandboxJob.model_construct(**{**guarded({}).__dict__, "files": files})
    run = await judge(pool, job)
    assert len(run.findings) == 200
    assert run.weights["lint"] > 0
    assert {finding.file for finding in run.findings if finding.guard == "syntax"} >= {"nul.py", "half.py"}
    assert {finding.guard for finding in run.findings} <= set(NAMES)
    assert all(finding.message.isprintable() and len(finding.message) <= 300 for finding in run.findings)


async def test_a_mend_touches_neither_tests_nor_configuration_nor_what_was_given(pool: DockerSandboxPool) -> None:
    text = "import os\n"
    job = guarded({"double.py": text, "test_double.py": text, "conftest.py": text, "given.py": text})
    run = await judge(pool, job)
    findings = tuple(
        finding.model_copy(update={"file": path})
        for finding in run.findings
        for path in job.files
        if finding.rule == "F401"
    )
    mend = job.model_copy(update={"kind": "mend", "findings": findings, "given": {"given.py": text}})
    mended = (await pool.run(mend)).mended
    assert mended is not None
    assert set(mended.files) == {"double.py"}
