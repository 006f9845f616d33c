"""`ccpa runs`: what `ccpa measure` has kept."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from ccpa.cli.scoring import number
from ccpa.console import one_line
from ccpa.errors import CcpaError
from ccpa.intervals import Interval, mean
from ccpa.measure.outcome import Outcome
from ccpa.measure.significance import Paired, Proportions, paired, proportions
from ccpa.measure.store import DATABASE, Measurement, Store, open_store

HELP = "list, compare and export what `ccpa measure` has kept"

_EPILOG = """\
examples:
  ccpa runs                                 the measurements in ccpa-runs.sqlite
  ccpa runs compare 3 4                     is 4 better than 3, or was it luck?
  ccpa runs export 3 --csv runs.csv         a row for each run
  ccpa runs export 3 --parquet runs.parquet
  ccpa runs trace 3 demo-find-port 2 > student.ccpa-trace.jsonl

`compare` pairs the fixtures that both have: a sign-flip permutation test and a bootstrap interval
on their mean scores (seeded), Fisher's exact test on how often the checks passed.
exit status: 0 done, 2 wrong usage or unusable input"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ccpa runs`."""
    parser.epilog = _EPILOG
    _common(parser, default=True)
    commands = parser.add_subparsers(dest="runs_command", metavar="COMMAND")
    _common(commands.add_parser("list", help="list the measurements (the default)"))
    compare = commands.add_parser("compare", help="compare two measurements")
    compare.add_argument("first", type=int, metavar="A", help="a measurement's number")
    compare.add_argument("second", type=int, metavar="B", help="another's")
    _common(compare)
    export = commands.add_parser("export", help="write a measurement's runs as a table")
    export.add_argument("measurement", type=int, metavar="N")
    form = export.add_mutually_exclusive_group(required=True)
    form.add_argument("--csv", type=Path, metavar="FILE")
    form.add_argument("--parquet", type=Path, metavar="FILE", help="needs apr-code[parquet]")
    _common(export)
    trace = commands.add_parser("trace", help="print the trace of a run")
    trace.add_argument("measurement", type=int, metavar="N")
    trace.add_argument("fixture", metavar="FIXTURE")
    trace.add_argument("number", type=int, metavar="RUN")
    _common(trace)


def run(args: argparse.Namespace) -> int:
    """Do it, and return the exit status."""
    with open_store(args.db) as store:
        match args.runs_command:
            case "compare":
                _compare(store, args)
            case "export":
                _export(store, args)
            case "trace":
                _print_trace(store, args)
            case _:
                _list(store, as_json=args.json)
    return 0


def _common(parser: argparse.ArgumentParser, *, default: bool = False) -> None:
    """Add what goes before and after the subcommand's name; the later one wins."""
    suppressed = argparse.SUPPRESS
    parser.add_argument(
        "--db",
        type=Path,
        default=DATABASE if default else suppressed,
        metavar="FILE",
        help=f"(default: {DATABASE})",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        default=False if default else suppressed,
        help="print one JSON value",
    )


def _list(store: Store, *, as_json: bool) -> None:
    found = [(one, store.outcomes(one.id)) for one in store.measurements()]
    if as_json:
        print(json.dumps([_as_json(*one) for one in found], indent=2, ensure_ascii=False))
        return
    if not found:
        print(f"{store.path}: no measurement yet", file=sys.stderr)
    for one, outcomes in found:
        how = [one.plan.agent, *one.plan.agent_args]
        if one.plan.at is not None:
            how.insert(0, f"at {one.plan.at}:")
        fields = (
            f"{one.id}",
            one.started,
            one.plan.mode,
            number(_score(outcomes)),
            f"{len(one.plan.fixtures)} fixtures",
            f"{one.runs} runs" + (f" ({one.errors} broke)" if one.errors else ""),
            one_line(" ".join(how)),
        )
        print("\t".join(fields))


def _as_json(one: Measurement, outcomes: list[Outcome]) -> dict[str, Any]:
    plan: dict[str, Any] = msgspec.to_builtins(one.plan)
    counts = {"runs": one.runs, "errors": one.errors, "score": _score(outcomes)}
    return {"id": one.id, "started": one.started, **plan, **counts}


