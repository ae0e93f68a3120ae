"""Which of several proven candidates goes on."""

from collections.abc import Iterable

from schema.messages.steps import Proof


def best_of(proofs: Iterable[Proof | None]) -> Proof | None:
    """The candidate that passed, else with the most tests passed, then the smallest, then the first.

    None among `proofs` is a lost candidate.
    """
    return min((proof for proof in proofs if proof is not None), key=_order, default=None)


def _order(proof: Proof) -> tuple[bool, int, int]:
    return (not proof.passed, -proof.tests_passed, proof.size_bytes)


def verdict_on_tests(best: Proof) -> str:
    """Why a candidate that failed its tests is rejected, in a sentence."""
    total = best.tests_passed + best.tests_failed
    sentence = f"no candidate passed the acceptance tests; the best passed {best.tests_passed} of {total}"
    return f"{sentence} and was stopped by its {best.limit} limit" if best.limit else sentence
