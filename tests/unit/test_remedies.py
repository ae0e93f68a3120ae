"""Each remedy: what was there, what is there after it, and that the code does what it should."""

import hashlib
from typing import Any

import pytest

from deploy.sandbox.guards.material import Material
from deploy.sandbox.remedies.mending import is_harmless, mend
from deploy.sandbox.remedies.registry import REMEDIES
from tests.support.mending import found, mended, run


def code(*lines: str) -> str:
    return "\n".join(lines) + "\n"


DOUBLE = code("def double(x):", "    return 2 * x")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            code("import os", "import re", "", "", "def f(x):", "    return re.sub('a', 'b', x)"),
            code("import re", "", "", "def f(x):", "    return re.sub('a', 'b', x)"),
            id="an import that nothing uses goes",
        ),
        pytest.param(
            code('"""Roots."""', "", "", "def f(x):", "    return math.sqrt(x)"),
            code('"""Roots."""', "", "import math", "", "", "def f(x):", "    return math.sqrt(x)"),
            id="a module that was forgotten is imported behind the docstring",
        ),
        pytest.param(
            code("from __future__ import annotations", "", "", "def f(x):", "    return Counter(x)"),
            code(
                "from __future__ import annotations", "", "from collections import Counter", "", "",
                "def f(x):", "    return Counter(x)",
            ),
            id="a well-known member is imported from its module",
        ),
        pytest.param(
            code("def f(day):", "    return datetime.strptime(day, '%Y')").replace("'", '"'),
            code(
                "from datetime import datetime", "", "", "def f(day):", '    return datetime.strptime(day, "%Y")',
            ),
            id="of datetime the class where its methods are used",
        ),
        pytest.param(
            code("def f(x: list[int] = []):", '    """Adds."""', "    x.append(1)", "    return x"),
            code(
                "def f(x: list[int] | None = None):", '    """Adds."""', "    if x is None:", "        x = []",
                "    x.append(1)", "    return x",
            ),
            id="a default that calls would share is made in each",
        ),
        pytest.param(
            code("def f(x):", "    try:", "        return int(x)", "    except:", "        return 0"),
            code("def f(x):", "    try:", "        return int(x)", "    except Exception:", "        return 0"),
            id="a bare except names Exception",
        ),
        pytest.param(
            code("import yaml", "", "", "def f(text):", "    return yaml.load(text, Loader=yaml.Loader)"),
            code("import yaml", "", "", "def f(text):", "    return yaml.safe_load(text)"),
            id="yaml.load is safe_load",
        ),
        pytest.param(
            code("import subprocess", "", "", "def f():", '    return subprocess.run("ls -l", shell=True, check=True)'),
            code("import subprocess", "", "", "def f():", '    return subprocess.run(["ls", "-l"], check=True)'),
            id="a plain command needs no shell",
        ),
        pytest.param(
            code("import hashlib", "", "", "def f(x):", "    return hashlib.md5(x).hexdigest()"),
            code("import hashlib", "", "", "def f(x):", "    return hashlib.sha256(x).hexdigest()"),
            id="a weak hash is a strong one",
        ),
        pytest.param(
            code("def f(x):", '    assert x > 0, "positive"  # why', "    return x"),
            code("def f(x):", "    if not (x > 0):", '        raise ValueError("positive")  # why', "    return x"),
            id="an assertion is a check that stays",
        ),
        pytest.param(DOUBLE.rstrip(), DOUBLE, id="the newline at the end is there"),
        pytest.param(
            code("def double(x):", "\treturn 2*x", "y=double( 1 )"),
            code("def double(x):", "    return 2 * x", "", "", "y = double(1)"),
            id="the file is laid out",
        ),
        pytest.param(
            code("def f(x):", "    return x == None or not x in [1]"),
            code("def f(x):", "    return x == None or x not in [1]"),
            id="ruff's safe fixes are made and no others",
        ),
        pytest.param(
            code("def double(x):", "    return x", "", "", "def double(x):", "    return 2 * x"),
            DOUBLE.replace("def", "\n\ndef", 1),
            id="of two definitions the last stays",
        ),
        pytest.param(f"Here it is:\n\n```python\n{DOUBLE}```\n\nIt doubles x.\n", DOUBLE, id="fences and prose go"),
        pytest.param(f"```python\n{DOUBLE}", DOUBLE, id="an unfinished fence goes"),
        pytest.param(f"{DOUBLE}```\n", DOUBLE, id="a lone fence goes"),
        pytest.param(f"Sure! This is the function:\n\n{DOUBLE}", DOUBLE, id="prose before the code goes"),
        pytest.param(f"{DOUBLE}\nThis function doubles its argument, as you asked.\n", DOUBLE, id="prose behind goes"),
        pytest.param(
            "".join(f"    {line}\n" for line in DOUBLE.splitlines()), DOUBLE, id="an indented file moves to the left"
        ),
        pytest.param(code("def f(x):", "\tif x:", "        return 1", "\treturn 2"), None, id="tabs are made even"),
        pytest.param(code("def double(x)", "    return 2 * x"), DOUBLE, id="a missing colon is added"),
        pytest.param(
            f"def double(x):\n    return (2 *\n\n\n{DOUBLE}", DOUBLE, id="of two definitions the whole one stays"
        ),
        pytest.param(f"{DOUBLE}\n\ndef half(x):\n    y = x / 2\n    return (y", None, id="an unfinished end is cut"),
        pytest.param(f"\ufeff{DOUBLE}", DOUBLE, id="an invisible mark goes"),
    ],
)  # fmt: skip
def test_a_remedy_makes_of_this_that(before: str, after: str | None) -> None:
    result = mended(before)

    assert after is None or result.strip("\n") == after.strip("\n")
    assert result.endswith("\n")
    compile(result, "work.py", "exec")


