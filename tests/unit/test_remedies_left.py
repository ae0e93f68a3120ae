"""What remedies leave as it is, since to change it would change what the code means, or lose what somebody wrote."""

import ast

import pytest

from deploy.sandbox.guards.material import Material
from deploy.sandbox.remedies.mending import mend
from tests.support.mending import found, mended, run


def code(*lines: str) -> str:
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(code("def f(x):", "    assert (  # why", "        x", "    )", "    return x"), id="comment"),
        pytest.param(
            code("def f(x):", "    try:", "        assert x", "    except AssertionError:", "        return 0"),
            id="an assertion that is caught",
        ),
        pytest.param(
            code(
                "def f(x):", "    try:", "        assert x", "        return int(x)",
                "    except ValueError:", "        return 0",
            ),
            id="an assertion whose new error would be caught",
        ),
        pytest.param(
            code("import yaml", "", "", "def f(x):", "    return yaml.load(", "        x,  # text",
                 "        Loader=yaml.Loader,", "    )"),
            id="YAML with a comment between",
        ),
        pytest.param(
            code("import yaml", "", "", "class Own(yaml.Loader):", "    pass", "", "", "def f(x):",
                 "    return yaml.load(x, Loader=Own)"),
            id="a YAML loader of one's own",
        ),
        pytest.param(
            code("import yaml", "", "", "def f(x):", "    return yaml.load(x, Loader=yaml.BaseLoader)"),
            id="YAML's texts only",
        ),
        pytest.param(
            code("import subprocess", "", "", "def f():", '    return subprocess.run(("ls -l"), shell=True)'),
            id="a command in brackets",
        ),
        pytest.param(
            code("import subprocess", "", "", "def f():",
                 '    return subprocess.run("ls -l", shell=True, executable="/bin/bash")'),
            id="a shell of one's own",
        ),
        pytest.param(
            code("import hashlib", "", "", "def md5_of(x):", "    return hashlib.md5(x).hexdigest()"),
            id="a hash that its name promises",
        ),
        pytest.param(code("def f(x: any = []):", "    x.append(1)", "    return x"), id="no type"),
        pytest.param(
            code("def f(x, _cache={}):", "    return _cache.setdefault(x, len(_cache))"), id="a cache on purpose"
        ),
        pytest.param(
            code("def f():", "    try:", "        return 1", "    except Exception:", "        return 2",
                 "    except:", "        return 3"),
            id="a bare except behind Exception",
        ),
        pytest.param(
            code("def f(items):", "    print(len(items))", "    return count"), id="a slip that itertools also knows"
        ),
        pytest.param(code("def f(user):", "    return email.strip(user)"), id="a name that a module has without it"),
    ],
)  # fmt: skip
def test_what_would_mean_something_else_is_left(text: str) -> None:
    assert ast.dump(ast.parse(mended(text))) == ast.dump(ast.parse(text))
    assert mended(text).count("#") == text.count("#")


def test_what_no_remedy_answers_is_told_as_the_developers() -> None:
    fixes = {one["rule"]: one["fix"] for one in found(code("def f(x, _cache={}):", "    return _cache[x]"))}
    assert fixes["B006"] == "model"


def test_of_two_doubled_names_only_the_one_that_was_found_goes() -> None:
    one, other = code("def f():", "    return 1"), code("def g():", "    return 1")
    text = "\n\n".join([one, "x = f()\n", other, other, one])

    assert run(mended(text))["x"] == 1
    assert mended(text).count("def f") == 2
    assert mended(text).count("def g") == 1


@pytest.mark.parametrize(
    ("use", "line"),
    [("urllib.parse.quote(x)", "import urllib.parse"),
     ("xml.etree.ElementTree.parse(x)", "import xml.etree.ElementTree"),
     ("os.path.join(x)", "import os")],
)  # fmt: skip
def test_a_module_within_another_is_imported_by_its_whole_name(use: str, line: str) -> None:
    assert mended(code("def f(x):", f"    return {use}")).startswith(f"{line}\n")


def test_a_package_keeps_what_it_offers() -> None:
    text = "from os import path\nx=1"
    path = "pkg/__init__.py"
    assert "from os import path" in mended(text, path)


def test_of_a_given_file_the_lines_that_were_given_stay() -> None:
    given = code("import re", "x=1", "def f( a ):", "  return a", "", "", "z = 1")
    text = f"import os\n{given}y=  2\n"
    material = Material({"work.py": text}, given={"work.py": given})

    assert mend(material, found(text), gentle=False)["files"]["work.py"] == f"{given}y = 2\n"


DOUBLE = code("def double(x):", "    return 2 * x")


def test_a_fence_in_a_string_is_part_of_the_code() -> None:
    text = (
        code('"""Doubles.', "", "```python", "y = double(1)", "```", '"""', "", "", "def double(x)")
        + "    return 2 * x\n"
    )
    assert run(mended(text))["double"](2) == 4
    assert "y = double(1)" in run(mended(text))["__doc__"]


def test_odd_characters_in_strings_stay_where_something_else_is_wrong() -> None:
    text = code("def f(x)", '    return "he said “hi”\u00a0\u200d!"')
    assert run(mended(text))["f"](1) == "he said “hi”\u00a0\u200d!"


@pytest.mark.parametrize(
    "text",
    [
        code("class A:", "    def a(self):", "        return 1", "", "    def b(self):", "        if self = 3:",
             "            return 1", "", "    def c(self):", "        return 3"),
        f'{DOUBLE}\n\nprint "hello there my world"\n\n\n{DOUBLE.replace("double", "twice")}',
    ],
    ids=["an error in the middle is no unfinished end", "code of another Python is no prose"],
)  # fmt: skip
def test_code_that_is_only_wrong_is_not_cut_away(text: str) -> None:
    assert mended(text) == text


def test_an_import_that_another_file_takes_from_here_stays() -> None:
    files = {"a.py": "from helpers import util\n", "b.py": "from a import util\n\nprint(util)\n"}
    findings = [{**one, "file": "a.py"} for one in found(files["a.py"])]

    assert findings
    assert mend(Material(files), findings, gentle=True)["files"] == {}
    assert mend(Material({"a.py": files["a.py"]}), findings, gentle=True)["files"] == {"a.py": ""}
