"""Runs once, inside the image while it is built: the same layout whatever Python the base brought."""

import compileall
import py_compile
import site
import sys
from pathlib import Path

HOME = Path("/opt/golden")
LINKS = Path("/usr/local/bin")


def main() -> None:
    """Make `python` exist, the tools importable and runnable, and everything compiled."""
    packages = Path(site.getsitepackages()[0])
    packages.mkdir(parents=True, exist_ok=True)
    (packages / "golden.pth").write_text(f"{HOME / 'site'}\n")
    (HOME / "pytest.ini").write_text("[pytest]\n")
    _link(LINKS / "python", Path(sys.executable).resolve())
    _link(LINKS / "ruff", HOME / "site" / "bin" / "ruff")
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    # The tools bring files for other versions of Python, which don't compile here.
    compileall.compile_dir(HOME / "site", quiet=2, invalidation_mode=mode)
    if not compileall.compile_dir(HOME / "runner", quiet=1, force=True, invalidation_mode=mode):
        sys.exit("the runner does not compile with this base's Python")


def _link(path: Path, target: Path) -> None:
    if not path.exists():
        path.symlink_to(target)


if __name__ == "__main__":
    main()
