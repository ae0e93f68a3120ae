"""The guard `tests`: every acceptance test passed. It looks after the run. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.sandbox.guards.material import HIGH, MODEL, Found, Material


class TestsGuard:
    """Each test that did not pass, by its outcome."""

    __test__ = False
    name = "tests"

    def applies_to(self, path: str) -> bool:  # noqa: ARG002
        return True

    def run(self, material: Material) -> Iterator[Found]:
        if not material.outcomes:
            yield Found("no-report", HIGH, "", 0, "no test reported anything", MODEL)
        for test in material.outcomes:
            if test["outcome"] != "passed":
                file = test["id"].split("::")[0] if "::" in test["id"] else ""
                said = f"{test['id']}: {test['outcome']}. {failing_line(test['message'])}"
                yield Found(f"test-{test['outcome']}", HIGH, file, 0, said.strip(), MODEL)


def failing_line(message: str) -> str:
    """What a failing test says first of why: the line of the error in pytest's short form, else the last one."""
    lines = [line for line in message.splitlines() if line.strip()]
    told = [line[1:].strip() for line in lines if line.startswith("E ")]
    return told[0] if told else (lines[-1].strip() if lines else "")