def call(text: str, name: str, *given: Any) -> Any:
    return run(text)[name](*given)


def test_mended_code_does_what_it_was_to_do() -> None:
    shared = mended(code("def f(x, seen=[]):", "    seen.append(x)", "    return len(seen)"))
    assert [call(shared, "f", 1), call(shared, "f", 1)] == [1, 1]
    names = run(shared)
    assert (names["f"](1), names["f"](1), names["f"](1, [0])) == (1, 1, 2)

    assert call(mended(code("def f(x):", "    return math.floor(x)")), "f", 2.5) == 2
    assert (
        call(mended(code("def f(x):", "    return hashlib.sha1(x).digest()")), "f", b"x")
        == hashlib.sha256(b"x").digest()
    )
    said = call(mended(code("def f():", "    return subprocess.check_output(\"echo 'a b' c\", shell=True)")), "f")
    assert said == b"a b c\n"
    assert call(mended(f"```\n{DOUBLE}```"), "double", 4) == 8


def test_a_check_that_was_an_assertion_raises_as_python_o_would_not() -> None:
    text = mended(code("def f(x):", "    assert isinstance(x, int) and x, 'no'", "    return x"))
    with pytest.raises(ValueError, match="no"):
        call(text, "f", 0)


STRINGS = code(
    '"""Here:', "", "```python", "\tassert yaml.load(x)", "except:", '"""', "import hashlib", "", "",
    "def f(x=[]):  # x=[] is shared, hashlib.md5(x) too",
    "    assert x is not None",
    "    return '\thashlib.md5(x) é', x, hashlib.md5(b'')",
)  # fmt: skip


def test_strings_and_comments_stay_as_they_are() -> None:
    result = mended(STRINGS)

    assert run(result)["__doc__"] == run(STRINGS)["__doc__"]
    assert run(result)["f"]()[0] == run(STRINGS)["f"]()[0]
    assert "# x=[] is shared, hashlib.md5(x) too" in result


@pytest.mark.parametrize(
    "line",
    [
        'subprocess.run("ls | wc", shell=True)', 'subprocess.run(f"ls {x}", shell=True)',
        'subprocess.run("cd /tmp", shell=True)', 'subprocess.run("A=1 env", shell=True)',
        'subprocess.run("ls *", shell=True)', "subprocess.run(x, shell=True)",
        'hashlib.md5(b"", usedforsecurity=False)', "yaml.load(**x)", "yaml.load(x, Loader=yaml.Loader, more=1)",
    ],
)  # fmt: skip
def test_what_a_remedy_can_not_know_it_leaves(line: str) -> None:
    text = code("import hashlib", "import subprocess", "", "import yaml", "", "", "def f(x):", f"    return {line}")

    assert f"return {line}" in mended(text)


@pytest.mark.parametrize(
    "path", ["test_work.py", "conftest.py", "pyproject.toml", "ruff.toml", "pkg/test_it.py", "x.txt"]
)
def test_tests_and_configuration_are_never_mended(path: str) -> None:
    text = "import os\n"
    findings = [{**finding, "file": path} for finding in found(text)]

    assert findings
    assert mend(Material({path: text}), findings, gentle=False)["files"] == {}


def test_what_the_task_gave_is_not_mended() -> None:
    text = "import os\n"
    assert mend(Material({"work.py": text}, given={"work.py": text}), found(text), gentle=False)["files"] == {}


def test_a_change_that_touches_a_suppression_comment_is_not_made() -> None:
    text = code("import os  # noqa: F401", "", "x = 1")

    assert not is_harmless(text, code("x = 1"))
    assert mended(text) == text


def test_gently_only_remedies_that_keep_the_meaning_are_used() -> None:
    text = code("import os", "", "", "def f(x=[]):", "    return x")

    assert mended(text, gentle=True).strip() == code("def f(x=[]):", "    return x").strip()


def test_every_remedy_says_what_it_did_and_why_in_one_sentence() -> None:
    text = code("import os", "", "", "def f(x=[]):", "    return math.pi, x")
    told = mend(Material({"work.py": text}), found(text), gentle=False)["remedies"]

    assert {one["name"] for one in told} == {"own defaults", "imports", "lint"}
    assert all(one["sentence"].endswith("(work.py)") for one in told)
    assert all(", since " in remedy.why or "such as" in remedy.why or "so that" in remedy.why for remedy in REMEDIES)


def test_mending_what_is_mended_changes_nothing() -> None:
    once = mended(STRINGS)
    assert mended(once) == once
