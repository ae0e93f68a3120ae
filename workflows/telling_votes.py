"""A vote in words: one line for everybody, and one paragraph for the person who has to decide."""

from schema.explained import by_severity
from schema.messages.vote import Evidence, Explanation, VoteOutcome, VotePolicy

from workflows.deciding import Count

LONGEST_CLAIM = 200
MOST_OBJECTIONS = 3


def summary_of(policy: VotePolicy, counted: Count, outcome: VoteOutcome, veto: str | None) -> str:
    """Why the vote came out so, in one line."""
    if veto is not None:
        return f"rejected: {veto}"
    if counted.total == 0:
        return "undecided: no ballot carries weight"
    if counted.ballots < policy.quorum_needed:
        return f"undecided: {counted.ballots} of {policy.quorum_needed} ballots that a decision needs carry weight"
    share = f"{counted.approving / counted.total:.0%} of the weight approves, {policy.threshold:.0%} are needed"
    if outcome == "rejected":
        rejecting = counted.rejecting / counted.total
        share = f"{rejecting:.0%} of the weight rejects, {policy.reject_threshold:.0%} are enough"
    return f"{outcome}: {share}"


def question_of(explanation: Explanation, evidence: Evidence) -> str:
    """What a person has to decide, without the voters' names: how the weight lies, what each side says, and the
    strongest objections that the evidence bears."""
    tests = f"{evidence.tests_passed} of {evidence.tests_passed + evidence.tests_failed} tests passed"
    parts = ["Is this candidate to be accepted?", f"The vote did not decide: {_standing(explanation)}; {tests}."]
    parts += [_claim(explanation, "approve", "For it"), _claim(explanation, "reject", "Against it")]
    found = [counted.objection for counted in by_severity(explanation) if counted.survives]
    told = [f"{each.severity} {each.category}{f' at {each.where}' if each.where else ''}" for each in found]
    # Two voters may hold the same against it.
    told = list(dict.fromkeys(told))[:MOST_OBJECTIONS]
    parts.append(f"Objections that the evidence bears: {', '.join(told)}." if told else
                 "No objection is borne by the evidence.")  # fmt: skip
    return " ".join(filter(None, parts))


def _standing(explanation: Explanation) -> str:
    counting = [each for each in explanation.voters if each.effective_weight and each.choice in ("approve", "reject")]
    total = sum(each.effective_weight for each in counting)
    if not total:
        return "no ballot carries weight"
    approving = sum(each.effective_weight for each in counting if each.choice == "approve")
    said = (
        f"{approving / total:.0%} of the weight approves, where {explanation.threshold:.0%} are needed, and "
        f"{(total - approving) / total:.0%} rejects, where {explanation.reject_threshold:.0%} are"
    )
    if len(counting) < explanation.quorum:
        said += f", but only {len(counting)} of the {explanation.quorum} ballots that a decision needs carry weight"
    return said


def _claim(explanation: Explanation, choice: str, words: str) -> str:
    """What the heaviest voter of a side says; before all those whose word carries weight."""
    side = [each for each in explanation.voters if each.choice == choice and each.rationale.strip()]
    if not side:
        return ""
    said = " ".join(max(side, key=lambda each: (each.effective_weight, each.weight)).rationale.split())
    return f"{words}: “{said if len(said) <= LONGEST_CLAIM else said[: LONGEST_CLAIM - 1] + '…'}”"
