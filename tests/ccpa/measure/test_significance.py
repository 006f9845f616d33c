import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccpa.measure.significance import EXACT_UP_TO, fisher, paired, proportions, wilson

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_equal_measurements_do_not_differ() -> None:
    found = paired([0.5, 1.0], [0.5, 1.0])
    assert (found.difference, found.p_value) == (0, 1)


def test_the_p_value_counts_the_sign_changes_that_differ_as_much() -> None:
    # Of the 8 ways to put signs on 1, 1, 1 two have an absolute sum of 3.
    assert paired([0, 0, 0], [1, 1, 1]).p_value == 2 / 8
    # On 1, 1, -1: all but none reach a sum of 1, in absolute value.
    assert paired([0, 0, 1], [1, 1, 0]).p_value == 1


def test_many_fixtures_with_one_and_the_same_gain_are_no_luck() -> None:
    count = EXACT_UP_TO + 7
    found = paired([0.5] * count, [0.6] * count)
    assert not found.exact
    assert 0 < found.p_value < 0.001
    assert found.interval is not None
    assert found.interval.low == pytest.approx(0.1)


def test_the_sampled_p_value_is_near_the_exact_one() -> None:
    # Differences 1..20 without 4 of them: by symmetry of the signs this can be counted exactly.
    differences = [1.0] * 12 + [-1.0] * 4
    exact = sum(math.comb(16, k) for k in range(17) if abs(2 * k - 16) >= 8) / 2**16
    found = paired([0.0] * 16, differences)
    assert not found.exact
    assert found.p_value == pytest.approx(exact, abs=0.01)


def test_the_same_seed_gives_the_same_answer() -> None:
    first, second = [n / 20 for n in range(20)], [n * n / 400 for n in range(20)]
    assert paired(first, second) == paired(first, second)
    assert paired(first, second) != paired(first, second, seed=1)


def test_a_single_fixture_has_no_interval() -> None:
    assert paired([0.0], [1.0]).interval is None


def test_nothing_to_compare_is_said_so() -> None:
    with pytest.raises(ValueError, match="no fixture"):
        paired([], [])


@settings(max_examples=20)
@given(SCORES)
def test_swapping_the_measurements_changes_the_sign_and_not_the_p_value(
    scores: list[float],
) -> None:
    zeros = [0.0] * len(scores)
    there, back = paired(zeros, scores), paired(scores, zeros)
    assert there.difference == pytest.approx(-back.difference)
    assert there.p_value == back.p_value
    assert 0 < there.p_value <= 1


def test_fishers_test_gives_the_textbooks_number() -> None:
    # The lady tasting tea: 3 of 4 right, two-sided.
    assert fisher((3, 4), (1, 4)) == pytest.approx(34 / 70)
    assert fisher((4, 4), (0, 4)) == pytest.approx(2 / 70)
    assert fisher((2, 4), (2, 4)) == 1


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 30), st.integers(1, 30))
def test_fishers_test_is_symmetric_and_a_probability(a: int, b: int, m: int, n: int) -> None:
    first, second = (min(a, m), m), (min(b, n), n)
    assert 0 < fisher(first, second) <= 1
    assert fisher(first, second) == fisher(second, first)


def test_wilsons_interval_has_the_published_bounds() -> None:
    # Newcombe (1998), table I: 81/263, 15/148, 0/20, 1/29 by the score method.
    for (succeeded, runs), low, high in (
        ((81, 263), 0.2553, 0.3662),
        ((15, 148), 0.0624, 0.1605),
        ((0, 20), 0.0, 0.1611),
        ((1, 29), 0.0061, 0.1718),
    ):
        found = wilson(succeeded, runs)
        assert found.low == pytest.approx(low, abs=5e-5)
        assert found.high == pytest.approx(high, abs=5e-5)


def test_shares_are_compared_with_their_intervals() -> None:
    found = proportions((0, 20), (20, 20))
    assert found.p_value < 1e-9
    assert found.first_interval.high < found.second_interval.low


def test_a_share_of_no_runs_is_refused() -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson(0, 0)
