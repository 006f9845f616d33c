"""`ccpa replay`: does an agent program orchestrate as the teacher's does?"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ccpa.agents import AGENTS, find_agent
from ccpa.cli.scoring import number
from ccpa.console import console, on_terminal, one_line
from ccpa.drifts import Drift
from ccpa.errors import CcpaError
from ccpa.fixtures import Fixture, find_fixtures, load_fixture
from ccpa.replay import Replayed, replay_all
from ccpa.replay.gate import Gate, Judgement, counted, judge_all, read_expected
from ccpa.replay.run import TIMEOUT_S
from ccpa.sandbox import unavailable
from ccpa.score import EACH_MIN, MEAN_MIN

if TYPE_CHECKING:
    from rich.table import Table

HELP = "play recorded sessions to an agent, and compare what it makes of them"

_EPILOG = f"""\
examples:
  ccpa replay fixtures/canonical                     all of them, with apr code
  ccpa replay fixtures/canonical/fix-failing-test-python --keep runs
  ccpa replay fixtures/canonical --expected contracts/expected-drifts.toml --require-sandbox
  ccpa replay fixtures/canonical --agent my-agent.toml --json

The model's turns are served from the recording; tool results, side effects, hooks, skills, denials,
model calls and the files in the end are compared (docs/replay.md). On Linux the agent has a network
of its own with loopback only, and whatever else it tries to reach fails the gate.
agents: {", ".join(AGENTS)}, or a TOML file that describes one.
exit status: 0 the gate passes, 1 it does not, 2 wrong usage or unusable input"""

_MOST_SHOWN = 3
_MOST_ATTEMPTS = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ccpa replay`."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("fixtures", nargs="+", type=Path, metavar="FIXTURE", help="fixtures, or folders of them")
    add("--agent", default="apr", metavar="NAME", help="the agent under test (default: apr)")
    add("--jobs", type=_jobs, metavar="N", help="how many at a time (default: one a processor)")
    add("--expected", type=Path, metavar="FILE", help="drifts that are expected, by fixture")
    add("--require-sandbox", action="store_true", help="an error where there is no sandbox")
    add("--no-sandbox", action="store_true", help="run the agent as it is; nothing is enforced")
    add("--keep", type=Path, metavar="DIR", help="keep workspace, home and trace in DIR/ID/")
    add(
        "--timeout",
        type=float,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help="for each fixture (default: %(default)g)",
    )
    add("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Replay, print, and return the exit status.

    Raises:
        CcpaError: no such agent or fixture, or there is no sandbox and one is required.
    """
    agent = find_agent(args.agent)
    fixtures = _fixtures(args.fixtures)
    expected = read_expected(args.expected) if args.expected else {}
    without = "it was switched off" if args.no_sandbox else unavailable()
    if without is not None and args.require_sandbox:
        raise CcpaError(f"--require-sandbox: there is no sandbox: {without}")
    if without is not None:
        print(
            f"ccpa: no sandbox ({one_line(without)}): "
            "that the agent stays on this machine is not enforced",
            file=sys.stderr,
        )
    replayed = list(
        _with_progress(
            replay_all(
                fixtures,
                agent,
                jobs=args.jobs or _processors(),
                sandboxed=without is None,
                keep=args.keep,
                timeout_s=args.timeout,
            ),
            len(fixtures),
        )
    )
    gate = judge_all(replayed, expected)
    if args.json:
        value = _as_json(args.agent, without, replayed, gate)
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        _show(without, replayed, gate)
    return 0 if gate.verdict == "pass" else 1


