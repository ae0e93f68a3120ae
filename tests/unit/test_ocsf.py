"""Audit records as OCSF events: what class API Activity requires is there, and everything of a record is somewhere."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.ocsf import event_of
from schema.audit import GENESIS, ChainedRecord, ListedRecord
from schema.messages.base import Message

RECORD = ChainedRecord(
    tenant="t1",
    sequence=7,
    at=datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC),
    actor="ann",
    role="developer",
    action="tasks.submit",
    object="01a20750-3f0e-7f11-8a5c-0f5a4a1f1a52",
    outcome="allowed",
    request_id="r-1",
    trace_id="0af7651916cd43dd8448eb211c80319c",
    digest="a" * 64,
    previous=GENESIS,
    hash="b" * 64,
)

# As the schema of OCSF 1.3 has them for class 6003 and the objects in it: name, type, and the values of closed ones.
REQUIRED: dict[str, Any] = {
    "activity_id": {0, 1, 2, 3, 4, 99},
    "category_uid": {6},
    "class_uid": {6003},
    "severity_id": {0, 1, 2, 3, 4, 5, 6, 99},
    "time": int,
    "type_uid": {600300, 600301, 600302, 600303, 600304, 600399},
    "metadata": {"version": str, "product": {"vendor_name": str}},
    "actor": {"user": dict},
    "api": {"operation": str},
    "src_endpoint": dict,
}
OPTIONAL: dict[str, Any] = {
    "activity_name": str,
    "category_name": str,
    "class_name": str,
    "type_name": str,
    "severity": str,
    "status_id": {0, 1, 2, 99},
    "status": str,
    "status_detail": str,
    "message": str,
    "resources": list,
    "unmapped": dict,
}
ENDPOINT = {"ip", "uid", "name", "hostname", "svc_name"}
"""One of them says where it came from."""


def assert_shaped(value: Any, shape: Any, where: str) -> None:
    if isinstance(shape, set):
        assert value in shape, where
    elif isinstance(shape, dict):
        for name, inner in shape.items():
            assert_shaped(value[name], inner, f"{where}.{name}")
    else:
        assert type(value) is shape, where


def assert_valid(event: dict[str, Any]) -> None:
    assert_shaped(event, REQUIRED, "event")
    assert set(event) <= set(REQUIRED) | set(OPTIONAL)
    for name in set(event) & set(OPTIONAL):
        assert_shaped(event[name], OPTIONAL[name], name)
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert ENDPOINT & set(event["src_endpoint"])
    assert event["metadata"]["version"] == "1.3.0"


def test_an_event_has_what_the_class_requires_and_all_that_the_record_says() -> None:
    event = event_of(RECORD)

    assert_valid(event)
    text = json.dumps(event)
    for value in RECORD.model_dump(mode="json", exclude={"at", "sequence"}, exclude_none=True).values():
        assert json.dumps(value) in text
    assert event["time"] == 1_769_860_800_123
    assert event["metadata"]["uid"] == "t1/7"
    assert (event["activity_id"], event["status_id"], event["severity_id"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("action", "activity"),
    [
        ("tasks.submit", 1),
        ("sandbox.execute", 1),
        ("tasks.list", 2),
        ("audit.verify", 2),
        ("tasks.cancel", 3),
        ("tasks.decide", 3),
        ("token.revoke", 4),
        ("token.first-use", 99),
        ("authenticate", 99),
    ],
)
def test_the_activity_is_that_of_the_action(action: str, activity: int) -> None:
    event = event_of(RECORD.model_copy(update={"action": action}))

    assert_valid(event)
    assert event["activity_id"] == activity


@pytest.mark.parametrize("outcome", ["denied", "failed", "limit"])
def test_what_was_refused_or_failed_is_a_failure_with_its_reason(outcome: str) -> None:
    event = event_of(RECORD.model_copy(update={"outcome": outcome, "reason": "why"}))

    assert_valid(event)
    assert (event["status_id"], event["status_detail"], event["severity_id"]) == (2, "why", 2)


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("192.0.2.1", {"ip": "192.0.2.1"}),
        ("2001:db8::/64", {"name": "2001:db8::/64"}),
        ("unknown", {"name": "unknown"}),
    ],
)
def test_a_failed_authentication_comes_from_its_address(address: str, endpoint: dict[str, str]) -> None:
    event = event_of(RECORD.model_copy(update={"action": "authenticate", "object": address, "role": None}))

    assert_valid(event)
    assert event["src_endpoint"] == endpoint
    assert "resources" not in event


def test_a_record_of_the_least_is_an_event_too() -> None:
    least: Message = RECORD.model_copy(
        update=dict.fromkeys(("role", "object", "reason", "request_id", "trace_id", "digest"))
    )

    assert isinstance(least, ChainedRecord)
    assert_valid(event_of(least))


def test_a_record_without_a_time_says_so() -> None:
    event = event_of(ListedRecord(**{**RECORD.model_dump(), "at": None}))

    assert_valid(event)
    assert (event["time"], event["metadata"]["original_time"]) == (0, "unreadable")
