"""Which commands may be run: pytest forms that are judged, and for an execution anything else, which is not."""

import re
from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

_PYTEST_FORMS = (("python", "-m", "pytest"), ("python3", "-m", "pytest"), ("pytest",), ("py.test",))
# The same as deploy/sandbox/judge.py lets through: none of these changes what is judged.
_PYTEST_OPTIONS = re.compile(
    r"-[qvsxl]+|-r[A-Za-z]+|--(quiet|verbose|exitfirst|strict-markers|strict-config|no-header|no-summary)"
    r"|--tb=(auto|long|short|line|native|no)|--(maxfail|durations)=[0-9]{1,4}"
)


def check_text(text: str) -> str:
    """Text that PostgreSQL and JSON can hold."""
    if "\x00" in text:
        raise ValueError("must not hold a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must not hold an unpaired surrogate") from error
    return text


Argument = Annotated[str, StringConstraints(max_length=30_000), AfterValidator(check_text)]
"""One argument of a command; Linux takes up to 131,071 bytes."""


def pytest_arguments(command: tuple[str, ...]) -> tuple[str, ...] | None:
    """The arguments to pytest where the command is a pytest form, which is judged; else None."""
    form = next((form for form in _PYTEST_FORMS if command[: len(form)] == form), None)
    return None if form is None else command[len(form) :]


def check_pytest_options(arguments: tuple[str, ...]) -> None:
    """Refuse what could change the judging.

    Raises:
        ValueError: naming the argument and what is allowed.
    """
    for argument in arguments:
        if not _PYTEST_OPTIONS.fullmatch(argument):
            raise ValueError(
                f"option {argument[:40]!r} is not allowed: use -q, -v, -x, -s, -l, -r, --tb, --maxfail or --durations"
            )


def check_pytest_targets(targets: tuple[str, ...], paths: Collection[str]) -> None:
    """Each target of pytest is a file or folder of the job, or a test in one.

    Raises:
        ValueError: naming the target.
    """
    for target in targets:
        named = target.split("::")[0].removeprefix("./").rstrip("/")
        if target != "." and not any(path == named or path.startswith(f"{named}/") for path in paths):
            raise ValueError(f"target {target[:40]!r} is no file of this job: name one, or leave it out for all")


def is_test_file(path: str) -> bool:
    """Whether pytest looks into a file by itself."""
    name = path.rsplit("/", 1)[-1]
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))
