import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccpa.intervals import Interval, bootstrap, mean, pass_hat


def test_one_run_says_nothing_of_the_next() -> None:
    assert bootstrap([[0.5]]) is None
    assert bootstrap([[0.5], [1.0]]) is None
    assert bootstrap([]) is None


def test_runs_that_agree_leave_no_doubt() -> None:
    assert bootstrap([[0.9, 0.9, 0.9]]) == Interval(0.9, 0.9)


def test_the_interval_of_half_and_half_is_that_of_a_coin() -> None:
    found = bootstrap([[0.0] * 50 + [1.0] * 50])
    assert found is not None
    # mean 0.5, standard error 0.05: 1.96 of them on either side
    assert found.low == pytest.approx(0.402, abs=0.015)
    assert found.high == pytest.approx(0.598, abs=0.015)


def test_a_fixture_that_ran_once_adds_no_doubt_of_its_own() -> None:
    alone, together = bootstrap([[0.0, 1.0] * 8]), bootstrap([[0.0, 1.0] * 8, [1.0]])
    assert alone is not None
    assert together is not None
    assert together.high - together.low == pytest.approx((alone.high - alone.low) / 2, abs=0.02)


def test_the_same_seed_gives_the_same_interval() -> None:
    runs = [[0.1, 0.5, 0.9, 0.4]]
    assert bootstrap(runs, seed=3) == bootstrap(runs, seed=3)


@given(st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=4), min_size=1, max_size=3))
def test_the_interval_lies_within_the_runs(groups: list[list[float]]) -> None:
    found = bootstrap(groups)
    assert found is not None
    lowest, highest = mean([min(g) for g in groups]), mean([max(g) for g in groups])
    assert lowest - 1e-9 <= found.low <= found.high <= highest + 1e-9


@pytest.mark.parametrize(
    ("passed", "runs", "k", "expected"),
    [(5, 5, 5, 1.0), (4, 5, 5, 0.0), (4, 5, 1, 0.8), (3, 4, 2, 0.5), (0, 3, 1, 0.0)],
)
def test_pass_hat_k_is_the_chance_that_k_runs_all_pass(
    passed: int, runs: int, k: int, expected: float
) -> None:
    assert pass_hat(passed, runs, k) == pytest.approx(expected)


@pytest.mark.parametrize(("passed", "runs", "k"), [(1, 2, 0), (1, 2, 3), (3, 2, 1), (-1, 2, 1)])
def test_pass_hat_k_of_nonsense_is_an_error(passed: int, runs: int, k: int) -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        pass_hat(passed, runs, k)
