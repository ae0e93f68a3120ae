"""The pages for operators name codes, tests, pods and causes that there are, and leave none out that they promise."""

import ast
import os
import re
import shlex
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from deploy.chart_files import CHART
from deploy.local.temporal import binary
from gateway.problems import KINDS
from schema import errors
from schema.keyring import KeyRing
from tests.support.chart import of_kind, render
from tests.support.pages import DOCS, ROOT, blocks, every_block, type_in

OPERATE = DOCS / "operate"
TROUBLES = (OPERATE / "troubleshooting.md").read_text()
THREATS = (OPERATE / "threat-model.md").read_text()
CONTROLS = (OPERATE / "control-map.md").read_text()
CRITERIA = {
    *(f"CC6.{number}" for number in (1, 2, 3, 6, 7, 8)),
    *(f"CC7.{number}" for number in (1, 2, 3, 4, 5)),
    *("CC8.1", "A1.1", "A1.2", "A1.3", "PI1.1", "PI1.2", "PI1.3", "PI1.4", "PI1.5", "C1.1", "C1.2"),
}
ARTICLES = {"12(1)", "12(2)", "12(3)", "13", "14", "15", "19", "26(6)"}
NOTHING = "–"
KUBECTL = {
    "deployment": "Deployment",
    "networkpolicy": "NetworkPolicy",
    "service": "Service",
    "configmap": "ConfigMap",
}


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    found = [[cell.strip(" |") for cell in line] for line in lines if not set("".join(line)) <= set("-| ")]
    assert found, heading
    return found[1:]


