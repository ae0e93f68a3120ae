"""What the evidence takes from a ballot: its claims are held against what was found."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from schema.messages.vote import Ballot, CountedObjection, Evidence, Objection, Reduction, Voter

from workflows.claims import claims

_PLACE = re.compile(r"(?:\./)?([^:\n]+):([0-9]+)(?::[0-9]+)?")
"""`path:line`, also as tools write it: with a column, or from the folder itself."""

NO_EVIDENCE_FACTOR = 0.5
"""What is left of a ballot that cites nothing."""

FALSE_WORDS_FACTOR = 0.5
"""What is left of a ballot whose rationale says of the tests what they don't: words may be read wrongly."""

Verdict = Literal["bears", "contradicts", "lacks"]


@dataclass(frozen=True)
class Grounded:
    """A ballot held against the evidence.

    Attributes:
        reductions: what each rule takes, in the order of the rules.
        reasons: why it counts for nothing without any rule.
        takes_side: it approves or rejects.
    """

    reductions: tuple[Reduction, ...] = ()
    reasons: tuple[str, ...] = ()
    objections: tuple[CountedObjection, ...] = ()
    vetoes: bool = False
    takes_side: bool = False

    @property
    def void(self) -> bool:
        """Whether nothing is left of it."""
        return not self.takes_side or any(reduction.factor == 0 for reduction in self.reductions)


def ground(ballot: Ballot | None, voter: Voter, evidence: Evidence) -> Grounded:
    """Apply the rules of evidence to one ballot (docs/consensus.md); each that takes weight says so."""
    if ballot is None:
        return Grounded(reasons=("absent: no valid ballot came in time",))
    checked = [_check(objection, evidence) for objection in ballot.objections]
    objections = tuple(counted for counted, _ in checked)
    if ballot.choice == "abstain":
        return Grounded(reasons=("abstained",), objections=objections)
    false = [counted.reason for counted, verdict in checked if verdict == "contradicts"]
    reductions = tuple(_annulments(ballot, objections, false, evidence)) or tuple(_deductions(ballot, evidence))
    return Grounded(reductions, (), objections, _vetoes(ballot, voter, evidence), takes_side=True)


def _annulments(
    ballot: Ballot, objections: tuple[CountedObjection, ...], false: list[str], evidence: Evidence
) -> Iterator[Reduction]:
    unknown = [cited for cited in ballot.evidence if cited not in evidence.ids]
    if ballot.choice == "approve" and evidence.tests_failed:
        yield Reduction(rule="contradicted", factor=0, reason=f"approves although {evidence.tests_failed} tests failed")
    if unknown:
        yield Reduction(rule="contradicted", factor=0, reason=f"it cites {unknown[0][:40]!r}, which is no evidence")
    if false:
        yield Reduction(rule="contradicted", factor=0, reason=f"an objection is contradicted: {false[0]}")
    if ballot.choice == "reject" and not any(counted.survives for counted in objections):
        why = objections[0].reason if objections else "it names no objection"
        told = f"rejects without an objection that the evidence bears: {why}"
        yield Reduction(rule="unsupported", factor=0, reason=told)


def _deductions(ballot: Ballot, evidence: Evidence) -> Iterator[Reduction]:
    said = _false_words(ballot, evidence)
    if said:
        yield Reduction(rule="contradicted", factor=FALSE_WORDS_FACTOR, reason=said)
    if not ballot.evidence and not any(objection.evidence for objection in ballot.objections):
        yield Reduction(rule="no-evidence", factor=NO_EVIDENCE_FACTOR, reason="it cites no evidence")


def _false_words(ballot: Ballot, evidence: Evidence) -> str:
    said = claims(ballot.rationale)
    if "failing" in said and _all_passed(evidence):
        return f"its rationale says that tests fail, and all {evidence.tests_passed} passed"
    if "passing" in said and evidence.tests_failed:
        return f"its rationale says that the tests pass, and {evidence.tests_failed} failed"
    return ""


def _vetoes(ballot: Ballot, voter: Voter, evidence: Evidence) -> bool:
    """A finding of high severity that is really there vetoes, wherever the ballot cites it, whatever else it says."""
    cited = (*ballot.evidence, *(name for objection in ballot.objections for name in objection.evidence))
    rejects = voter == "security" and ballot.choice == "reject"
    return rejects and any(evidence.findings.get(name) == "high" for name in cited)


def _check(objection: Objection, evidence: Evidence) -> tuple[CountedObjection, Verdict]:
    """An objection survives if one piece of its evidence bears it and none contradicts it."""
    verdict, reason = _judge(objection, evidence)
    return CountedObjection(objection=objection, survives=verdict == "bears", reason=reason), verdict


def _judge(objection: Objection, evidence: Evidence) -> tuple[Verdict, str]:
    unknown = [cited for cited in objection.evidence if cited not in evidence.ids]
    if unknown:
        return "contradicts", f"there is no evidence {unknown[0][:40]!r}"
    if _all_passed(evidence):
        if "tests" in objection.evidence:
            return "contradicts", "it cites the test report, and all passed"
        if objection.category == "tests":
            return "contradicts", "it claims failing tests, and all passed"
    if _is_no_line(objection, evidence):
        return "contradicts", f"the candidate has no line {objection.where[:100]!r}"
    if not objection.evidence:
        return "lacks", "it cites no evidence"
    if any(cited in evidence.findings for cited in objection.evidence):
        return "bears", ""
    if "tests" in objection.evidence and evidence.tests_failed:
        return "bears", ""
    if _PLACE.fullmatch(objection.where):
        return "bears", ""
    return "lacks", "it names no line of the candidate"


def _all_passed(evidence: Evidence) -> bool:
    return evidence.tests_failed == 0 and evidence.tests_passed > 0


def _is_no_line(objection: Objection, evidence: Evidence) -> bool:
    """Whether `path:line` is there to be looked up, and isn't. Of failing tests it may be a test's own."""
    match = _PLACE.fullmatch(objection.where)
    if match is None:
        return False
    if match[1] not in evidence.lines:
        return not ("tests" in objection.evidence and evidence.tests_failed)
    return not 1 <= int(match[2]) <= evidence.lines[match[1]]
