"""Voters' weights: the name of one set of them, and what their records propose in its place.

Of independent voters who are right with probability p_i, weights proportional to log(p_i / (1 − p_i)) decide best
(Nitzan and Paroush, "Optimal Decision Rules in Uncertain Dichotomous Choice Situations", International Economic Review
23, 1982). Nothing applies a proposal by itself.
"""

from collections.abc import Mapping, Sequence
from math import log

from schema.messages.vote import VotePolicy, Voter, VoterRecord
from schema.texts import canonical_json, digest_of

MIN_JUDGED = 20
"""Each voter has so many votes whose truth is known, or nothing is proposed."""

LEAST_ACCURACY, MOST_ACCURACY = 0.55, 0.95
"""Believed of nobody to be worse or better: nobody is silenced by a bad series, and nobody decides alone by a good."""

SMALL_CHANGE = 0.02
"""Of the sum of the weights; nothing is proposed where no voter's changes by more."""

MOST_WEIGHT = 10_000


def proposed_weights(records: Sequence[VoterRecord], policy: VotePolicy) -> dict[Voter, int] | None:
    """Weights by what the voters' records say, in basis points, with the sum of the policy's (less where one voter's
    would be above 10,000). None where a record is too short, or the change too small."""
    before = {voter: weight for voter, weight in policy.voters.items() if weight > 0}
    known = {record.voter: record for record in records if record.judged >= MIN_JUDGED}
    if not set(before) <= set(known):
        return None
    odds = {voter: _log_odds(known[voter]) for voter in before}
    total = sum(before.values())
    scale = min(total / sum(odds.values()), MOST_WEIGHT / max(odds.values()))
    after = _whole({voter: value * scale for voter, value in odds.items()})
    if max(abs(after[voter] - before[voter]) for voter in before) <= SMALL_CHANGE * total:
        return None
    return after


def _log_odds(record: VoterRecord) -> float:
    """Of the share of right choices after one more of each kind (Laplace's rule of succession)."""
    share = (record.agreed + 1) / (record.judged + 2)
    bounded = min(max(share, LEAST_ACCURACY), MOST_ACCURACY)
    return log(bounded / (1 - bounded))


def _whole(weights: dict[Voter, float]) -> dict[Voter, int]:
    """Whole basis points with the same sum: what rounding takes goes to the largest remainders."""
    whole = {voter: int(weight) for voter, weight in weights.items()}
    left = round(sum(weights.values())) - sum(whole.values())
    for voter in sorted(weights, key=lambda voter: whole[voter] - weights[voter])[:left]:
        whole[voter] += 1
    return {voter: max(1, weight) for voter, weight in whole.items()}


def weights_digest(voters: Mapping[Voter, int]) -> str:
    """SHA-256 of the weights that are above 0, in basis points, whatever their order."""
    return digest_of(canonical_json({voter: weight for voter, weight in voters.items() if weight > 0}))
