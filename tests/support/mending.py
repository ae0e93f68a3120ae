"""Guards and remedies without a sandbox, for code that is ours. Bandit is only in the image, and played here."""

from typing import Any

from deploy.sandbox.guards.findings import Finding, told
from deploy.sandbox.guards.lint import LintGuard
from deploy.sandbox.guards.material import DETERMINISTIC, HIGH, Found, Material
from deploy.sandbox.guards.syntax import SyntaxGuard
from deploy.sandbox.remedies.calls import remedied
from deploy.sandbox.remedies.mending import mend

PATH = "work.py"


def found(text: str, path: str = PATH) -> list[Finding]:
    """What the guards find in one new file; of bandit's rules those that a remedy answers."""
    material = Material({path: text})
    findings = [
        finding for guard in (SyntaxGuard(), LintGuard()) for finding in told(guard.name, guard.run(material), material)
    ]
    if not isinstance(material.tree(path), Exception):
        played = [Found(rule, HIGH, path, line, "played", DETERMINISTIC) for rule, line in sorted(remedied(text))]
        findings += told("security", played, material)
    return findings


def mended(text: str, path: str = PATH, *, gentle: bool = False) -> str:
    """The file after the remedies, twice as the workflow does it: what could not be read may show more."""
    for _ in range(2):
        text = mend(Material({path: text}), found(text, path), gentle=gentle)["files"].get(path, text)
    return text


def run(text: str) -> dict[str, Any]:
    """The names that a module has after it was run."""
    names: dict[str, Any] = {"__name__": "work"}
    exec(compile(text, PATH, "exec"), names)  # noqa: S102
    return names
