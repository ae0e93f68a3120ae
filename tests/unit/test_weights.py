"""Weights that the voters' records propose."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from schema.messages.vote import VotePolicy, Voter, VoterRecord
from schema.weights import proposed_weights

VOTERS: tuple[Voter, ...] = get_args(Voter)
EQUAL = VotePolicy(voters=dict.fromkeys(VOTERS, 2500))


def records(*agreed: int, judged: int = 38) -> list[VoterRecord]:
    return [VoterRecord(voter=voter, judged=judged, agreed=each) for voter, each in zip(VOTERS, agreed, strict=True)]


def test_weights_are_as_the_log_odds_of_being_right() -> None:
    # Shares 0.9, 0.9, 0.75 and 0.75 of 40, after one more of each kind: the odds are 9 and 3, their logarithms 2 to 1.
    assert proposed_weights(records(35, 35, 29, 29), EQUAL) == {
        **dict.fromkeys(VOTERS[:2], 3333),
        **dict.fromkeys(VOTERS[2:], 1667),
    }


def test_nothing_is_proposed_by_a_short_record_or_for_a_small_change() -> None:
    assert proposed_weights(records(19, 19, 19, 1, judged=19), EQUAL) is None
    assert proposed_weights(records(35, 35, 29, 29)[:3], EQUAL) is None
    assert proposed_weights(records(35, 35, 35, 35), EQUAL) is None


def test_a_voter_who_does_not_vote_is_not_proposed() -> None:
    policy = VotePolicy(voters={"reviewer": 5000, "tester": 5000, "security": 0})
    assert set(proposed_weights(records(35, 29, 20, 0), policy) or {}) == {"reviewer", "tester"}


WEIGHTS = st.fixed_dictionaries(dict.fromkeys(VOTERS, st.integers(100, 10_000)))


@given(st.tuples(*[st.integers(0, 200)] * 4), WEIGHTS)
def test_a_proposal_is_a_policy_that_silences_nobody(agreed: tuple[int, ...], before: dict[Voter, int]) -> None:
    after = proposed_weights(records(*agreed, judged=200), VotePolicy(voters=before))
    if after is not None:
        assert VotePolicy(voters=after, quorum=4).voters == after
        assert sum(after.values()) <= sum(before.values())
        assert max(after.values()) == 10_000 or sum(after.values()) == sum(before.values())
