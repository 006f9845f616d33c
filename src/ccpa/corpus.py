"""Many pairs of traces: where they lie, what each scores, and what they score together."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ccpa.actions import read_views
from ccpa.errors import CcpaError
from ccpa.intervals import Interval, bootstrap, mean, pass_hat
from ccpa.layout import STUDENT_TRACE, TEACHER_TRACE, WORKSPACE
from ccpa.pairs import compare_files
from ccpa.score import EACH_MIN, MEAN_MIN, Score, Verdict

Scoring = Literal["aligned", "positional"]
Gate = Literal["interval", "mean"]

TRACE_SUFFIX = ".jsonl"


class Pair(Struct, frozen=True):
    """One run to score. Paths are text: thousands of objects would cost a fifth of the time.

    Args:
        fixture: the fixture's id, which is its directory's name.
        teacher: its teacher's trace.
        student: the run's trace.
        workspace: the starting files, where the fixture has any.
    """

    fixture: str
    teacher: str
    student: str
    workspace: str | None


class PairResult(Struct, frozen=True):
    """What one run scored. `categories` counts its drifts by category, most frequent first."""

    fixture: str
    student: str
    score: float | None
    recall: float | None
    precision: float | None
    drift_count: int
    categories: dict[str, int]


class FixtureResult(Struct, frozen=True):
    """What a fixture scored over its runs.

    Args:
        fixture: its id.
        runs: every run, in order.
        score: mean over the runs; None where any of them could not be scored.
        interval: of that mean; None for a single run.
        pass_k: pass^k with k all the runs: 1.0 only if every run passed.
        judged: against the floor for each fixture.
    """

    fixture: str
    runs: list[PairResult]
    score: float | None
    interval: Interval | None
    pass_k: float
    judged: Verdict


class CorpusResult(Struct, frozen=True):
    """What a corpus scored. `score` is the mean over fixtures; `passes` is the gate's word."""

    fixtures: list[FixtureResult]
    score: float | None
    interval: Interval | None
    judged: Verdict

    @property
    def passes(self) -> bool:
        """Whether the mean and every fixture reach what is asked of them."""
        return self.judged == "pass"


class Thresholds(Struct, frozen=True):
    """What is asked: of the mean, of each fixture, and of which number (`gate`)."""

    mean: float = MEAN_MIN
    each: float = EACH_MIN
    gate: Gate = "interval"


def find_pairs(corpus: Path, students: Path | None = None) -> list[Pair]:
    """Find the pairs of a corpus, in order of fixture and run.

    A fixture is a directory with a teacher's trace. Its student's trace lies beside it; or, with
    `students`, every trace in `students/ID/` is a run, at any depth (`run-1/trace.jsonl`).

    Raises:
        CcpaError: there is no fixture, a fixture has no run, an id is taken twice, or a directory
            cannot be read, or a link leads where was looked already.
    """
    pairs: list[Pair] = []
    seen: dict[str, str] = {}
    for directory, names in _walk(str(corpus), lambda names: TEACHER_TRACE in names):
        name = directory.rpartition("/")[2] if directory != "." else Path.cwd().name
        if name in seen:
            raise CcpaError(f"{directory}: the id {name!r} is taken by {seen[name]}")
        seen[name] = directory
        has_workspace = WORKSPACE in names and _is_directory(names[WORKSPACE])
        workspace = f"{directory}/{WORKSPACE}" if has_workspace else None
        teacher = f"{directory}/{TEACHER_TRACE}"
        runs = _runs(directory, names, name, students)
        pairs += [Pair(name, teacher, run, workspace) for run in runs]
    if not pairs:
        raise CcpaError(f"{corpus}: no fixture here or below: none has a {TEACHER_TRACE}")
    return sorted(pairs, key=lambda pair: (pair.fixture, pair.student))


def score_pair(pair: Pair, scoring: Scoring, weights: Mapping[str, float]) -> PairResult:
    """Score one run. Raises `CcpaError` where a trace cannot be read."""
    drifts: list[str]
    if scoring == "positional":
        from ccpa.positional import positional

        older = positional(read_views(pair.teacher), read_views(pair.student))
        drifts = [one.category for one in older.drifts]
        points = Score(parity=older.score, recall=older.score, precision=None)
    else:
        found = compare_files(pair.teacher, pair.student, pair.workspace, weights=weights)
        drifts, points = [one.category for one in found.drifts], found.score
    return PairResult(
        pair.fixture,
        pair.student,
        points.parity,
        points.recall,
        points.precision,
        len(drifts),
        _counted(drifts),
    )


