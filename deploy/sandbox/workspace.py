"""Writes a job's files where the candidate can read and add, but not replace. Standard library only."""

from pathlib import Path, PurePosixPath

from deploy.sandbox import judge

ROOT = "/work"
MAX_FILES = 2_000
STEERING = frozenset({"conftest.py", "sitecustomize.py", "usercustomize.py"})
"""Files by which a candidate would change how it is judged; only the tests may bring them."""


def fill(files: dict[str, str], tests: dict[str, str], plan: "judge.Plan | None", root: str = ROOT) -> None:
    """Write the files, and the tests over them.

    Everything belongs to root and every folder is sticky: the candidate adds files beside, and can neither
    change, remove nor rename what was given.

    Raises:
        OSError: a path is none in the workspace, or there is too much.
    """
    if len(files) + len(tests) > MAX_FILES:
        raise OSError(0, f"there are {len(files) + len(tests):,} files, the limit is {MAX_FILES:,}")
    # Some engines ignore the mode that a tmpfs is asked for.
    Path(root).chmod(0o1777)
    written = contents(files, tests, plan)
    folders = {parent for path in written for parent in PurePosixPath(path).parents}
    for path, text in written.items():
        if PurePosixPath(path) in folders - {PurePosixPath()}:
            raise OSError(0, f"{path!r} is both a file and a folder")
        target = _inside(root, path)
        _make_folders(Path(root), target.parent)
        target.write_bytes(text.encode("utf-8", "replace"))


def contents(files: dict[str, str], tests: dict[str, str], plan: "judge.Plan | None") -> dict[str, str]:
    """What is written: the tests win, and a candidate that is judged brings nothing that steers pytest."""
    if plan is None or not tests:
        return {**files, **(tests if plan is None else plan.judges)}
    kept = {path: text for path, text in files.items() if PurePosixPath(path).name not in STEERING}
    kept = {path: text for path, text in kept.items() if not _clashes(path, tests)}
    # An empty conftest.py that is ours keeps one from being put there while the tests run.
    folders = {parent for path in plan.test_files for parent in PurePosixPath(path).parents}
    guards = {str(folder / "conftest.py"): "" for folder in folders}
    return {**kept, **guards, **plan.judges}


def _clashes(path: str, tests: dict[str, str]) -> bool:
    """A package `test_a/` would be imported in place of `test_a.py`, and a file can't be where a folder must be."""
    for test in tests:
        stem = test.removesuffix(".py")
        if path == test or path.startswith((f"{stem}/", f"{test}/")) or test.startswith(f"{path}/"):
            return True
        if PurePosixPath(path).parent == PurePosixPath(test).parent and path.split(".")[0] == stem:
            return True
    return False


def _inside(root: str, path: str) -> Path:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or not can_be_passed(path):
        raise OSError(0, f"{path!r} is not a path in the workspace")
    return Path(root, *parts)


def can_be_passed(text: str) -> bool:
    """Whether the system takes this text as a path or as an argument."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


def _make_folders(root: Path, folder: Path) -> None:
    for part in reversed([folder, *folder.parents]):
        if root in part.parents and not part.is_dir():
            part.mkdir()
            part.chmod(0o1777)
