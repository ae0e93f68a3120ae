"""Which form an answer has, by `Accept` (RFC 9110)."""

import pytest

from gateway.negotiation import choose
from gateway.openapi import describe

OFFERED = ("application/json", "image/svg+xml")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/svg+xml", "image/svg+xml"),
        ("IMAGE/SVG+XML; Q=0.3", "image/svg+xml"),
        ("image/*", "image/svg+xml"),
        ("image/svg+xml;q=0.2, application/json;q=0.8", "application/json"),
        ("image/svg+xml;q=0.8, application/json;q=0.2", "image/svg+xml"),
        ("text/html, image/svg+xml, */*;q=0.8", "image/svg+xml"),
        ("*/*, application/json;q=0", "image/svg+xml"),
        ("image/svg+xml;q=oops, application/json;q=0.1", "application/json"),
        ("text/html", None),
        ("application/json;q=0", None),
        ("*/*;q=0", None),
    ],
)
def test_the_client_gets_what_it_likes_best(accept: str, chosen: str | None) -> None:
    assert choose(accept, OFFERED) == chosen


def test_the_description_tells_every_form_and_that_another_is_refused() -> None:
    described = describe()["paths"]["/v1/tasks/{task_id}/consensus"]["get"]["responses"]

    assert list(described["200"]["content"]) == list(OFFERED)
    assert "Vary" in described["200"]["headers"]
    assert "not-acceptable" in described["406"]["description"]
