"""What the measurements of solved problems and of votes rest on."""

import ast

import pytest

from bench.mutants import mutants
from bench.paired import interval, mcnemar, wilson
from bench.problems import Problem, sampled
from bench.solve_rate import Result, code_of, compare
from bench.votes import weaker

PROMPT = 'import math\n\n\ndef double(number):\n    """Twice the number."""\n'
TEST = "METADATA = {}\n\n\ndef check(candidate):\n    assert candidate(1) == 2\n    assert candidate(0) == 0\n"
PROBLEM = Problem(task_id="P/1", prompt=PROMPT, entry_point="double", test=TEST)


def result(arm: str, *, solved: bool, accepted: bool = True) -> Result:
    return Result(arm, "P/1", "", accepted, solved, 10, 1.0)


def test_mcnemars_test_is_a_thrown_coins() -> None:
    # 2 × (1 + 8) / 2^8, and nothing at all.
    assert mcnemar(1, 7) == pytest.approx(18 / 256)
    assert mcnemar(0, 0) == 1.0


def test_intervals_hold_what_was_seen_and_narrow_with_more_of_it() -> None:
    solved = [1, 0, 0, 0] * 10
    low, high = interval(40, lambda drawn: sum(solved[index] for index in drawn) / 40)
    assert low < 0.25 < high
    # Wilson's own formula at 0 of 10: z² / (n + z²).
    assert wilson(0, 10) == pytest.approx((0.0, 1.959964**2 / (10 + 1.959964**2)))


def test_a_problems_tests_are_one_test_for_pytest_about_the_candidates_file() -> None:
    (text,) = PROBLEM.tests.values()
    tree = ast.parse(text)
    (test,) = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert (test.name, test.args.args) == ("test_double", [])
    assert "from solution import double\n" in text
    assert "assert candidate(1) == 2" in text


def test_a_sample_is_the_seeds_and_a_weaker_test_has_the_first_assertion_alone() -> None:
    problems = [PROBLEM.model_copy(update={"task_id": f"P/{number}"}) for number in range(20)]
    assert sampled(problems, 5, 1) == sampled(problems, 5, 1) != sampled(problems, 5, 2)
    assert weaker(PROBLEM).test.count("assert") == 1


@pytest.mark.parametrize(
    "answer",
    [
        "Here:\n```python\ndef double(number):\n    return math.trunc(2 * number)\n```\nThat is it.",
        "```python\nimport math\ndef double(number):\n    return math.trunc(2 * number)\n```",
        "    return math.trunc(2 * number)\n",
    ],
    ids=["without its import", "whole", "the body alone"],
)
def test_a_plain_answer_is_read_kindly(answer: str) -> None:
    space: dict[str, object] = {}
    exec(code_of(PROBLEM, answer), space)  # noqa: S102
    assert space["double"](2) == 4  # type: ignore[operator]


def test_a_mutant_is_the_function_with_one_slip_and_none_is_the_function_itself() -> None:
    code = "def other():\n    return 1\n\n\ndef first(items):\n    if len(items) > 0:\n        return items[0]\n"
    slips = mutants(code, "first")
    assert {slip.slip.partition(",")[0] for slip in slips} == {
        "flipped comparison", "off by one", "condition turned round", "dropped return",
    }  # fmt: skip
    assert len({slip.code for slip in slips} - {ast.unparse(ast.parse(code)) + "\n"}) == len(slips)
    assert all("return 1\n" in slip.code for slip in slips)


@pytest.mark.parametrize(
    ("golden", "met"),
    [
        ([result("golden", solved=True)] * 3, True),
        ([result("golden", solved=True)] * 2 + [result("golden", solved=False)], False),
        ([result("golden", solved=False, accepted=False)] * 3, False),
    ],
)
def test_the_goal_needs_more_solved_and_nothing_wrongly_accepted(golden: list[Result], met: bool) -> None:
    plain = [result("plain", solved=number == 0) for number in range(3)]
    assert compare(plain, golden) is met
