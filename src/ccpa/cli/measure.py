"""`ccpa measure`: a live model drives the agent; how near does it come to the teacher?"""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ccpa.cli.scoring import fraction, number
from ccpa.console import console, on_terminal, one_line
from ccpa.corpus import FixtureResult, Thresholds
from ccpa.errors import CcpaError
from ccpa.fixtures import load_corpus
from ccpa.intervals import Interval
from ccpa.measure.agent import AGENTS
from ccpa.measure.agreement import Agreement, agreement
from ccpa.measure.outcome import Outcome
from ccpa.measure.plan import Plan, jobs, references
from ccpa.measure.pool import LocalPool, Pool
from ccpa.measure.store import DATABASE, Store, open_store
from ccpa.measure.summary import Success, Summary, summarise
from ccpa.measure.work import work
from ccpa.record.upstream import where
from ccpa.score import EACH_MIN, MEAN_MIN

if TYPE_CHECKING:
    from rich.table import Table

HELP = "let a live model drive the agent, N times, and score the runs"

_EPILOG = """\
examples:
  ccpa measure fixtures/canonical/demo-find-port --agent-arg=--model=demo
  ccpa measure fixtures/canonical --runs 5 --agent-arg=--model=qwen3-coder --resume
  ccpa measure DIR --mode forced --agent-arg=--model=demo   decision by decision
  ccpa measure DIR --mode fork --at 2 --agent-arg=--model=demo
  ccpa measure DIR --runs 20 --jobs 16 --base-url http://a:8000/v1 --base-url http://b:8000/v1

modes:
  free    the agent gets the prompt and the files, and goes its own way
  forced  for every decision the agent gets the teacher's history, and makes the next one
  fork    the first --at answers are the recording's, really carried out; the rest is the model's

Every run is a row of the file --db as soon as it is done; --resume goes on where a measurement with
the same arguments stopped. `ccpa runs` lists, compares and exports. docs/measure.md has the rest.
exit status: 0 the gate passes, 1 it does not, 2 wrong usage or unusable input"""

