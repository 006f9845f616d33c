"""The runs of a measurement, put together and judged."""

from collections.abc import Sequence

from msgspec import Struct

from ccpa.corpus import CorpusResult, PairResult, Thresholds, judge
from ccpa.intervals import Interval, bootstrap, mean, pass_hat
from ccpa.measure.outcome import Outcome, Tokens


class Success(Struct, frozen=True):
    """How often the fixtures' checks passed.

    Args:
        rate: share of runs, mean over fixtures.
        interval: of that mean; None where no fixture ran twice.
        pass_k: pass^k, the probability that k runs all pass, mean over fixtures.
        k: the number of runs of the fixture that has fewest.
        passed: runs that passed.
        runs: runs of fixtures that have checks.
    """

    rate: float
    interval: Interval | None
    pass_k: float
    k: int
    passed: int
    runs: int


class Summary(Struct, frozen=True):
    """A measurement.

    Args:
        result: scores and verdicts, fixture by fixture and together, as of any corpus.
        success: of all fixtures that have checks; None where none has.
        by_fixture: the same of each of them.
        tokens: what all runs cost.
        elapsed_s: seconds that the agents took, added up.
        errors: the runs that are no evidence.
        unconfined: how many runs had no sandbox.
        attempts: what agents tried to reach besides their model, each with fixture and run.
    """

    result: CorpusResult
    success: Success | None
    by_fixture: dict[str, Success]
    tokens: Tokens
    elapsed_s: float
    errors: list[Outcome]
    unconfined: int
    attempts: list[str]

    @property
    def passes(self) -> bool:
        """Whether the gate lets it through. Whoever tries to reach another host never passes."""
        return self.result.passes and not self.attempts


def summarise(outcomes: Sequence[Outcome], thresholds: Thresholds) -> Summary:
    """Put runs together. A run that broke has no score, so that no gate passes without it."""
    pairs = [
        PairResult(
            one.fixture,
            f"run-{one.run}",
            one.score,
            one.recall,
            one.precision,
            sum(one.drifts.values()),
            dict(sorted(one.drifts.items(), key=lambda item: (-item[1], item[0]))),
        )
        for one in outcomes
    ]
    groups: dict[str, list[float]] = {}
    for one in outcomes:
        if one.success is not None:
            groups.setdefault(one.fixture, []).append(float(one.success))
    return Summary(
        result=judge(pairs, thresholds),
        success=_success(list(groups.values())),
        by_fixture={name: found for name, group in groups.items() if (found := _success([group]))},
        tokens=Tokens(
            sent=sum(one.tokens.sent for one in outcomes),
            cached=sum(one.tokens.cached for one in outcomes),
            generated=sum(one.tokens.generated for one in outcomes),
        ),
        elapsed_s=sum(one.elapsed_s for one in outcomes),
        errors=[one for one in outcomes if one.error is not None],
        unconfined=sum(not one.confined for one in outcomes),
        attempts=[
            f"{one.fixture} run {one.run}: {attempt}"
            for one in outcomes
            for attempt in one.attempts
        ],
    )


def _success(groups: list[list[float]]) -> Success | None:
    if not groups:
        return None
    k = min(len(group) for group in groups)
    return Success(
        rate=mean([mean(group) for group in groups]),
        interval=bootstrap(groups),
        pass_k=mean([pass_hat(int(sum(group)), len(group), k) for group in groups]),
        k=k,
        passed=int(sum(sum(group) for group in groups)),
        runs=sum(len(group) for group in groups),
    )
