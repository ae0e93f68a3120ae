"""Which of several proven candidates goes on, and whether a repaired one may stand in for another."""

from collections.abc import Iterable

from schema.messages.steps import Proof
from schema.messages.task import AutoFix
from temporalio import workflow

BLINDED = frozenset({"lint", "security", "dependencies"})
"""Guards that see nothing in a file which Python can't read: what they find once it can be read was there before."""

DANGERS = frozenset({"security", "secrets", "scope"})
"""Guards that a rewrite may not make worse, however many more tests it passes."""

IN_WAVES = "candidates-in-waves"
WAVE = 4
"""Candidates that are asked for at once."""


def waves(candidates: int) -> list[range]:
    """The numbers of candidates, in the groups in which they are asked for; a run begun before has them all in one."""
    size = WAVE if candidates > WAVE and workflow.patched(IN_WAVES) else candidates
    return [range(first, min(first + size, candidates + 1)) for first in range(1, candidates + 1, size)]


def best_of(proofs: Iterable[Proof | None]) -> Proof | None:
    """The candidate that passed, else with the most tests passed, then with the least findings, then the smallest,
    then the first.

    None among `proofs` is a lost candidate.
    """
    return min((proof for proof in proofs if proof is not None), key=_order, default=None)


def wants_model(best: Proof, auto_fix: AutoFix) -> bool:
    """Whether the developer is shown what is left: tests fail, or findings of weight can be repaired."""
    return auto_fix.model and (not best.passed or best.repairable > 0)


def is_worse(before: Proof, after: Proof) -> bool:
    """Whether anything is worse: fewer tests pass, more fail, or what one guard finds weighs more."""
    if after.tests_passed < before.tests_passed or after.tests_failed > before.tests_failed:
        return True
    if before.passed and not after.passed:
        return True
    readable_now = _is_readable_now(before, after)
    return any(
        weight > before.weights.get(guard, 0)
        for guard, weight in after.weights.items()
        if not (readable_now and guard in BLINDED)
    )


def improves(before: Proof, after: Proof) -> bool:
    """Whether a rewrite takes the place of a candidate whose tests fail: it is the better one, and no more dangerous.

    Lint may grow with the code that was missing: tools mend it afterwards.
    """
    seeing = DANGERS - BLINDED if _is_readable_now(before, after) else DANGERS
    safe = all(after.weights.get(guard, 0) <= before.weights.get(guard, 0) for guard in seeing)
    return safe and best_of([before, after]) is after


def mends(before: Proof, after: Proof) -> bool:
    """Whether a repaired candidate takes the place of the one before: something is better, and nothing is worse."""
    if is_worse(before, after):
        return False
    readable_now = _is_readable_now(before, after)
    return after.tests_passed > before.tests_passed or readable_now or _weight(after) < _weight(before)


def _is_readable_now(before: Proof, after: Proof) -> bool:
    return after.weights.get("syntax", 0) < before.weights.get("syntax", 0)


def _weight(proof: Proof) -> int:
    return sum(proof.weights.values())


def _order(proof: Proof) -> tuple[bool, int, int, int]:
    return (not proof.passed, -proof.tests_passed, _weight(proof), proof.size_bytes)


def verdict_on_tests(best: Proof) -> str:
    """Why a candidate that failed its tests is rejected, in a sentence."""
    total = best.tests_passed + best.tests_failed
    sentence = f"no candidate passed the acceptance tests; the best passed {best.tests_passed} of {total}"
    return f"{sentence} and was stopped by its {best.limit} limit" if best.limit else sentence
