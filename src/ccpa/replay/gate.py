"""Will it do? Scores, expected drifts and attempts to reach the outside, put together.

A file of expected drifts names the fixtures of what an agent does not have yet, each with exactly
the drifts that it shows. They are left out of the mean. One that does better than the file says
fails, too: then the file is out of date, and has to shrink.
"""

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from ccpa.drifts import Category
from ccpa.errors import CcpaError
from ccpa.intervals import mean
from ccpa.replay import Replayed
from ccpa.score import EACH_MIN, MEAN_MIN, Verdict, verdict

Outcome = Literal["pass", "fail", "expected", "better", "other", "not replayable"]


class Expected(Struct, frozen=True, forbid_unknown_fields=True):
    """What a fixture is expected to show, and why.

    Args:
        fixture: its id.
        lacks: what the agent does not have: rows of the parity matrix, or words.
        drifts: how many of each category.
        replayable: false where the agent cannot even be started on it.
    """

    fixture: str
    lacks: str
    drifts: dict[Category, int] = {}
    replayable: bool = True


class _File(Struct, forbid_unknown_fields=True):
    expected: list[Expected] = []


class Judgement(Struct, frozen=True):
    """What a fixture's replay amounts to, and in a word or two why."""

    outcome: Outcome
    reason: str = ""

    @property
    def passes(self) -> bool:
        """Whether the gate lets it through."""
        return self.outcome in {"pass", "expected"}


class Gate(Struct, frozen=True):
    """What many replays amount to. `score` is the mean of those that nothing is expected of."""

    fixtures: list[Judgement]
    score: float | None
    verdict: Verdict


def read_expected(path: Path) -> dict[str, Expected]:
    """Read a file of expected drifts; by fixture.

    Raises:
        CcpaError: it cannot be read, or is no such file.
    """
    try:
        entries = msgspec.convert(tomllib.loads(path.read_text()), _File).expected
    except (OSError, ValueError) as error:  # ValueError: of TOML, UTF-8 and msgspec alike
        raise CcpaError(f"{path}: {error}") from None
    return {entry.fixture: entry for entry in entries}


def judge_all(replayed: Iterable[Replayed], expected: Mapping[str, Expected]) -> Gate:
    """Hold replays against the gates of `ccpa.score`, and against what is expected."""
    runs = list(replayed)
    judged = [_judge(one, expected.get(one.fixture)) for one in runs]
    scores = [one.score for one in runs if one.fixture not in expected and one.score is not None]
    score = mean(scores) if scores else None
    overall: Verdict = verdict(score, MEAN_MIN) if scores else "pass"
    if not all(one.passes for one in judged):
        overall = "fail"
    return Gate(judged, score, overall if runs else "inconclusive")


def counted(replayed: Replayed) -> dict[Category, int]:
    """Count the drifts of each category."""
    return dict(sorted(Counter(drift.category for drift in replayed.drifts).items()))


def _judge(run: Replayed, expected: Expected | None) -> Judgement:
    if run.attempts:
        return Judgement("fail", f"tried to reach {run.attempts[0].host}")
    if expected is not None:
        return _as_expected(run, expected)
    if run.not_replayable is not None:
        return Judgement("not replayable", run.not_replayable)
    if run.problem is not None:
        return Judgement("fail", run.problem)
    if verdict(run.score, EACH_MIN) != "pass":
        return Judgement("fail", f"below {EACH_MIN}")
    return Judgement("pass")


def _as_expected(run: Replayed, expected: Expected) -> Judgement:
    if run.not_replayable is not None:
        if not expected.replayable:
            return Judgement("expected", f"lacks {expected.lacks}: {run.not_replayable}")
        return Judgement("other", f"not replayable: {run.not_replayable}")
    if not expected.replayable:
        return Judgement("better", "can be replayed now: remove or update its entry")
    found = counted(run)
    if found == expected.drifts:
        return Judgement("expected", f"lacks {expected.lacks}")
    more = any(number > expected.drifts.get(kind, 0) for kind, number in found.items())
    if more:
        return Judgement("other", "has drifts that are not expected")
    return Judgement("better", "lacks some of the expected drifts: remove or update its entry")
