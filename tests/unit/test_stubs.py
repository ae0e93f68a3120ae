"""A function to complete: where it is found, how a model is asked to go on with it, and what of that is kept."""

import json
from uuid import UUID

import pytest

from activities.briefs import Material
from activities.models import Question
from activities.questions import question_for
from activities.routes import ModelTarget
from activities.stubs import Stub, stub_of
from schema.messages.steps import AskRoleInput, StepRef
from schema.messages.task import TaskSpec, TaskState
from tests.support.specs import spec as fields

DOUBLE = 'def double(number: int) -> int:\n    """Twice the number."""\n'
BEFORE = "import math\n\n\ndef half(number):\n    return number / 2\n\n\n"
AFTER = "\n\nTWO = double(1)\n"
MODEL = ModelTarget(model="openai:small", lean=True, drafts=True)
REF = StepRef(task_id=UUID(int=1), tenant="t", step="develop/1")


def spec(work: str) -> TaskSpec:
    return TaskSpec.model_validate_json(json.dumps(fields("A task", files={"work.py": work})))


def stub(work: str) -> Stub:
    found = stub_of(spec(work), "work.py")
    assert found is not None
    return found


def asked(work: str, *, variant: int = 0, candidate: str | None = None, target: ModelTarget = MODEL) -> Question:
    ask = AskRoleInput(ref=REF, state=TaskState.DEVELOPING, role="developer", variant=variant, candidate=candidate)
    return question_for(ask, Material(spec(work)), target, 1, None)


@pytest.mark.parametrize("body", ["", "    pass\n", "    ...\n", "    raise NotImplementedError\n"])
def test_a_function_without_a_body_is_one_to_complete(body: str) -> None:
    assert stub(DOUBLE + body).whole("    return 2 * number\n") == f"{DOUBLE}    return 2 * number\n"


def test_what_stands_around_it_stays_as_it_is() -> None:
    found = stub(f"{BEFORE}{DOUBLE}    ...\n{AFTER}")
    assert found.whole("    return 2 * number") == f"{BEFORE}{DOUBLE}    return 2 * number\n{AFTER}"
    assert (found.signature, found.doc) == ("double(number: int) -> int", "Twice the number.")


@pytest.mark.parametrize(
    "work",
    ["", "def double(number):\n    return 1\n", "def double(number\n", "TWO = 2\n", "def double(number): ...\n"],
    ids=["nothing", "whole", "broken", "no function", "on one line"],
)
def test_where_no_body_is_missing_there_is_none(work: str) -> None:
    assert stub_of(spec(work), "work.py") is None


def test_of_what_a_model_goes_on_to_say_only_the_body_is_kept() -> None:
    said = "    if number:\n\n        return 2 * number\n    return 0\n\nprint(double(1))\n    # more\n"
    assert stub(DOUBLE).whole(said) == f"{DOUBLE}    if number:\n\n        return 2 * number\n    return 0\n"


@pytest.mark.parametrize("repeated", [True, False])
def test_an_answer_is_the_whole_file_whether_or_not_the_server_repeats_its_beginning(repeated: bool) -> None:
    draft = asked(DOUBLE).draft
    assert draft is not None
    said = "    return 2 * number\n"
    assert draft.whole(draft.opening + said if repeated else said) == DOUBLE + said


def test_the_first_draft_is_the_likeliest_and_no_other_is_drawn_twice() -> None:
    questions = [asked(DOUBLE, variant=number) for number in range(16)]
    questions += [asked(DOUBLE, variant=number, candidate="0" * 64) for number in range(1, 11)]

    assert [question.temperature for question in questions].count(0.0) == 1
    assert questions[0].temperature == 0.0
    assert len({question.seed for question in questions}) == len(questions)


@pytest.mark.parametrize(
    ("work", "target"),
    [("def double(number):\n    return 1\n", MODEL), (DOUBLE, MODEL.model_copy(update={"drafts": False}))],
    ids=["nothing to complete", "a server that can't"],
)
def test_else_the_whole_file_is_asked_for(work: str, target: ModelTarget) -> None:
    question = asked(work, target=target)
    assert question.draft is None
    assert "Complete this Python file" in question.user
