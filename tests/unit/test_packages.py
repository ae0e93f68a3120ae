"""The repository's own shape: whose names are whose, and what no file may hold."""

import importlib
import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = sorted({name.split(".")[0] for name in PROJECT["tool"]["setuptools"]["packages"]})

# Written in parts, so that this file does not hold what it looks for.
INDEX_HOSTS = re.compile(r"(py" r"pi|python" r"hosted|npm" r"js|deb\.de" r"bian|snapshot\.de" r"bian)\.(org|com)")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_top_level_name_is_this_repositorys(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).is_relative_to(ROOT)
    owners = set(importlib.metadata.packages_distributions().get(name, []))
    assert owners <= {"golden"}


def test_every_package_is_listed() -> None:
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in tracked()
        if path.name == "__init__.py" and path.parent.relative_to(ROOT).parts[0] in PACKAGES
    }
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])


def test_no_file_names_a_package_index() -> None:
    for path in tracked():
        assert not INDEX_HOSTS.search(path.read_text(errors="replace")), path


def test_every_locked_package_is_pinned_with_hashes() -> None:
    for lock in ("requirements.lock", "deploy/local/weights.lock", "deploy/sandbox/requirements.lock"):
        text = (ROOT / lock).read_text().replace("\\\n", " ")
        for line in text.splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                assert re.match(r"^[A-Za-z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line


def test_the_weights_bring_none_of_their_dependencies() -> None:
    installed = {str(distribution.name).lower() for distribution in importlib.metadata.distributions()}
    assert not installed & {"llm", "llama-cpp-python", "llama_cpp_python"}


def test_every_dependency_has_its_reason_written_down() -> None:
    told = (ROOT / "docs" / "dependencies.md").read_text()
    project = PROJECT["project"]
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        name = re.split(r"[\[><=]", requirement)[0]
        assert re.search(rf"(?<![a-z-]){re.escape(name)}(?![a-z-])", told), name


def test_the_readme_opens_with_the_two_commands() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert [line.split("#")[0].strip() for line in blocks[0].splitlines()] == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^)make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
