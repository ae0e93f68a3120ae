"""What models may answer: a corpus of hostile answers, all to be refused, and of honest ones, all to be kept whole."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from activities.answers import parser_for
from schema.messages.steps import Role
from schema.messages.task import TaskSpec
from schema.messages.vote import Evidence

SPEC = TaskSpec.model_validate_json(
    json.dumps(
        {
            "title": "T",
            "instructions": "Do it.",
            "files": {"work.py": "def work():\n    ...\n", "docs/café.md": "old", "keep/it.txt": "kept"},
            "tests": {"test_work.py": "from work import work\n\ndef test_work():\n    assert work() == 1\n"},
            "budget_tokens": 1000,
        }
    )
)
EVIDENCE = Evidence(tests_passed=1, tests_failed=0, findings={"S1": "high"}, lines={"work.py": 2})


@dataclass(frozen=True)
class Form:
    """What a role is asked for."""

    role: Role
    voting: bool = False
    lean: bool = False

    @property
    def parse(self) -> Callable[[str], str]:
        """The real reader of such an answer."""
        return parser_for(self.role, SPEC, EVIDENCE if self.voting else None, lean=self.lean)

    def __str__(self) -> str:
        return f"{'lean ' if self.lean else ''}{self.role}{' voting' if self.voting else ''}"


PLAN, CANDIDATE = Form("architect"), Form("developer")
VOTERS = tuple(Form(role, voting=True) for role in ("reviewer", "security", "tester", "architect"))
LEAN_PLAN, LEAN_CODE = Form("architect", lean=True), Form("developer", lean=True)
LEAN_VOTERS = tuple(Form(form.role, voting=True, lean=True) for form in VOTERS)
JSON_FORMS = (PLAN, CANDIDATE, *VOTERS, LEAN_PLAN, LEAN_VOTERS[0])


@dataclass(frozen=True)
class Case:
    """One answer; `kept` is what a right one must come to."""

    name: str
    form: Form
    text: str
    kept: Any = None

    def __str__(self) -> str:
        return f"{self.form}: {self.name}"


def example(form: Form) -> dict[str, Any]:
    """A right answer."""
    if form.voting:
        objection = {"category": "tests", "severity": "low", "where": "work.py:1", "evidence": ["tests"]}
        return {
            "rationale": "It passed.",
            "choice": "approve",
            "confidence": 0.9,
            "evidence": ["tests"],
            "objections": [objection],
        }
    if form.role == "developer":
        return {"files": [{"path": "work.py", "content": "def work():\n    return 1\n"}]}
    return {"summary": "Write it.", "steps": ["write", "test"]}
