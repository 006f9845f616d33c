"""How sure is a score that was measured over several runs?"""

from collections.abc import Sequence
from math import comb, floor

from msgspec import Struct

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95


class Interval(Struct, frozen=True):
    """A 95 % confidence interval."""

    low: float
    high: float


def mean(values: Sequence[float]) -> float:
    """Return the plain mean, summed from left to right."""
    return sum(values) / len(values)


def pass_hat(passed: int, runs: int, k: int) -> float:
    """Return pass^k: the probability that k runs, drawn from these without putting back, all pass.

    Raises:
        ValueError: k is not in 1..runs, or more passed than ran.
    """
    if not 1 <= k <= runs or not 0 <= passed <= runs:
        raise ValueError(f"pass^{k} of {passed} in {runs} runs makes no sense")
    return comb(passed, k) / comb(runs, k)


def bootstrap(groups: Sequence[Sequence[float]], seed: int = SEED) -> Interval | None:
    """Return the interval of the mean of the groups' means, from resampling within each group.

    A group is a fixture, its values are the scores of its runs. The fixtures are what they are: the
    interval speaks of other runs of the same fixtures. None unless some fixture ran more than once,
    for a single run says nothing of the next. Percentile method; the same seed gives the same
    interval.
    """
    if not any(len(group) > 1 for group in groups):
        return None
    import random

    draw = random.Random(seed)  # noqa: S311
    means = sorted(
        mean([mean(draw.choices(group, k=len(group))) for group in groups])
        for _ in range(RESAMPLES)
    )
    tail = floor((1 - LEVEL) / 2 * RESAMPLES)
    return Interval(means[tail], means[-1 - tail])