def _score(outcomes: list[Outcome]) -> float | None:
    means = _means(outcomes)
    return mean(list(means.values())) if means else None


def _means(outcomes: list[Outcome]) -> dict[str, float]:
    """Return each fixture's mean score over the runs that have one."""
    groups: dict[str, list[float]] = {}
    for one in outcomes:
        if one.score is not None:
            groups.setdefault(one.fixture, []).append(one.score)
    return {name: mean(group) for name, group in groups.items()}


def _compare(store: Store, args: argparse.Namespace) -> None:
    ids = (args.first, args.second)
    plans = [store.measurement(id_).plan for id_ in ids]
    first, second = (store.outcomes(id_) for id_ in ids)
    digests = [{one.id: one.digest for one in plan.fixtures} for plan in plans]
    changed = {
        name for name in digests[0].keys() & digests[1] if digests[0][name] != digests[1][name]
    }
    if (modes := {plan.mode for plan in plans}) != {plans[0].mode}:
        raise CcpaError(f"{' and '.join(sorted(modes))} measure different things: not comparable")
    ours, theirs = _means(first), _means(second)
    common = sorted((ours.keys() & theirs.keys()) - changed)
    if not common:
        raise CcpaError(f"{store.path}: {ids[0]} and {ids[1]} have no fixture in common, unchanged")
    scores = paired([ours[name] for name in common], [theirs[name] for name in common])
    success = _proportions(first, second, set(common))
    per_fixture = {name: (ours[name], theirs[name]) for name in common}
    if args.json:
        value = {
            "first": ids[0],
            "second": ids[1],
            "score": scores,
            "task_success": success,
            "fixtures": per_fixture,
            "changed": sorted(changed),
        }
        print(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False))
        return
    _show_scores(scores)
    if success is not None:
        _show_success(success)
    for name in sorted(common, key=lambda name: theirs[name] - ours[name]):
        numbers = f"{number(ours[name])}\t{number(theirs[name])}"
        print(f"{theirs[name] - ours[name]:+.4f}\t{numbers}\t{one_line(name)}")
    for name in sorted(changed):
        print(f"not compared: {one_line(name)} has changed between the two", file=sys.stderr)


def _proportions(
    first: list[Outcome], second: list[Outcome], fixtures: set[str]
) -> Proportions | None:
    counts = []
    for outcomes in (first, second):
        known = [one.success for one in outcomes if one.fixture in fixtures]
        runs = [success for success in known if success is not None]
        counts.append((sum(runs), len(runs)))
    return proportions(*counts) if all(runs for _, runs in counts) else None


def _show_scores(found: Paired) -> None:
    spread = f", 95 % interval {_range(found.interval)}" if found.interval else ""
    how = "all" if found.exact else "a sample of"
    print(
        f"score {number(found.first)} -> {number(found.second)}: {found.difference:+.4f}{spread}, "
        f"p = {found.p_value:.4f} ({how} sign changes of {found.fixtures} fixtures)"
    )


def _show_success(found: Proportions) -> None:
    parts = [
        f"{succeeded} of {runs} ({_range(interval)})"
        for (succeeded, runs), interval in (
            (found.first, found.first_interval),
            (found.second, found.second_interval),
        )
    ]
    print(f"task success {' -> '.join(parts)}, p = {found.p_value:.4f} (Fisher)")


def _range(interval: Interval) -> str:
    return f"{interval.low:.4f} to {interval.high:.4f}"


def _export(store: Store, args: argparse.Namespace) -> None:
    from ccpa.measure.table import write_csv, write_parquet

    outcomes = store.outcomes(store.measurement(args.measurement).id)
    if args.csv is not None:
        write_csv(args.csv, outcomes)
    else:
        write_parquet(args.parquet, outcomes)
    written = {"file": str(args.csv or args.parquet), "runs": len(outcomes)}
    if args.json:
        print(json.dumps(written, ensure_ascii=False))
    else:
        print(f"{written['runs']} runs in {one_line(str(written['file']))}")


def _print_trace(store: Store, args: argparse.Namespace) -> None:
    data = store.trace(args.measurement, args.fixture, args.number)
    if not data:
        raise CcpaError(f"run {args.number} of {args.fixture!r} has no trace")
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
