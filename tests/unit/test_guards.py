"""What each guard finds and what it lets pass; bandit is in the image alone (tests/integration/test_guards.py)."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox.guards import findings as findings_of
from deploy.sandbox.guards import looking
from deploy.sandbox.guards.dependencies import DependenciesGuard
from deploy.sandbox.guards.findings import CRASHED, MORE, Finding
from deploy.sandbox.guards.lint import LintGuard
from deploy.sandbox.guards.material import Found, Guard, Material
from deploy.sandbox.guards.registry import NAMES
from deploy.sandbox.guards.scope import ScopeGuard
from deploy.sandbox.guards.secrets import SecretsGuard
from deploy.sandbox.guards.syntax import SyntaxGuard
from deploy.sandbox.guards.tests import TestsGuard
from schema.messages.sandbox import Finding as FindingMessage


def look(guard: Guard, files: dict[str, str], **more: Any) -> list[Finding]:
    return looking.look(guard, Material(files, **more), {})


def rules(guard: Guard, files: dict[str, str], **more: Any) -> list[str]:
    return [finding["rule"] for finding in look(guard, files, **more)]


CLEAN = 'def double(number):\n    """Twice the number."""\n    return number * 2\n'


@pytest.mark.parametrize(
    "guard",
    [ScopeGuard(), SyntaxGuard(), SecretsGuard(), DependenciesGuard(), LintGuard()],
    ids=lambda guard: guard.name,
)
def test_nobody_finds_anything_in_clean_code(guard: Guard) -> None:
    assert (
        look(
            guard,
            {"work.py": CLEAN, "pkg/__init__.py": "from pkg.a import f\n\n__all__ = ['f']\n", "pkg/a.py": "f = 1\n"},
        )
        == []
    )


def test_what_the_task_gave_unchanged_is_nobodys_finding() -> None:
    bad = {"work.py": "import os\npassword = 'hunter22'\ndef f(:\n"}
    assert [rules(guard, bad, given=bad) for guard in (ScopeGuard(), SyntaxGuard(), SecretsGuard(), LintGuard())] == [
        []
    ] * 4


def test_a_file_that_python_can_not_read_is_a_grave_finding_with_its_line() -> None:
    (finding,) = look(SyntaxGuard(), {"work.py": "x = 1\ndef f(:\n    x = (\n"})
    assert (finding["rule"], finding["severity"], finding["line"]) == ("syntax-error", "high", 2)


@pytest.mark.parametrize(
    "text",
    ["x = 1\x00", "(" * 5_000, "-" * 50_000 + "1", "x" + ".y" * 20_000, "return 1", "x = '\ud800'", "#" * 600_000],
    ids=["NUL", "brackets", "signs", "attributes", "return", "surrogate", "huge"],
)  # fmt: skip
def test_hostile_text_is_a_finding_of_the_syntax_and_nothing_to_those_who_read_code(text: str) -> None:
    files = {"work.py": text}
    assert [finding["severity"] for finding in look(SyntaxGuard(), files)] == ["high"]
    assert rules(DependenciesGuard(), files) == rules(LintGuard(), files) == []


def test_lint_names_rules_severities_and_fixes() -> None:
    text = "import os\n\n\ndef f(x, y=[]):\n    l = nothing\n    return json.dumps(x==None)\n"
    found = {finding["rule"]: (finding["severity"], finding["fix"]) for finding in look(LintGuard(), {"work.py": text})}
    assert found["F401"] == ("low", "deterministic")
    assert found["B006"] == ("medium", "deterministic")
    assert found["F821"][0] == "high"
    assert found["E711"] == ("medium", "model")
    assert found["format"] == ("low", "deterministic")
    fixes = {
        finding["message"]: finding["fix"]
        for finding in look(LintGuard(), {"work.py": text})
        if finding["rule"] == "F821"
    }
    assert sorted(fixes.values()) == ["deterministic", "model"]


@pytest.mark.parametrize(
    "more",
    [
        {"ruff.toml": "lint.select = []\n"},
        {"pyproject.toml": "[tool.ruff]\nexclude = ['*']\n"},
        {".ruff.toml": "exclude = ['work.py']\n"},
    ],
)
def test_no_configuration_of_a_candidates_changes_what_lint_finds(more: dict[str, str]) -> None:
    text = "# ruff: noqa\nimport os  # noqa\n"
    assert "F401" in rules(LintGuard(), {"work.py": text, **more})
    assert rules(ScopeGuard(), more)[0] == "protected-file"


@pytest.mark.parametrize(
    "path", ["-rf.py", "--config=x.py", "a b;c.py", "venv/lib.py", "node_modules/é.py", "build/x.py"]
)
def test_no_name_of_a_file_means_anything_to_ruff(path: str) -> None:
    (finding,) = [one for one in look(LintGuard(), {path: "import os\n"}) if one["rule"] == "F401"]
    assert finding["file"] == path


def test_a_new_suppression_comment_is_a_finding_and_one_that_was_given_is_none() -> None:
    before = "import os  # noqa: F401\n"
    after = before + "import re  # noqa: F401\nx = 'no # noqa here'\ny = 1  # type: ignore\nz = 2  # nosec\n"
    found = look(ScopeGuard(), {"work.py": after}, given={"work.py": before})
    assert [(finding["rule"], finding["line"]) for finding in found] == [("suppression", line) for line in (2, 4, 5)]
    assert [
        one["line"] for one in look(LintGuard(), {"work.py": after}, given={"work.py": before}) if one["rule"] == "F401"
    ] == [2]


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({"conftest.py": ""}, "protected-file"),
        ({"test_work.py": "def test(): pass\n"}, "test-changed"),
        ({"a/.env": "X=1\n"}, "hidden-file"),
        ({"../x.py": ""}, "path-outside"),
        ({"--config=x": ""}, "odd-path"),
        ({"big.txt": "x" * 300_000}, "large-file"),
        ({"work.py": "x = 1  # \u202e\n"}, "hidden-characters"),
        ({f"f{number}.txt": "" for number in range(60)}, "many-files"),
    ],
)
def test_scope_finds_what_goes_beyond_the_task(files: dict[str, str], rule: str) -> None:
    assert rule in rules(ScopeGuard(), files, tests={"test_work.py": "def test(): ...\n"})


def test_a_given_file_that_is_gone_is_a_finding() -> None:
    assert rules(ScopeGuard(), {}, given={"work.py": CLEAN}) == ["file-deleted"]


def secret(*parts: str) -> str:
    """Put together here, so that no tool takes this file for one with a secret in it."""
    return "".join(parts)


@pytest.mark.parametrize(
    "line",
    [
        secret("-----BEGIN RSA ", "PRIVATE KEY-----"),
        secret("key = 'AKIA", "IOSFODNN7EXAMPLE'"),
        secret("t = 'ghp_", "16C7e42F292c6912E7710c838347Ae178B4a'"),
        secret("t = 'xoxb-", "2345678901-abcdefABCDEF'"),
        secret("k = 'sk_live_", "4eC39HqLyjWDarjtT1zdp7dc'"),
        secret("u = 'postgres://golden:", "Tr0ub4dor@db/x'"),
        secret("DB_PASSWORD = 'Tr0ub4", "dor&3'"),
        secret('config["api_key"] = "9f8e7d', '6c5b4a"'),
        secret("password: str = 'Tr0ub4", "dor&3'"),
        secret("x = 'q7Zp2LmX9vKt4RwB", "8nHs6YdC1gFj3Ea0'"),
    ],
)  # fmt: skip
def test_a_secret_is_found_and_never_repeated(line: str) -> None:
    found = look(SecretsGuard(), {"work.py": f"x = 1\n{line}\n"})
    assert [finding["line"] for finding in found] == [2]
    assert found[0]["fix"] == "none"
    value = line.split("'")[1] if "'" in line else line.split('"')[-2] if '"' in line else line
    assert value not in json.dumps(found)


@pytest.mark.parametrize(
    "line",
    [
        "password = os.environ['PASSWORD']", "password = input('Password: ')", "def login(password: str = ''):",
        "token = 'your-token-here'", "PASSWORD_FIELD = 'pass_word'", "tokens = text.split(',')", "secret = '<secret>'",
        "alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'", "if password == 'x y z':",
        "digest = 'd41d8cd98f00b204e9800998ecf8427e'", "url = 'https://example.org:8080/a'",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_secret_is_none(line: str) -> None:
    assert look(SecretsGuard(), {"work.py": f"{line}\n"}) == []


def test_imports_that_nothing_provides_are_found() -> None:
    own = "from helpers.a import b\nfrom . import c\nimport test_tools\n"
    text = f"import os.path\nimport requestz\n{own}\ntry:\n    import fastz\nexcept ImportError:\n    fastz = None\n"
    found = look(DependenciesGuard(), {"work.py": text, "helpers/a.py": ""}, tests={"test_tools.py": ""})
    assert [(finding["line"], finding["severity"]) for finding in found] == [(2, "high"), (8, "low")]


def test_each_failing_test_is_a_finding_with_its_assertion() -> None:
    message = "test_work.py:4: in test_it\n    assert f() == 4\nE   assert 3 == 4\nE    +  where 3 = f()\n"
    outcomes = [
        {"id": "test_work.py::test_it", "outcome": "failed", "message": message},
        {"id": "test_work.py::test_that", "outcome": "passed", "message": ""},
    ]
    (finding,) = look(TestsGuard(), {"work.py": CLEAN}, outcomes=outcomes)
    assert (finding["rule"], finding["file"], finding["fix"]) == ("test-failed", "test_work.py", "model")
    assert "assert 3 == 4" in finding["message"]
    assert rules(TestsGuard(), {"work.py": CLEAN}) == ["no-report"]


def test_an_id_stays_when_other_lines_come_and_goes_with_its_own() -> None:
    before = look(LintGuard(), {"work.py": "import os\n"})
    after = look(LintGuard(), {"work.py": "x = 1\nimport os\n"})
    other = look(LintGuard(), {"work.py": "import re\n"})
    assert before[0]["id"] == next(one["id"] for one in after if one["rule"] == "F401")
    assert before[0]["id"] != other[0]["id"]


def test_two_equal_lines_have_two_ids() -> None:
    found = look(SecretsGuard(), {"work.py": secret("password = 'Tr0ub4", "dor&3'\n") * 2})
    assert len({finding["id"] for finding in found}) == 2


class Broken:
    name = "lint"

    def applies_to(self, path: str) -> bool:
        return True

    def run(self, material: Material) -> Iterator[Found]:
        raise RuntimeError("secret words")


def test_a_guard_that_crashes_is_a_grave_finding_which_no_policy_silences() -> None:
    (finding,) = looking.look(Broken(), Material({"a.py": ""}), {"lint": {CRASHED: "off"}})
    assert (finding["rule"], finding["severity"], finding["guard"]) == (CRASHED, "high", "lint")
    assert "secret words" not in json.dumps(finding)


@settings(deadline=None, max_examples=30)
@given(
    st.binary(max_size=200)
    | st.sampled_from([b"", b"{", b'{"guard": "lint", "findings": [1]}\n', b'{"guard": "lint"}'])
)
def test_a_guard_that_tells_nonsense_has_crashed(said: bytes) -> None:
    found = looking.read_reports(said, ["lint", "secrets"], {})
    assert [(finding["guard"], finding["rule"]) for finding in found] == [("lint", CRASHED), ("secrets", CRASHED)]


def test_a_guard_that_is_off_does_not_look_but_tests_and_syntax_always_do() -> None:
    off = dict.fromkeys(NAMES, "off")
    material = Material({"work.py": "import os\ndef f(:\n"})
    assert looking.look(LintGuard(), material, off) == []
    assert [
        finding["rule"] for finding in looking.look(SyntaxGuard(), material, {**off, "syntax": {"syntax-error": "off"}})
    ]
    assert looking.read_reports(b"", ["lint"], off) == []


def test_a_policy_sets_severities_and_leaves_rules_out() -> None:
    text = "import os\n\n\ndef f(x=[]):\n    return x\n"
    found = looking.look(LintGuard(), Material({"work.py": text}), {"lint": {"F401": "high", "B006": "off"}})
    assert [(finding["rule"], finding["severity"]) for finding in found] == [("F401", "high")]


def test_ten_thousand_findings_are_two_hundred_and_the_gravest_first() -> None:
    found = [Found("R", "low", "a.py", line, "x") for line in range(10_000)] + [Found("Z", "high", "a.py", 7, "y")]
    told = findings_of.told("lint", found, Material({"a.py": "x\n" * 10_000}))
    bounded = findings_of.bounded(told)
    assert len(bounded) == 200
    assert (bounded[0]["rule"], bounded[-1]["rule"]) == ("Z", MORE)
    assert "9,802" in bounded[-1]["message"]
    assert findings_of.weights(told) == {"lint": 10_100}


def test_a_finding_holds_nothing_that_a_terminal_or_a_database_chokes_on() -> None:
    path = "a\x1b[31m\x00\ud800.py"
    told = findings_of.told("lint", [Found("R\n1", "low", path, 1, "x\x07\u202e" + "y" * 1_000)], Material({path: "x"}))
    (message,) = map(FindingMessage.model_validate, told)
    assert message.model_dump_json().isprintable()
    assert len(message.message) <= 300


def test_guards_tell_through_a_pipe_what_is_read_back() -> None:
    read, write = os.pipe()
    looking.report_each((LintGuard(), SyntaxGuard()), Material({"work.py": "import os\n"}), {}, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        found = looking.read_reports(pipe.read(), ["lint", "syntax"], {})
    assert [finding["rule"] for finding in found] == ["F401"]
