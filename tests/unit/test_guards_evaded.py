"""Ways around the guards that are none, and honest code that only looks bad."""

import json

import pytest

from deploy.sandbox.guards import looking
from deploy.sandbox.guards.dependencies import DependenciesGuard
from deploy.sandbox.guards.findings import Finding
from deploy.sandbox.guards.material import Guard, Material
from deploy.sandbox.guards.scope import ScopeGuard
from deploy.sandbox.guards.secrets import SecretsGuard

SECRET = "Tr0ub4" + "dor&3"
KEY = "AKIA" + "IOSFODNN7EXAMPLE"


def look(guard: Guard, path: str, text: str, given: str | None = None) -> list[Finding]:
    return looking.look(guard, Material({path: text}, {} if given is None else {path: given}), {})


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".env", f"DB_PASSWORD={SECRET}\n"), ("a.env", "export API_KEY=9f8e7d" + "6c5b4a\n"),
        ("c.yaml", f"db:\n  password: {SECRET}\n"), ("s.ini", f"[db]\npassword = {SECRET}\n"),
        ("c.json", f'{{"password": "{SECRET}"}}\n'), ("noext", f"password = '{SECRET}'\n"),
        ("x.sh", "export TOKEN=Tr0ub4dor3" + "x\n"),
        ("a.py", f'password = """{SECRET}"""\n'), ("b.py", f'password = b"{SECRET}\'"\n'),
        ("c.py", f'password = (\n    "{SECRET}"\n)\n'), ("d.py", f'f("{KEY[:4]}"\n  "{KEY[4:]}")\n'),
        ("e.py", f'x = "{KEY[:4]}" + "{KEY[4:]}"\n'), ("f.py", f"x = '{'a' * 50_000}'; password = '{SECRET}'\n"),
    ],
)  # fmt: skip
def test_a_secret_is_found_however_it_is_written(path: str, text: str) -> None:
    found = look(SecretsGuard(), path, text)
    assert [finding["severity"] for finding in found] == ["high"]
    assert SECRET not in json.dumps(found)


def test_what_a_tool_quotes_of_the_code_repeats_no_key() -> None:
    (finding,) = look(DependenciesGuard(), "work.py", f"import {KEY}\n")
    assert KEY not in json.dumps(finding)


@pytest.mark.parametrize(
    "line",
    [
        '{"password": "PasswordInput"}', '{"password": "required"}', 'pwd = "/home/user"', 'self.token = "EOF_TOKEN"',
        'url = "http://user:password@example.com"', '<input type="password" name="password">', 'token = "IDENTIFIER"',
        'x = "550e8400-e29b-41d4-a716-446655440000"', 'parser.add_argument("--password", help="the password")',
    ],
)  # fmt: skip
def test_honest_lines_are_no_grave_finding(line: str) -> None:
    assert "high" not in [finding["severity"] for finding in look(SecretsGuard(), "form.txt", f"{line}\n")]


@pytest.mark.parametrize(
    "comment",
    ["nosemgrep", "NOSONAR", "noinspection PyX", "pragma no cover", "pragma: no branch", "pyre-ignore", "ty: ignore",
     "gitleaks:allow", "yapf: disable", "x # noqa:E501", "pytype: disable=all"],
)  # fmt: skip
def test_a_suppression_comment_is_found_in_every_spelling(comment: str) -> None:
    assert [one["rule"] for one in look(ScopeGuard(), "work.py", f"x = 1  # {comment}\n")] == ["suppression"]


@pytest.mark.parametrize("name", ["utf-7", "unicode_escape", "nope"])
def test_a_file_that_python_reads_in_another_encoding_is_a_grave_finding(name: str) -> None:
    text = f"# coding: {name}\n# +AAo-import os \\x0aimport os é\n"
    assert ("other-encoding", "high") in [(one["rule"], one["severity"]) for one in look(ScopeGuard(), "work.py", text)]


def test_an_encoding_that_reads_the_same_is_none() -> None:
    assert look(ScopeGuard(), "work.py", "#!/usr/bin/python\n# -*- coding: latin-1 -*-\nx = 1\n") == []
    assert look(ScopeGuard(), "work.py", "# coding: utf-8\nx = 'é'\n") == []


def test_an_import_that_the_task_gave_or_that_is_for_checkers_is_not_grave() -> None:
    text = "import requestz\nif TYPE_CHECKING:\n    from _typeshed import SupportsRead\n"
    found = look(DependenciesGuard(), "work.py", text, given="import requestz\n")
    assert [(one["line"], one["severity"]) for one in found] == [(3, "low")]
