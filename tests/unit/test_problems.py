"""Errors as problem details: stable types, plain remedies, nothing that leaks."""

import json

import psycopg
import pytest
import sqlalchemy.exc
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from gateway.problems import (
    FORBIDDEN,
    KINDS,
    Problem,
    clean_field,
    faults_of,
    invalid,
    problem_of,
    respond,
)
from schema.messages.task import TaskSpec
from schema.messages.vote import VotePolicy


def test_every_kind_has_its_own_stable_type() -> None:
    assert len({kind.type for kind in KINDS}) == len(KINDS) >= 17
    assert all(kind.type == f"https://golden.invalid/problems/{kind.name}" for kind in KINDS)


def test_a_problem_is_told_as_rfc_9457_has_it() -> None:
    response = respond(Problem(FORBIDDEN, "not you", headers={"Retry-After": "2"}), "r1")

    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "2"
    assert json.loads(bytes(response.body)) == {
        "type": "https://golden.invalid/problems/forbidden",
        "title": "This is not allowed to you",
        "status": 403,
        "detail": "not you",
        "request_id": "r1",
    }


def test_an_invalid_request_names_its_fields() -> None:
    body = json.loads(bytes(respond(invalid([("budget_tokens", "must be at least 1,000")]), "r1").body))

    assert body["status"] == 422
    assert body["errors"] == [{"field": "budget_tokens", "message": "must be at least 1,000"}]


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("gone"),
        psycopg.InterfaceError("closed"),
        sqlalchemy.exc.TimeoutError("the pool is exhausted"),
        sqlalchemy.exc.OperationalError("SELECT", {}, Exception("gone")),
        sqlalchemy.exc.InterfaceError("SELECT", {}, Exception("gone")),
        sqlalchemy.exc.DBAPIError("SELECT", {}, Exception("gone"), connection_invalidated=True),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_database_that_is_away_is_503_with_retry_after(error: Exception) -> None:
    problem = problem_of(error)

    assert problem is not None
    assert (problem.kind.name, problem.kind.status) == ("database-unavailable", 503)
    assert problem.headers["Retry-After"] == "2"


@pytest.mark.parametrize("error", [ValueError("x"), sqlalchemy.exc.ProgrammingError("SELECT", {}, Exception("typo"))])
def test_what_nobody_foresaw_is_no_problem_of_ours(error: Exception) -> None:
    assert problem_of(error) is None


def test_a_wrong_method_is_told_with_the_right_ones() -> None:
    problem = problem_of(HTTPException(405, headers={"Allow": "POST, GET"}))

    assert problem is not None
    assert problem.headers["Allow"] == "GET, POST"


def test_field_names_are_bounded_and_printable() -> None:
    assert clean_field("a\x1b[31m\u202eb") == "a\ufffd[31m\ufffdb"
    assert len(clean_field("x" * 10_000)) < 300


def test_pydantics_errors_become_plain_remedies() -> None:
    with pytest.raises(ValidationError) as caught:
        TaskSpec.model_validate_json('{"title": 1, "tests": {}, "bogus": 1, "budget_tokens": 1, "candidates": 99}')

    assert dict(faults_of(caught.value)) == {
        "title": "must be text",
        "instructions": "is required",
        "tests": "must not be empty",
        "bogus": "is not a known field",
        "budget_tokens": "must be at least 1,000",
        "candidates": "must be at most 16",
    }


@pytest.mark.parametrize(
    ("guards", "fault"),
    [
        ({"lint": "low"}, ("guards.lint", "must be one of 'on' or 'off' or a mapping")),
        ({"lint": {"F401": "grave"}}, ("guards.lint.F401", "must be one of 'low', 'medium' or 'high' or 'off'")),
    ],
)
def test_a_field_of_several_forms_is_told_once_and_by_its_own_name(guards: object, fault: tuple[str, str]) -> None:
    with pytest.raises(ValidationError) as caught:
        VotePolicy.model_validate({"guards": guards})

    assert faults_of(caught.value) == [fault]
