"""Names for what failed in a run of tests: Python's own words alone, so that nothing a user wrote is among them."""

import builtins
import re

from schema.messages.sandbox import SandboxRun

OTHER = "tests/failed"

# pytest marks the lines of an error with an E; a message that is stated by a client may have none.
_ERROR = re.compile(r"^(?:E[ \t]+)?(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(?::|$| )", re.MULTILINE)
_KNOWN = {name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)}


def failed_rules(run: SandboxRun) -> list[str]:
    """What failed, once for each failing test: `tests/TypeError`, `tests/failed`; of a whole run, `limit/timeout`."""
    failing = [_rule_of(test.message) for test in run.tests if test.outcome != "passed"]
    if run.limit is not None:
        return [f"limit/{run.limit}", *(rule for rule in failing if rule != OTHER)]
    return failing or ([] if run.passed else [OTHER])


def _rule_of(message: str) -> str:
    """The last error of a message is the one that ended the test."""
    marked = [line for line in message.splitlines() if line.startswith("E ")]
    for line in reversed(marked or message.splitlines()[:1]):
        found = _ERROR.match(line)
        if found is None:
            continue
        if found[1] == "assert":
            return "tests/AssertionError"
        if found[1] in _KNOWN:
            return f"tests/{found[1]}"
    return OTHER
