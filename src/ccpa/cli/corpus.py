"""`ccpa corpus`: what do many pairs of traces score together?"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from ccpa.cli.scoring import (
    STYLES,
    add_scoring_arguments,
    fraction,
    number,
    print_verdict,
    uncollected,
)
from ccpa.console import console, on_terminal, one_line
from ccpa.corpus import (
    CorpusResult,
    FixtureResult,
    Pair,
    PairResult,
    Thresholds,
    find_pairs,
    judge,
    score_pair,
)
from ccpa.score import EACH_MIN, MEAN_MIN

if TYPE_CHECKING:
    from rich.table import Table

HELP = "score many pairs of traces, and gate on the result"

_EPILOG = """\
examples:
  ccpa corpus fixtures/regression                    pairs that lie together
  ccpa corpus fixtures/canonical --students runs     runs/ID/run-1/*.jsonl, run-2, ...
  ccpa corpus DIR --students runs --gate mean        gate on the mean, not on the interval
  ccpa corpus DIR --junit report.xml --json          for machines
  ccpa corpus DIR --scoring positional --json        as the older meter prints it
  ccpa corpus fixtures/canonical --check             could the teachers' traces have happened?

Each run is scored alone. Over several runs of a fixture there is a mean, a bootstrap 95 % interval
and pass^k; the gate asks the interval's lower end. docs/scoring.md has the arithmetic.
exit status: 0 the gate passes, 1 it does not, 2 wrong usage or unusable input"""

ScorePair = Callable[[Pair], PairResult]

# Below this much to read, starting another process costs more than it saves.
_WORTH_A_PROCESS = 16 << 20
_SHARES = 16  # for each process, so that none waits long for the last one
_work: list[tuple[ScorePair, list[Pair]]] = []  # in a process that scores for another
_FEW = 64  # pairs: as many are looked at to estimate the rest, and of fewer it is not asked
_MOMENT_S = 1.0
_WORST = 3  # kinds of drift named for each fixture


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ccpa corpus`."""
    parser.epilog = _EPILOG
    parser.add_argument("corpus", type=Path, metavar="DIR", help="fixtures, at any depth")
    parser.add_argument("--students", type=Path, metavar="DIR", help="runs, in DIR/ID/")
    add_scoring_arguments(parser)
    parser.add_argument(
        "--mean-min",
        type=fraction,
        default=MEAN_MIN,
        metavar="SCORE",
        help="the least mean that passes (default: %(default)s)",
    )
    parser.add_argument(
        "--each-min",
        type=fraction,
        default=EACH_MIN,
        metavar="SCORE",
        help="the least score of a fixture that passes (default: %(default)s)",
    )
    parser.add_argument(
        "--gate",
        choices=("interval", "mean"),
        default="interval",
        help="which number must reach them (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs", type=_jobs, metavar="N", help="processes (default: as many as pay)"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="instead of scoring: do the teachers' tool uses again on their workspaces and report "
        "what could not have happened (runs the traces' commands)",
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write a JUnit report")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Score the pairs, print, and return the exit status."""
    if args.check:
        from ccpa.cli import corpus_check

        return corpus_check.run(args.corpus, as_json=args.json)
    pairs = find_pairs(args.corpus, args.students)
    with uncollected():
        results = list(_with_progress(_scored(pairs, args), len(pairs)))
    thresholds = Thresholds(args.mean_min, args.each_min, args.gate)
    found = judge(results, thresholds)
    if args.junit is not None:
        from ccpa.junit import report

        args.junit.write_bytes(report(found, thresholds))
    if args.json:
        older = args.scoring == "positional"
        value = _positional_json(found, thresholds) if older else _as_json(found, args)
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        _show(found, thresholds)
    return 0 if found.passes else 1


def _jobs(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("needs at least one process")
    return value


def _scored(pairs: list[Pair], args: argparse.Namespace) -> Iterable[PairResult]:
    """Score the pairs in order, over several processes where that pays."""
    score: ScorePair = partial(score_pair, scoring=args.scoring, weights=dict(args.weight))
    jobs = args.jobs or _paying_jobs(pairs)
    if jobs == 1:
        return map(score, pairs)
    return _in_processes(score, pairs, jobs)


def _in_processes(score: ScorePair, pairs: list[Pair], jobs: int) -> Iterator[PairResult]:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # No thread runs yet, so a fork is safe; it spares each process the imports and the pairs.
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    size = max(1, len(pairs) // (jobs * _SHARES))
    starts = range(0, len(pairs), size)
    with ProcessPoolExecutor(jobs, context, _take_on, (score, pairs)) as pool:
        for results in pool.map(_score_share, starts, [size] * len(starts)):
            yield from msgspec.msgpack.decode(results, type=list[PairResult])


def _take_on(score: ScorePair, pairs: list[Pair]) -> None:
    """Tell a new process what there is to do; it is then asked for one share after another."""
    _work.append((score, pairs))


def _score_share(start: int, size: int) -> bytes:
    """Score some pairs and pack the results, in less than half the time that pickling takes."""
    [(score, pairs)] = _work
    return msgspec.msgpack.encode([score(pair) for pair in pairs[start : start + size]])


def _paying_jobs(pairs: list[Pair]) -> int:
    """Return how many processes pay: one for every so many bytes, up to one a processor."""
    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    limit = min(processors or 1, len(pairs))
    if limit == 1 or len(pairs) < _FEW:  # not even worth asking how large they are
        return 1
    some = pairs[:: len(pairs) // _FEW]
    size = sum(_size(path) for one in some for path in (one.teacher, one.student))
    return max(1, min(limit, size * len(pairs) // len(some) // _WORTH_A_PROCESS))


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0  # whoever reads it says what is wrong with it


def _with_progress(results: Iterable[PairResult], total: int) -> Iterator[PairResult]:
    """Pass the results on; where a person waits for more than a moment, show how many there are."""
    iterator = iter(results)
    if not sys.stderr.isatty():
        yield from iterator
        return
    patience = monotonic() + _MOMENT_S
    for done, result in enumerate(iterator, 1):
        yield result
        if monotonic() > patience and done < total:
            from rich.progress import Progress

            with Progress(console=console(stderr=True), transient=True) as bar:
                task = bar.add_task("Scoring", total=total, completed=done)
                for later in iterator:
                    yield later
                    bar.advance(task)


def _show(found: CorpusResult, thresholds: Thresholds) -> None:
    _headline(found, thresholds)
    fixtures = sorted(found.fixtures, key=_worst_first)
    if on_terminal():
        console().print(_table(fixtures))
        return
    for one in fixtures:
        drifts = ", ".join(f"{name} {count}" for name, count in _drifts(one).items())
        fields = (one.judged, number(one.score), _range(one), one_line(one.fixture), drifts)
        print("\t".join(fields))


def _headline(found: CorpusResult, thresholds: Thresholds) -> None:
    low = found.interval
    spread = f", 95 % interval {number(low.low)} to {number(low.high)}" if low else ""
    runs = sum(len(one.runs) for one in found.fixtures)
    failed = sum(one.judged != "pass" for one in found.fixtures)
    print_verdict(
        found.judged,
        f"mean parity score {number(found.score)}{spread} "
        f"(needs {thresholds.mean:.2f}, each {thresholds.each:.2f})",
    )
    print(
        f"{len(found.fixtures)} fixtures, {runs} runs, {failed} below the floor or without a score"
    )


def _worst_first(one: FixtureResult) -> tuple[float, str]:
    return (-1.0 if one.score is None else one.score, one.fixture)


def _drifts(one: FixtureResult) -> dict[str, int]:
    counts: dict[str, int] = {}
    for run_ in one.runs:
        for name, count in run_.categories.items():
            counts[name] = counts.get(name, 0) + count
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _range(one: FixtureResult) -> str:
    if one.interval is None:
        return "-"
    return f"{number(one.interval.low)}..{number(one.interval.high)} pass^k {one.pass_k:.2f}"


def _table(fixtures: list[FixtureResult]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    several = any(one.interval for one in fixtures)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("score", justify="right", no_wrap=True)
    if several:
        table.add_column("95 % interval", no_wrap=True)
    table.add_column("fixture", overflow="fold")
    table.add_column("drifts", overflow="fold")
    for one in fixtures:
        drifts = _drifts(one)
        named = [f"{name} {count}" for name, count in list(drifts.items())[:_WORST]]
        rest = f", {len(drifts) - _WORST} more kinds" if len(drifts) > _WORST else ""
        middle = [_range(one)] if several else []
        score = Text(number(one.score), style=STYLES[one.judged])
        table.add_row(score, *middle, one_line(one.fixture), ", ".join(named) + rest)
    return table


def _as_json(found: CorpusResult, args: argparse.Namespace) -> dict[str, Any]:
    return {
        "verdict": found.judged,
        "parity_score": found.score,
        "interval": msgspec.to_builtins(found.interval),
        "thresholds": {"mean": args.mean_min, "each": args.each_min, "gate": args.gate},
        "weights": dict(args.weight),
        "fixtures": [
            {
                "id": one.fixture,
                "verdict": one.judged,
                "parity_score": one.score,
                "interval": msgspec.to_builtins(one.interval),
                "pass_k": one.pass_k,
                "runs": [
                    {
                        "student": r.student,
                        "parity_score": r.score,
                        "recall": r.recall,
                        "precision": r.precision,
                        "drifts": r.categories,
                    }
                    for r in one.runs
                ],
            }
            for one in sorted(found.fixtures, key=_worst_first)
        ],
    }


def _positional_json(found: CorpusResult, thresholds: Thresholds) -> dict[str, Any]:
    """Return the older meter's JSON of a corpus, which knows one run of each fixture."""
    return {
        "aggregate_score": found.score,
        "fixture_count": len(found.fixtures),
        "passes_gate": found.passes,
        "per_fixture": [
            {
                "drift_count": sum(run_.drift_count for run_ in one.runs),
                "id": one.fixture,
                "passes_individual": one.judged == "pass",
                "score": one.score,
            }
            for one in sorted(found.fixtures, key=lambda one: one.fixture)
        ],
        "thresholds": {"aggregate_min": thresholds.mean, "individual_min": thresholds.each},
    }
