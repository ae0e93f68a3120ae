"""A gateway is ready on the tables of its own release and of every later one."""

import pytest

from gateway.health import has_tables
from schema.migrate import newest


@pytest.mark.parametrize("version", ["0005", "0006", "0010", "9999"])
def test_tables_of_this_release_or_a_later_one_will_do(version: str) -> None:
    assert has_tables(version, "0005")


@pytest.mark.parametrize("version", [None, "", "0001", "0004"])
def test_older_tables_will_not(version: str | None) -> None:
    assert not has_tables(version, "0005")


def test_our_own_version_is_one_that_can_be_compared() -> None:
    assert (newest() or "").isdecimal()
    assert len(newest() or "") == 4