def codes(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_every_code_of_the_gateway_is_told_once_with_its_status() -> None:
    told = [
        (int(statuses[0] if len(statuses) == 1 else statuses[number]), code)
        for row in rows(TROUBLES, "Every code of the gateway")
        for statuses in [row[0].split(", ")]
        for number, code in enumerate(codes(row[1]))
    ]
    assert sorted(told) == sorted((kind.status, kind.name) for kind in KINDS)


def test_every_cause_of_a_dead_letter_is_one_of_the_code() -> None:
    told = {cause for row in rows(TROUBLES, "What the causes of dead letters mean") for cause in codes(row[0])}
    ours = {name for name, value in vars(errors).items() if isinstance(value, type)}
    workflows = "".join(path.read_text() for path in (ROOT / "workflows").glob("*.py"))
    activities = "".join(path.read_text() for path in (ROOT / "activities").glob("*.py"))
    assert not {cause for cause in told - ours if f'"{cause}"' not in workflows + activities}
    named = set(
        codes((DOCS / "reliability.md").read_text().partition("What a spent step is called:")[2].split("\n\n")[1])
    )
    assert {name for name in named if name[0].isupper()} <= told


def test_every_threat_has_an_answer_a_test_and_what_remains() -> None:
    found = rows(THREATS, "Threats")
    assert len(found) >= 25
    assert len({row[0] for row in found}) == len(found)
    assert {row[0][0] for row in found} == set("STRIDE")
    for name, threat, answer, tried, remains in found:
        assert threat and answer and remains, name  # noqa: PT018
        assert linked_tests(tried) or (answer.startswith("nothing") and tried == NOTHING), name


def test_every_criterion_and_article_has_its_row_and_every_control_its_test() -> None:
    criteria, articles = rows(CONTROLS, "SOC 2"), rows(CONTROLS, "EU AI Act")
    assert {each for row in criteria for each in row[0].split(", ")} == CRITERIA
    assert {row[0] for row in articles} == ARTICLES
    for row in (*criteria, *articles):
        assert len(row) == 6, row[0]
        assert linked_tests(row[4]) or row[4] == NOTHING, row[0]


def linked_tests(cell: str) -> list[str]:
    """The test files that a cell links, each with a test in it."""
    found = re.findall(r"\]\(\.\./\.\./(tests/[^)]+\.py)\)", cell)
    for path in found:
        tree = ast.parse((ROOT / path).read_text())
        functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        assert any(name.startswith("test_") for name in functions), path
    return found


@pytest.mark.parametrize("page", [*sorted(OPERATE.glob("*.md")), DOCS / "deploy.md"], ids=lambda page: page.name)
def test_every_object_that_kubectl_is_asked_for_is_one_of_the_chart(page: Path) -> None:
    asked = "\n".join([*every_block(page), *re.findall(r"`(kubectl [^`]+)`", page.read_text())])
    manifests = render({})
    for kind, name in re.findall(r"(\w+)[/ ](golden-\w+)\b", asked):
        if kind in KUBECTL:
            assert name in of_kind(manifests, KUBECTL[kind]), f"{kind} {name}"


def test_every_command_of_temporal_is_one() -> None:
    pages = [*DOCS.rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
    told = "\n".join(block for page in pages for block in every_block(page)).replace("\\\n", " ")
    lines = {tuple(words) for words in map(_words, re.findall(r"^\s*temporal .*$", told, re.MULTILINE))}
    assert lines
    everywhere = subprocess.run([binary(), "options"], capture_output=True, text=True, check=True)
    for words in lines:
        command = list(takewhile(lambda word: re.fullmatch(r"[a-z-]+", word) and not word.startswith("-"), words))
        shown = subprocess.run([binary(), *command[1:], "--help"], capture_output=True, text=True, check=True).stdout
        for option in (word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)):
            known = re.search(rf"(^|[\s,]){re.escape(option)}\b", shown + everywhere.stdout + everywhere.stderr)
            assert known, f"{' '.join(command)} {option}"


def _words(line: str) -> list[str]:
    return shlex.split(re.split(r"[|;&]|\)$", line.strip())[0], comments=True)


def test_the_secrets_of_the_guide_are_made_as_it_says(tmp_path: Path) -> None:
    for name in ("service-url", "tenant-url", "migrator-url", "models.yaml", "ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("given")
    (script,) = blocks(DOCS / "deploy.md")
    # In the place of a cluster: what is made of which files.
    shim = tmp_path / "bin" / "kubectl"
    shim.parent.mkdir()
    shim.write_text(SHIM)
    shim.chmod(0o755)
    path = f"{shim.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    made = type_in(script, tmp_path, {**os.environ, "PATH": path, "GOLDEN_HOME": str(tmp_path / "home")})
    wanted = {word for kind in ("database", "keys", "models", "docker") for word in _needed_files(kind)}
    assert {line.partition(" ")[2] for line in made.splitlines() if line.startswith("made ")} == wanted
    assert len(KeyRing(tmp_path / "ring.json").keys) == 1


SHIM = """#!/bin/bash -eu
[ "$1 $2 $3" = "create secret generic" ]
name=$4
for word in "${@:5}"; do
  file=${word#--from-file=}
  [ "$file" != "$word" ] && [ -s "$file" ]
  echo "made $name $file"
done
"""


def _needed_files(kind: str) -> list[str]:
    """What the chart's pods read of a Secret: its name and the key."""
    keys = {
        "database": yaml.safe_load((CHART / "values.yaml").read_text())["secrets"]["database"]["keys"].values(),
        "keys": ["ring.json", "signing.pem", "audit-signing.pem"],
        "models": ["models.yaml"],
        "docker": ["ca.pem", "cert.pem", "key.pem"],
    }
    return [f"golden-{kind} {key}" for key in keys[kind]]


TYPED = [
    *(DOCS / f"{name}.md" for name in ("tutorial", "deploy", "upgrade", "disaster-recovery")),
    *sorted((DOCS / "how-to").glob("*.md")),
]
"""Pages whose commands are typed one by one; those for operators are found by their folder."""


@pytest.mark.parametrize("page", [page for page in TYPED if blocks(page)], ids=lambda page: page.name)
def test_a_page_whose_commands_are_to_be_typed_has_a_test_that_types_them(page: Path) -> None:
    typists = "".join((ROOT / "tests" / path).read_text() for path in ("endtoend/test_docs.py", "support/drill.py"))
    here = re.search(rf'blocks\(DOCS / "{re.escape(page.name)}"\)', Path(__file__).read_text())
    assert here or re.search(rf'"{re.escape(page.stem)}(\.md)?"', typists)


def test_the_values_of_the_guide_are_all_that_the_chart_needs() -> None:
    (given,) = re.findall(r"^```yaml\n(image:.*?)^```", (DOCS / "deploy.md").read_text(), re.MULTILINE | re.DOTALL)
    assert of_kind(render(yaml.safe_load(given)), "Deployment")["golden-gateway"]