_MOST_JOBS = 4  # conversations that an engine of apr holds at a time


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ccpa measure`."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("corpus", type=Path, nargs="+", metavar="DIR", help="fixtures, at any depth")
    add("--mode", choices=("free", "forced", "fork"), default="free", help="(default: %(default)s)")
    add("--at", type=_count, metavar="N", help="fork: how many answers are the recording's")
    add("--runs", type=_count, default=1, metavar="N", help="of each fixture (default: 1)")
    add("--agent", choices=AGENTS, default="apr", help="the agent under test (default: apr)")
    add(
        "--agent-arg",
        action="append",
        default=[],
        metavar="WORD",
        help="a word for the agent's command line, as --agent-arg=--model=demo (repeatable; "
        "paths must be absolute, for the agent runs elsewhere)",
    )
    add(
        "--base-url",
        action="append",
        default=[],
        type=_server,
        metavar="URL",
        help="the model's server; given several times, runs are spread over them",
    )
    add(
        "--pass-env",
        action="append",
        default=[],
        metavar="NAME",
        help="a variable the agent gets from your environment, as a key (repeatable)",
    )
    boxed = parser.add_mutually_exclusive_group()
    boxed.add_argument(
        "--require-sandbox",
        dest="sandbox",
        action="store_const",
        const="required",
        default="auto",
        help="a run without one is no evidence",
    )
    boxed.add_argument(
        "--no-sandbox",
        dest="sandbox",
        action="store_const",
        const="off",
        help="run the agent as it is, even where a server is named; nothing is enforced",
    )
    add("--timeout", type=float, default=600.0, metavar="S", help="seconds a run may take (600)")
    add("--jobs", type=_count, metavar="N", help="runs at a time (default: up to 4)")
    add("--ray", metavar="ADDRESS", help="run on this Ray cluster; `local` starts one here")
    add("--db", type=Path, default=DATABASE, metavar="FILE", help="(default: %(default)s)")
    add("--resume", action="store_true", help="go on with the newest measurement of this kind")
    add("--mean-min", type=fraction, default=MEAN_MIN, metavar="SCORE", help="(%(default)s)")
    add("--each-min", type=fraction, default=EACH_MIN, metavar="SCORE", help="(%(default)s)")
    add("--gate", choices=("interval", "mean"), default="interval", help="what must reach them")
    add("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measure, print, and return the exit status."""
    plan = _plan(args)
    thresholds = Thresholds(args.mean_min, args.each_min, args.gate)
    with open_store(args.db, create=True) as store:
        measurement = _measurement(store, plan, resume=args.resume)
        try:
            _do(store, measurement, plan, args)
        except KeyboardInterrupt:
            print("ccpa: stopped; --resume goes on from here", file=sys.stderr)
            raise
        outcomes = store.outcomes(measurement, runs=args.runs)
    found = summarise(outcomes, thresholds)
    agreed = agreement(outcomes) if plan.mode == "forced" else None
    if args.json:
        value = as_json(found, agreed, outcomes) | {"measurement": measurement, "db": str(args.db)}
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        _show(found, agreed, thresholds)
        print(f"measurement {measurement} in {one_line(str(args.db))}")
    if found.unconfined and args.sandbox == "auto":
        what = "nothing kept the agent from the network"
        print(f"ccpa: {found.unconfined} runs had no sandbox: {what}", file=sys.stderr)
    return 0 if found.passes else 1


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not (value := int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return value


def _server(text: str) -> str:
    try:
        where(text)
    except CcpaError as error:
        _, _, reason = str(error).partition(": ")
        raise argparse.ArgumentTypeError(reason) from None
    return text


def _plan(args: argparse.Namespace) -> Plan:
    if (args.mode == "fork") != (args.at is not None):
        raise CcpaError("--at N goes with --mode fork, and --mode fork needs it")
    if not 0 < args.timeout < math.inf:
        raise CcpaError(f"--timeout {args.timeout}: must be more than 0 seconds")
    fixtures = [one for path in args.corpus for one in load_corpus(path)]
    return Plan(
        mode=args.mode,
        agent=args.agent,
        agent_args=tuple(args.agent_arg),
        base_urls=tuple(args.base_url),
        at=args.at,
        environment=tuple(args.pass_env),
        sandbox=args.sandbox,
        timeout_s=args.timeout,
        fixtures=references(fixtures),
    )


def _measurement(store: Store, plan: Plan, *, resume: bool) -> int:
    if resume:
        if (known := store.unfinished(plan)) is not None:
            return known
        print("ccpa: nothing to resume: a new measurement begins", file=sys.stderr)
    return store.begin(plan)


def _do(store: Store, measurement: int, plan: Plan, args: argparse.Namespace) -> None:
    """Do the runs that are missing, and keep each as it comes."""
    done = store.done(measurement)
    left = list(jobs(plan, args.runs, done))
    total = args.runs * len(plan.fixtures)
    pool = _pool(args)
    with _progress(total, total - len(left)) as advance, closing(pool.run(work, left)) as outcomes:
        for outcome in outcomes:
            store.add(measurement, outcome)
            advance()


def _pool(args: argparse.Namespace) -> Pool:
    if args.ray is not None:
        from ccpa.measure.ray_pool import RayPool

        return RayPool(args.ray, args.jobs)
    return LocalPool(args.jobs or min(_MOST_JOBS, os.cpu_count() or 1))


@contextmanager
def _progress(total: int, done: int) -> Iterator[Any]:
    """Show a person how many runs are done and how long the rest will take."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console(stderr=True), transient=True) as shown:
        task = shown.add_task("Measuring", total=total, completed=done)
        yield lambda: shown.advance(task)


def _show(found: Summary, agreed: Agreement | None, thresholds: Thresholds) -> None:
    what = "decisions that agree" if agreed else "mean parity score"
    result, tokens = found.result, found.tokens
    judged = "fail" if found.attempts else result.judged
    print(
        f"{judged.upper()}  {what} {number(result.score)}{_spread(result.interval)} "
        f"(needs {thresholds.mean:.2f}, each {thresholds.each:.2f})"
    )
    if found.success:
        print(_success_line(found.success))
    runs = sum(len(one.runs) for one in result.fixtures)
    print(
        f"{len(result.fixtures)} fixtures, {runs} runs, {found.elapsed_s:.1f} s of agents; "
        f"{tokens.sent:,} tokens sent, {tokens.sent - tokens.cached:,} of them evaluated, "
        f"{tokens.generated:,} generated"
    )
    for broken in found.errors:
        reason = one_line(broken.error or "")
        print(f"no evidence: {one_line(broken.fixture)} run {broken.run}: {reason}")
    for attempt in found.attempts:
        print(f"tried to reach another host: {one_line(attempt)}")
    _show_fixtures(found)
    if agreed:
        _show_agreement(agreed)


def _success_line(success: Success) -> str:
    return (
        f"task success {number(success.rate)}{_spread(success.interval)}: {success.passed} of "
        f"{success.runs} runs, pass^{success.k} {number(success.pass_k)}"
    )


def _spread(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f", 95 % interval {number(interval.low)} to {number(interval.high)}"


def _show_fixtures(found: Summary) -> None:
    rows = [_row(one, found) for one in sorted(found.result.fixtures, key=_worst_first)]
    if not on_terminal():
        for row in rows:
            print("\t".join(row))
        return
    table = _table("verdict", "score", "95 % interval", "success", "fixture", "drifts")
    styles = {"pass": "green", "fail": "red", "inconclusive": "yellow"}
    for row in rows:
        table.add_row(*row, style=None if row[0] == "pass" else styles[row[0]])
    console().print(table)


def _row(one: FixtureResult, found: Summary) -> tuple[str, ...]:
    success = found.by_fixture.get(one.fixture)
    interval = one.interval
    drifts: dict[str, int] = {}
    for run_ in one.runs:
        for name, count in run_.categories.items():
            drifts[name] = drifts.get(name, 0) + count
    worst = sorted(drifts.items(), key=lambda item: (-item[1], item[0]))
    return (
        one.judged,
        number(one.score),
        f"{number(interval.low)}..{number(interval.high)}" if interval else "-",
        f"{success.passed}/{success.runs}" if success else "-",
        one_line(one.fixture),
        ", ".join(f"{name} {count}" for name, count in worst),
    )


def _show_agreement(agreed: Agreement) -> None:
    sections = {
        "by tool": agreed.by_tool,
        "by position": agreed.by_position,
        "by context (tokens)": agreed.by_context,
    }
    rows: list[tuple[str, ...]] = [
        (title, one_line(label), number(rate.share), f"{rate.same} of {rate.total}")
        for title, rates in sections.items()
        for label, rate in rates.items()
    ]
    confused: list[tuple[str, ...]] = [
        (f"teacher {one_line(teacher)}", f"student {one_line(student)}", f"{count}")
        for teacher, row in agreed.confusion.items()
        for student, count in row.items()
    ]
    if on_terminal():
        for table, lines in (
            (_table("decisions", "", "agree", ""), rows),
            (_table("calls", "", "times"), confused),
        ):
            for line in lines:
                table.add_row(*line)
            console().print(table)
    else:
        for line in [*rows, *confused]:
            print("\t".join(line))
    if agreed.failed:
        print(f"{agreed.failed} decisions had a history longer than the model's context")


def _worst_first(one: FixtureResult) -> tuple[float, str]:
    return (-1.0 if one.score is None else one.score, one.fixture)


def _table(*columns: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(*columns, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
    return table


def as_json(found: Summary, agreed: Agreement | None, outcomes: list[Outcome]) -> dict[str, Any]:
    """Return a measurement as one JSON value; traces are `ccpa runs trace`'s business."""
    value: dict[str, Any] = {
        "verdict": "fail" if found.attempts else found.result.judged,
        "score": found.result.score,
        "interval": found.result.interval,
        "task_success": found.success,
        "tokens": found.tokens,
        "elapsed_s": found.elapsed_s,
        "attempts": found.attempts,
        "unconfined_runs": found.unconfined,
        "fixtures": [
            {
                "id": one.fixture,
                "verdict": one.judged,
                "score": one.score,
                "interval": one.interval,
                "pass_k": one.pass_k,
                "task_success": found.by_fixture.get(one.fixture),
                "runs": [_run_json(run_) for run_ in outcomes if run_.fixture == one.fixture],
            }
            for one in sorted(found.result.fixtures, key=_worst_first)
        ],
    }
    if agreed is not None:
        value["agreement"] = agreed
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain


def _run_json(outcome: Outcome) -> dict[str, Any]:
    value: dict[str, Any] = msgspec.to_builtins(outcome)
    del value["trace"], value["fixture"]
    return value | {"success": outcome.success}
