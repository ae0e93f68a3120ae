"""Voting power, against published examples and by its properties."""

from fractions import Fraction as F
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.power import banzhaf, shapley_shubik

WEIGHTS = st.lists(st.integers(0, 100), min_size=1, max_size=6)
SHARES = st.fractions(min_value=F(1, 2), max_value=1).filter(lambda share: share > F(1, 2))


def test_banzhaf_of_50_49_1_with_quota_51_is_three_one_one_fifths() -> None:
    assert banzhaf([50, 49, 1], F(51)) == [F(3, 5), F(1, 5), F(1, 5)]


def test_shapley_shubik_of_50_49_1_with_quota_51_is_two_thirds_and_two_sixths() -> None:
    assert shapley_shubik([50, 49, 1], F(51)) == [F(2, 3), F(1, 6), F(1, 6)]


def test_banzhaf_of_the_example_of_four_voters_with_quota_6() -> None:
    # [6; 4, 3, 2, 1]: a textbook example, 5/12, 3/12, 3/12, 1/12.
    assert banzhaf([4, 3, 2, 1], F(6)) == [F(5, 12), F(3, 12), F(3, 12), F(1, 12)]


def test_the_council_of_1958_left_luxembourg_without_power() -> None:
    # France, Germany, Italy 4; Belgium, Netherlands 2; Luxembourg 1; quota 12 of 17.
    assert banzhaf([4, 4, 4, 2, 2, 1], F(12)) == [F(5, 21), F(5, 21), F(5, 21), F(3, 21), F(3, 21), F(0)]
    assert shapley_shubik([4, 4, 4, 2, 2, 1], F(12)) == [F(14, 60)] * 3 + [F(9, 60)] * 2 + [F(0)]


def test_nassau_county_in_1964_left_half_of_its_board_without_power() -> None:
    # The case of Banzhaf's paper of 1965: 58 of 115.
    assert banzhaf([31, 31, 28, 21, 2, 2], F(58)) == [F(1, 3)] * 3 + [F(0)] * 3


def orders(weights: list[int], quota: F) -> list[F]:
    """Shapley-Shubik by its definition: who turns each order of the voters, one after another."""
    turns = [0] * len(weights)
    for order in permutations(range(len(weights))):
        weight = 0
        for voter in order:
            weight += weights[voter]
            if weight >= quota:
                turns[voter] += 1
                break
    return [F(count, sum(turns)) for count in turns]


def coalitions(weights: list[int], quota: F) -> list[F]:
    """Banzhaf by its definition: whose leaving makes a winning coalition lose."""
    swings = [0] * len(weights)
    for chosen in range(2 ** len(weights)):
        members = [voter for voter in range(len(weights)) if chosen & 2**voter]
        weight = sum(weights[voter] for voter in members)
        for voter in members:
            swings[voter] += weight >= quota > weight - weights[voter]
    return [F(count, sum(swings)) for count in swings]


@given(st.lists(st.integers(0, 100), min_size=1, max_size=5).filter(any), SHARES)
def test_both_indices_are_what_their_definitions_say(weights: list[int], share: F) -> None:
    quota = share * sum(weights)
    assert shapley_shubik(weights, quota) == orders(weights, quota)
    assert banzhaf(weights, quota) == coalitions(weights, quota)


def test_twelve_voters_are_exact_and_a_thirteenth_is_refused() -> None:
    equal = [1] * 12
    assert banzhaf(equal, F(7)) == shapley_shubik(equal, F(7)) == [F(1, 12)] * 12
    for index in (banzhaf, shapley_shubik):
        with pytest.raises(ValueError, match="up to 12"):
            index([1] * 13, F(7))


@given(WEIGHTS, SHARES)
def test_power_sums_to_one_wherever_somebody_can_decide(weights: list[int], share: F) -> None:
    quota = share * sum(weights)
    expected = 1 if quota > 0 else 0
    assert sum(shapley_shubik(weights, quota)) == expected
    assert sum(banzhaf(weights, quota)) == expected


@given(WEIGHTS, SHARES)
def test_equal_weights_have_equal_power_and_no_weight_has_none(weights: list[int], share: F) -> None:
    quota = share * sum(weights)
    for powers in (banzhaf(weights, quota), shapley_shubik(weights, quota)):
        by_weight: dict[int, F] = {}
        for weight, power in zip(weights, powers, strict=True):
            assert by_weight.setdefault(weight, power) == power
        assert by_weight.get(0, F(0)) == 0
