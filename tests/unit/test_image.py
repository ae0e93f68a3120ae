"""What goes into the image of Golden's processes."""

from pathlib import Path

import pytest

from deploy import image
from schema.errors import SettingsError

LOCK = (image.ROOT / "requirements.lock").read_text()


def test_only_what_runs_is_in_it() -> None:
    names = image.needed()
    assert {"temporalio", "starlette", "psycopg", "psycopg-binary", "openai", "anthropic", "certifi"} <= names
    assert not names & {"pytest", "mypy", "ruff", "hypothesis", "helm-python-sdk", *image.ONE_MACHINE_ONLY}


def test_every_pin_keeps_its_hashes_and_nothing_else_is_pinned() -> None:
    names = image.needed()
    lines = image.runtime_lock(LOCK, names).splitlines()
    pinned = [line for line in lines if "==" in line]
    assert len(pinned) == len(names)
    assert all(line.lstrip().startswith("--hash=sha256:") for line in lines if line not in pinned)


def test_a_dependency_that_the_lock_lacks_is_told() -> None:
    with pytest.raises(SettingsError, match="does not pin no-such-thing: run `make lock`"):
        image.runtime_lock(LOCK, frozenset({"no-such-thing"}))


def test_the_image_ends_as_a_user_that_is_not_root() -> None:
    lines = (Path(image.__file__).parent / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users == ["10001:10001"]
    assert [line.split()[1] for line in lines if line.startswith("FROM")] == ["$BASE", "$BASE"]
