"""The guard `syntax`: every Python file is one that Python reads. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.sandbox.guards.material import DETERMINISTIC, HIGH, MODEL, Found, Material, is_python
from deploy.sandbox.remedies.syntax import mended


class SyntaxGuard:
    """What can't be read as Python: `syntax-error`, or `unreadable` where there is no line to name."""

    name = "syntax"

    def applies_to(self, path: str) -> bool:
        return is_python(path)

    def run(self, material: Material) -> Iterator[Found]:
        for path in filter(self.applies_to, material.changed):
            error = material.tree(path)
            if not isinstance(error, Exception):
                continue
            fix = DETERMINISTIC if mended(material.files[path]) is not None else MODEL
            if isinstance(error, SyntaxError):
                said = f"no valid Python: {error.msg}"
                yield Found("syntax-error", HIGH, path, error.lineno or 0, said, fix)
            else:
                said = f"Python can't read it: {type(error).__name__}"
                yield Found("unreadable", HIGH, path, 0, said, fix)
