"""The corpus of answers against the real reader of each role."""

import json

import pytest

from activities.answers import AnswerRefused
from schema.characters import clean
from tests.support.answers import JSON_FORMS, LEAN_CODE, Case
from tests.support.answers.honest import honest
from tests.support.answers.hostile import hostile

HOSTILE, HONEST = hostile(), honest()


def test_the_corpus_is_as_large_as_it_claims_and_names_each_answer_once() -> None:
    assert len(HOSTILE) >= 120
    assert len(HONEST) >= 40
    assert len({str(case) for case in HOSTILE}) == len(HOSTILE)
    assert {case.form for case in HOSTILE} >= {*JSON_FORMS, LEAN_CODE}


@pytest.mark.parametrize("case", HOSTILE, ids=str)
def test_a_hostile_answer_is_refused_in_few_clean_words(case: Case) -> None:
    with pytest.raises(AnswerRefused) as refused:
        case.form.parse(case.text)

    told = str(refused.value)
    assert 0 < len(told) <= 500
    assert told == clean(told)
    assert "x" * 300 not in told


@pytest.mark.parametrize("case", HONEST, ids=str)
def test_an_honest_answer_is_kept_as_it_was_given(case: Case) -> None:
    stored = case.form.parse(case.text)

    assert json.loads(stored) == case.kept
    stored.encode()
