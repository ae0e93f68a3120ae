"""Voting power, against published examples and by its properties."""

from fractions import Fraction as F

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
