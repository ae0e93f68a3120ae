"""What the workers count goes by the table."""

import asyncio

import pytest

from activities import meters
from activities.dispatch import _outcome_of
from activities.models import RefusedCall
from schema import metrics
from schema.errors import AnswerTooLong, ModelUnavailable


def unavailable(cause: Exception) -> ModelUnavailable:
    error = ModelUnavailable("no answer")
    error.__cause__ = cause
    return error


def test_labels_that_are_not_the_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        meters.count(metrics.LLM_REQUESTS, 1, "only a model")


def test_every_histogram_of_the_workers_has_its_edges_from_the_table() -> None:
    own = [each for each in metrics.OURS if each.source == "worker" and each.kind == "histogram"]

    assert {each.name: meters.buckets()[each.name] for each in own} == {each.name: each.buckets for each in own}
    assert 150.0 in meters.buckets()["golden_consensus_duration_seconds"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RefusedCall("busy", 429), "refused"),
        (AnswerTooLong("no end"), "invalid"),
        (unavailable(TimeoutError()), "timeout"),
        (unavailable(type("APITimeoutError", (Exception,), {})()), "timeout"),
        (unavailable(ValueError()), "failed"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
def test_how_a_call_ended_is_one_of_the_words_that_are_counted(error: BaseException, outcome: str) -> None:
    assert _outcome_of(error) == outcome
    assert outcome in meters.CALL_OUTCOMES
