"""What a ballot weighs once its claims are held against the evidence."""

import re
from dataclasses import dataclass

from schema.messages.vote import Ballot, CountedObjection, Evidence, Objection, Voter

_PLACE = re.compile(r"^(.+):([0-9]{1,6})$")


@dataclass(frozen=True)
class Grounded:
    """A ballot's effective weight, the reasons for what was taken from it, and its objections as they count."""

    weight: int
    reasons: tuple[str, ...] = ()
    objections: tuple[CountedObjection, ...] = ()
    vetoes: bool = False


def ground(ballot: Ballot | None, voter: Voter, weight: int, evidence: Evidence) -> Grounded:
    """Apply the rules of design §11 to one ballot; each that takes weight says so."""
    if ballot is None:
        return Grounded(0, ("absent: no valid ballot came in time",))
    objections = tuple(_check(objection, evidence) for objection in ballot.objections)
    if ballot.choice == "abstain":
        return Grounded(0, ("abstained",), objections)
    if ballot.choice == "approve":
        if evidence.tests_failed:
            return Grounded(0, (f"approves although {evidence.tests_failed} tests failed",), objections)
        return Grounded(weight, (), objections)
    return _ground_rejection(voter, weight, objections, evidence)


def _ground_rejection(
    voter: Voter, weight: int, objections: tuple[CountedObjection, ...], evidence: Evidence
) -> Grounded:
    if not any(counted.survives for counted in objections):
        why = objections[0].reason if objections else "it names no objection"
        return Grounded(0, (f"rejects without an objection that the evidence bears: {why}",), objections)
    vetoes = voter == "security" and any(
        counted.survives and any(evidence.findings.get(cited) == "high" for cited in counted.objection.evidence)
        for counted in objections
    )
    return Grounded(weight, (), objections, vetoes)


def _check(objection: Objection, evidence: Evidence) -> CountedObjection:
    """An objection survives if one piece of its evidence bears it and none contradicts it."""
    unknown = [cited for cited in objection.evidence if cited not in evidence.ids]
    if unknown:
        return CountedObjection(objection=objection, survives=False, reason=f"there is no evidence {unknown[0][:40]!r}")
    if not objection.evidence:
        return CountedObjection(objection=objection, survives=False, reason="it cites no evidence")
    if "tests" in objection.evidence and evidence.tests_failed == 0:
        return CountedObjection(objection=objection, survives=False, reason="it cites the test report, and all passed")
    if objection.category == "tests" and evidence.tests_failed == 0:
        return CountedObjection(objection=objection, survives=False, reason="it claims failing tests, and all passed")
    if any(cited in evidence.findings for cited in objection.evidence) or "tests" in objection.evidence:
        return CountedObjection(objection=objection, survives=True)
    if _exists(objection.where, evidence):
        return CountedObjection(objection=objection, survives=True)
    return CountedObjection(objection=objection, survives=False, reason="it names no line that exists in the candidate")


def _exists(where: str, evidence: Evidence) -> bool:
    """Whether `path:line` is a line of the candidate."""
    match = _PLACE.match(where)
    return match is not None and 1 <= int(match[2]) <= evidence.lines.get(match[1], 0)
