"""Is one measurement better than another, or was it luck?

Two runs of one fixture are alike in what they have to do, so the fixtures are paired: what is
compared is the difference of their means, fixture by fixture. Nothing is assumed of how scores are
distributed.
"""

import random
from collections.abc import Sequence
from itertools import product
from math import comb, floor, sqrt

from msgspec import Struct

from ccpa.intervals import LEVEL, RESAMPLES, SEED, Interval, mean

PERMUTATIONS = 10_000
EXACT_UP_TO = 13
"""Fixtures whose sign changes are all tried: 2^13 are about as many as would be drawn."""
_Z = 1.959963984540054  # of the normal distribution, for 95 %
_ROUNDING = 1e-12


class Paired(Struct, frozen=True):
    """How the scores of two measurements differ, over the fixtures that both have.

    Args:
        fixtures: how many.
        first: mean of the one's means.
        second: of the other's.
        difference: second minus first.
        interval: of the difference, from resampling fixtures; None for a single fixture.
        p_value: of the difference, two-sided: a sign-flip permutation test.
        exact: whether all permutations were tried, and not a sample of them.
    """

    fixtures: int
    first: float
    second: float
    difference: float
    interval: Interval | None
    p_value: float
    exact: bool


class Proportions(Struct, frozen=True):
    """How often runs succeeded in two measurements.

    Args:
        first: (succeeded, runs) of the one.
        second: of the other.
        first_interval: of the one's share (Wilson).
        second_interval: of the other's.
        p_value: two-sided, by Fisher's exact test. It takes every run for itself, so that many runs
            of few fixtures look surer than they are.
    """

    first: tuple[int, int]
    second: tuple[int, int]
    first_interval: Interval
    second_interval: Interval
    p_value: float


def paired(first: Sequence[float], second: Sequence[float], seed: int = SEED) -> Paired:
    """Compare the means of the same fixtures, in the same order, in two measurements.

    If the measurements do not differ, each fixture's difference might as well have the other sign.
    The p-value is the share of sign changes that lead to a mean difference at least as large. The
    same seed gives the same answer.

    Raises:
        ValueError: the lengths differ, or there is nothing to compare.
    """
    differences = [b - a for a, b in zip(first, second, strict=True)]
    if not differences:
        raise ValueError("no fixture to compare")
    draw = random.Random(seed)  # noqa: S311
    exact = len(differences) <= EXACT_UP_TO
    return Paired(
        fixtures=len(differences),
        first=mean(first),
        second=mean(second),
        difference=mean(differences),
        interval=_interval(differences, draw) if len(differences) > 1 else None,
        p_value=_all_signs(differences) if exact else _some_signs(differences, draw),
        exact=exact,
    )


def proportions(first: tuple[int, int], second: tuple[int, int]) -> Proportions:
    """Compare two shares, each given as (succeeded, runs).

    Raises:
        ValueError: one of them has no run.
    """
    return Proportions(first, second, wilson(*first), wilson(*second), fisher(first, second))


def wilson(succeeded: int, runs: int) -> Interval:
    """Return the 95 % interval of a share by Wilson's score method (1927).

    Raises:
        ValueError: there are no runs.
    """
    if runs < 1 or not 0 <= succeeded <= runs:
        raise ValueError(f"{succeeded} of {runs} runs is no share")
    share, square = succeeded / runs, _Z * _Z
    centre = share + square / (2 * runs)
    spread = _Z * sqrt(share * (1 - share) / runs + square / (4 * runs * runs))
    whole = 1 + square / runs
    return Interval(max(0.0, (centre - spread) / whole), min(1.0, (centre + spread) / whole))


def fisher(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Return the two-sided p-value of Fisher's exact test: all tables no likelier than this one."""
    (a, runs_a), (b, runs_b) = first, second
    succeeded = a + b
    ways = {
        k: comb(runs_a, k) * comb(runs_b, succeeded - k)
        for k in range(max(0, succeeded - runs_b), min(runs_a, succeeded) + 1)
    }
    # Whole numbers: equally likely tables are found to be so.
    return sum(n for n in ways.values() if n <= ways[a]) / comb(runs_a + runs_b, succeeded)


def _all_signs(differences: Sequence[float]) -> float:
    reached = abs(sum(differences)) - _ROUNDING
    hits = sum(
        abs(sum(sign * d for sign, d in zip(signs, differences, strict=True))) >= reached
        for signs in product((1, -1), repeat=len(differences))
    )
    return float(hits / 2 ** len(differences))


def _some_signs(differences: Sequence[float], draw: random.Random) -> float:
    reached = abs(sum(differences)) - _ROUNDING
    hits = sum(
        abs(sum(d if draw.random() < 0.5 else -d for d in differences)) >= reached
        for _ in range(PERMUTATIONS)
    )
    # The observed signs are one of the permutations, so the p-value is never 0.
    return (hits + 1) / (PERMUTATIONS + 1)


def _interval(differences: Sequence[float], draw: random.Random) -> Interval:
    means = sorted(mean(draw.choices(differences, k=len(differences))) for _ in range(RESAMPLES))
    tail = floor((1 - LEVEL) / 2 * RESAMPLES)
    return Interval(means[tail], means[-1 - tail])