def judge(results: list[PairResult], thresholds: Thresholds) -> CorpusResult:
    """Put the runs' scores together, fixture by fixture, and judge them.

    The gate asks the interval's lower end where there is one, or with `gate="mean"` the mean. A
    fixture without a score is no evidence: the corpus is then inconclusive, unless it fails anyway.
    """
    by_fixture: dict[str, list[PairResult]] = {}
    for result in results:
        by_fixture.setdefault(result.fixture, []).append(result)
    fixtures = [_fixture(name, runs, thresholds) for name, runs in by_fixture.items()]
    scores = [[one for run in f.runs if (one := run.score) is not None] for f in fixtures]
    known = [group for group in scores if group]
    total = mean([mean(group) for group in known]) if known else None
    interval = bootstrap(known)
    verdicts = {fixture.judged for fixture in fixtures}
    verdicts.add(_judged(total, interval, thresholds.mean, thresholds.gate))
    overall: Verdict = "pass"
    if "fail" in verdicts:
        overall = "fail"
    elif "inconclusive" in verdicts:
        overall = "inconclusive"
    return CorpusResult(fixtures, total, interval, overall)


def _fixture(name: str, runs: list[PairResult], thresholds: Thresholds) -> FixtureResult:
    scores = [run.score for run in runs if run.score is not None]
    complete = len(scores) == len(runs)
    score = mean(scores) if complete else None
    interval = bootstrap([scores]) if complete else None
    passed = sum(value >= thresholds.each for value in scores)
    return FixtureResult(
        name,
        runs,
        score,
        interval,
        pass_hat(passed, len(runs), len(runs)),
        _judged(score, interval, thresholds.each, thresholds.gate),
    )


def _judged(value: float | None, interval: Interval | None, at_least: float, gate: Gate) -> Verdict:
    if value is None:
        return "inconclusive"
    asked = interval.low if interval is not None and gate == "interval" else value
    return "pass" if asked >= at_least else "fail"


def _counted(categories: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for category in categories:
        counts[category] = counts.get(category, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


Names = dict[str, os.DirEntry[str]]  # what a directory holds


def _walk(
    directory: str, is_wanted: Callable[[Names], bool], known: set[str] | None = None
) -> Iterator[tuple[str, Names]]:
    """Yield the uppermost directories that are wanted. Links are followed, but nowhere twice.

    `known` are the resolved directories that are looked through, with all below them.
    """
    known = {os.path.realpath(directory)} if known is None else known
    try:
        with os.scandir(directory) as listing:
            names = {entry.name: entry for entry in listing}
    except OSError as error:
        raise CcpaError(f"{directory}: cannot be read: {error.strerror}") from None
    if is_wanted(names):
        yield directory, names
        return
    for name in sorted(names):
        if _is_directory(names[name]):
            below = f"{directory}/{name}"
            if names[name].is_symlink():
                _follow(below, known)
            yield from _walk(below, is_wanted, known)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        raise CcpaError(f"{entry.path}: cannot be read: {error.strerror}") from None


def _follow(link: str, known: set[str]) -> None:
    """Refuse a link in a circle, and one by which a run would count twice."""
    target = os.path.realpath(link)
    for one in known:
        if _holds(one, target) or _holds(target, one):
            raise CcpaError(f"{link}: a link to {target}, but {one} is looked through already")
    known.add(target)


def _holds(directory: str, path: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _runs(directory: str, names: Names, name: str, students: Path | None) -> list[str]:
    if students is None:
        if STUDENT_TRACE not in names:
            raise CcpaError(
                f"{directory}: no {STUDENT_TRACE} in it; --students DIR names where the runs are"
            )
        return [f"{directory}/{STUDENT_TRACE}"]
    where = students / name
    runs: list[str] = []
    if where.is_dir():
        for below, files in _walk(str(where), _has_traces):
            runs += [f"{below}/{file}" for file in files if file.endswith(TRACE_SUFFIX)]
    if not runs:
        raise CcpaError(f"{where}: no run of the fixture {name!r} there")
    return runs


def _has_traces(names: Names) -> bool:
    return any(name.endswith(TRACE_SUFFIX) for name in names)
