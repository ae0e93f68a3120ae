"""The sandbox, for real: what becomes of an honest candidate."""

import pytest

from activities.docker_pool import DockerSandboxPool
from schema.errors import FinalError
from schema.messages.sandbox import SandboxJob
from tests.support.sandbox import DOUBLE, PYTEST, TESTS, WRONG, judged, outcomes, python

pytest_plugins = ["tests.support.sandbox_fixtures"]
pytestmark = pytest.mark.sandbox


async def test_a_right_candidate_passes(pool: DockerSandboxPool) -> None:
    run = await pool.run(judged({"double.py": DOUBLE}, TESTS))
    assert run.passed, run
    assert outcomes(run) == {"test_double.py::test_double": "passed"}
    assert run.isolation == "gvisor"
    assert run.usage.wall_seconds > 0
    assert run.usage.cpu_seconds > 0


async def test_a_wrong_candidate_fails_with_the_reason(pool: DockerSandboxPool) -> None:
    run = await pool.run(judged({"double.py": WRONG}, TESTS))
    assert (run.exit_code, run.passed) == (1, False)
    assert run.tests[0].outcome == "failed"
    assert "assert 2 == 4" in run.tests[0].message


async def test_a_syntax_error_is_told_with_the_test_it_spoils(pool: DockerSandboxPool) -> None:
    run = await pool.run(judged({"double.py": "def double(x:\n"}, TESTS))
    assert not run.passed
    assert outcomes(run)["test_double.py::test_double"] == "error"
    assert "SyntaxError" in run.tests[0].message


async def test_a_test_that_no_candidate_gave_a_module_for_is_an_error(pool: DockerSandboxPool) -> None:
    run = await pool.run(judged({}, TESTS))
    assert outcomes(run)["test_double.py::test_double"] == "error"
    assert "No module named 'double'" in run.tests[0].message


async def test_parameters_classes_and_async_tests_all_report(pool: DockerSandboxPool) -> None:
    tests = {
        "checks/test_more.py": (
            "import unittest\nimport pytest\nfrom double import double\n"
            "@pytest.mark.parametrize('x', [1, 2])\ndef test_each(x):\n    assert double(x) == 2 * x\n"
            "class TestIt:\n    def test_in_class(self):\n        assert double(0) == 0\n"
            "class Old(unittest.TestCase):\n    def test_old(self):\n        self.assertEqual(double(1), 2)\n"
            "@pytest.mark.skip\ndef test_skipped():\n    pass\n"
        ),
        "checks/conftest.py": "",
    }
    run = await pool.run(judged({"double.py": DOUBLE}, tests))
    assert outcomes(run) == {
        "checks/test_more.py::test_each[1]": "passed",
        "checks/test_more.py::test_each[2]": "passed",
        "checks/test_more.py::TestIt::test_in_class": "passed",
        "checks/test_more.py::Old::test_old": "passed",
        "checks/test_more.py::test_skipped": "skipped",
    }
    assert not run.passed


async def test_without_tests_of_its_own_a_job_is_judged_by_its_files(pool: DockerSandboxPool) -> None:
    run = await pool.run(SandboxJob(files={"double.py": DOUBLE, **TESTS}, command=("pytest",)))
    assert run.passed, run


async def test_an_option_that_could_change_the_judging_is_refused(pool: DockerSandboxPool) -> None:
    run = await pool.run(SandboxJob(files={}, tests=TESTS, command=("pytest", "-k", "nothing")))
    assert (run.exit_code, run.passed) == (4, False)
    assert "-k is not allowed" in run.stderr


async def test_a_candidate_may_have_a_module_named_like_the_runners(pool: DockerSandboxPool) -> None:
    tests = {"test_it.py": "from deploy import one\n\n\ndef test_one():\n    assert one == 1\n"}
    run = await pool.run(judged({"deploy.py": "one = 1\n"}, tests))
    assert run.passed, run


async def test_binary_output_becomes_text_that_every_store_holds(pool: DockerSandboxPool) -> None:
    code = "import sys\nsys.stdout.buffer.write('grün \\U0001f40d '.encode() + b'\\xff\\x00\\xed\\xa0\\x80')\n"
    run = await pool.run(python(code))
    assert run.stdout.startswith("grün \U0001f40d \ufffd\ufffd")
    run.stdout.encode()
    assert "\x00" not in run.stdout


async def test_a_message_with_half_a_character_arrives_as_text(pool: DockerSandboxPool) -> None:
    run = await pool.run(judged({"double.py": "def double(x):\n    raise ValueError('\\ud800\\x00')\n"}, TESTS))
    assert run.tests[0].outcome == "failed"
    run.model_dump_json().encode()


async def test_a_command_that_does_not_exist_is_a_failure_with_its_name(pool: DockerSandboxPool) -> None:
    run = await pool.run(SandboxJob(files={}, command=("nothing-here",)))
    assert run.exit_code == 127
    assert "nothing-here" in run.stderr


async def test_an_unknown_image_is_refused_for_good(pool: DockerSandboxPool) -> None:
    with pytest.raises(FinalError, match="no sandbox image 'other'; there is default"):
        await pool.run(SandboxJob(files={}, command=PYTEST, image="other"))
