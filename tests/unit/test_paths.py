"""Which paths may name a file, and which two name one file somewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.characters import clean
from schema.messages.task import check_no_clash
from schema.paths import MAX_PATH_BYTES, check_workspace_path, spelling
from tests.support.answers.honest import PATHS as HONEST
from tests.support.answers.hostile import PATHS as HOSTILE

# These are right as paths, and refused by the task's own files and the rules of judging.
REFUSED_LATER = HOSTILE[HOSTILE.index("test_work.py") :]


@pytest.mark.parametrize("path", HONEST)
def test_an_honest_path_is_returned_as_it_is(path: str) -> None:
    assert check_workspace_path(path) == path


@pytest.mark.parametrize("path", HOSTILE[: -len(REFUSED_LATER)], ids=ascii)
def test_a_path_that_some_platform_takes_for_another_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|device|git") as refused:
        check_workspace_path(path)

    assert clean(str(refused.value)) == str(refused.value)


@given(st.text(st.sampled_from("./\\~:-aA \x00\n\u200d\u202eée\u0301☃con1.git*"), max_size=30))
def test_no_path_that_passes_has_a_part_that_some_system_reads_otherwise(path: str) -> None:
    try:
        check_workspace_path(path)
    except ValueError:
        return
    parts = path.split("/")
    assert not {"", ".", "..", ".git"} & {part.casefold() for part in parts}
    assert not any(part.startswith("-") or part.endswith((".", " ")) for part in parts)
    assert not any(part.split(".")[0].rstrip().casefold() == "con" for part in parts)
    assert not set(path) & set("\\:*\x00\n\u202e")
    assert len(path.encode()) <= MAX_PATH_BYTES


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.py", "A.PY"),
        ("caf\u00e9.py", "cafe\u0301.py"),
        ("CAF\u00c9.py", "cafe\u0301.py"),
        ("\u212b.py", "a\u030a.py"),
        ("straße.py", "STRASSE.py"),
        ("❤.md", "❤\ufe0f.md"),
        ("👩\u200d💻.md", "👩💻.md"),
    ],
)
def test_two_spellings_of_one_path_clash(one: str, other: str) -> None:
    assert spelling(one) == spelling(other)
    with pytest.raises(ValueError, match="two spellings"):
        check_no_clash({one: "", other: ""}, {})


def test_paths_that_every_file_system_tells_apart_do_not_clash() -> None:
    check_no_clash({"a.py": "", "b.py": "", "a/b.py": "", "cafe.py": "", "caf\u00e9.py": ""}, {"test_a.py": ""})


@pytest.mark.parametrize(
    "paths", [("a", "a/b.py"), ("A", "a/b.py"), ("caf\u00e9", "cafe\u0301/x.py"), ("a/b/c", "a/b")]
)
def test_a_file_and_a_folder_of_one_name_clash(paths: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="as a file and as a folder"):
        check_no_clash(dict.fromkeys(paths, ""), {})