def _jobs(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("needs at least one")
    return value


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _fixtures(places: list[Path]) -> list[Fixture]:
    """Load the fixtures at or below each place, each once."""
    found = {
        directory.resolve(): directory for place in places for directory in find_fixtures(place)
    }
    return [load_fixture(directory) for directory in found.values()]


def _with_progress(replayed: Iterator[Replayed], total: int) -> Iterator[Replayed]:
    if not sys.stderr.isatty():
        yield from replayed
        return
    from rich.progress import track

    yield from track(
        replayed, total=total, description="replaying", console=console(stderr=True), transient=True
    )


def _as_json(
    agent: str, without: str | None, replayed: list[Replayed], gate: Gate
) -> dict[str, Any]:
    return {
        "verdict": gate.verdict,
        "agent": agent,
        "sandbox": {"enforced": without is None, **({"reason": without} if without else {})},
        "mean": gate.score,
        "thresholds": {"mean": MEAN_MIN, "each": EACH_MIN},
        "fixtures": [
            _fixture_json(one, judged) for one, judged in zip(replayed, gate.fixtures, strict=True)
        ],
    }


def _fixture_json(one: Replayed, judged: Judgement) -> dict[str, Any]:
    return {
        "id": one.fixture,
        "score": one.score,
        "outcome": judged.outcome,
        **({"reason": judged.reason} if judged.reason else {}),
        "categories": counted(one),
        "drifts": [_drift_json(drift) for drift in one.drifts],
        "calls": msgspec.to_builtins(one.calls),
        "attempts": msgspec.to_builtins(one.attempts),
        "elapsed_s": round(one.elapsed_s, 3),
    }


def _drift_json(drift: Drift) -> dict[str, Any]:
    value: dict[str, Any] = msgspec.to_builtins(drift)
    return {name: field for name, field in value.items() if field not in (None, "")}


def _show(without: str | None, replayed: list[Replayed], gate: Gate) -> None:
    print(_headline(without, replayed, gate))
    pairs = list(zip(replayed, gate.fixtures, strict=True))
    if on_terminal():
        console().print(_table(pairs))
    else:
        for one, judged in pairs:
            print("\t".join(_fields(one, judged)))
    for one, judged in pairs:
        if not judged.passes or (one.drifts and judged.outcome == "pass"):
            for line in _details(one, judged):
                print(f"{one_line(one.fixture)}: {line}")


def _headline(without: str | None, replayed: list[Replayed], gate: Gate) -> str:
    expected = sum(one.outcome == "expected" for one in gate.fixtures)
    failed = sum(not one.passes for one in gate.fixtures)
    seconds = sum(one.elapsed_s for one in replayed)
    confined = "loopback only, enforced" if without is None else "not enforced"
    return (
        f"{gate.verdict.upper()}  mean parity score {number(gate.score)} "
        f"(needs {MEAN_MIN:.2f}, each {EACH_MIN:.2f})\n"
        f"{len(replayed)} fixtures, {expected} with expected drifts only, {failed} failed; "
        f"{seconds / max(len(replayed), 1):.2f} s each; network: {confined}"
    )


def _fields(one: Replayed, judged: Judgement) -> tuple[str, ...]:
    counts = ", ".join(f"{name} {count}" for name, count in counted(one).items())
    return judged.outcome, number(one.score), one_line(one.fixture), counts


def _table(pairs: Iterable[tuple[Replayed, Judgement]]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("outcome", "score", "fixture", "drifts"):
        table.add_column(column, overflow="fold", justify="right" if column == "score" else "left")
    for one, judged in pairs:
        style = "green" if judged.outcome == "pass" else "yellow" if judged.passes else "red"
        outcome, *rest = _fields(one, judged)
        table.add_row(Text(outcome, style), *map(Text, rest))
    return table


def _details(one: Replayed, judged: Judgement) -> Iterator[str]:
    if judged.reason:
        yield one_line(judged.reason)
    for attempt in one.attempts[:_MOST_ATTEMPTS]:
        yield f"tried to reach the outside: {one_line(str(attempt))}"
    if (more := len(one.attempts) - _MOST_ATTEMPTS) > 0:
        yield f"tried to reach the outside: {more} more"
    for call in one.calls[:_MOST_SHOWN]:
        yield one_line(f"{call.category} {call.conversation}: {call.detail}")
    for drift in [drift for drift in one.drifts if drift.values][:_MOST_SHOWN]:
        ours, theirs = drift.values or ("", "")
        yield one_line(f"{drift.category} {drift.name}: {ours!r} became {theirs!r}")
