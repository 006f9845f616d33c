"""`ccpa diff`: where and how does the student's trace drift from the teacher's?"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccpa.cli.scoring import (
    add_pair_arguments,
    add_scoring_arguments,
    fraction,
    number,
    print_verdict,
    uncollected,
    workspace_of,
)
from ccpa.compare import Comparison
from ccpa.console import console, on_terminal, one_line
from ccpa.drifts import Drift
from ccpa.errors import CcpaError
from ccpa.pairs import compare_files
from ccpa.reasons import guesses, reason, summary
from ccpa.score import EACH_MIN, Verdict, verdict

if TYPE_CHECKING:
    from rich.table import Table

    from ccpa.positional import PositionalReport

HELP = "compare a student's trace with a teacher's: the score, and every drift"

_EPILOG = """\
examples:
  ccpa diff teacher.jsonl student.jsonl               score and drifts
  ccpa diff teacher.jsonl student.jsonl --side-by-side
  ccpa diff teacher.jsonl student.jsonl --fixture fixtures/canonical/fix-typo
                                                      edits compared by what they change
  ccpa diff old-teacher.jsonl old-student.jsonl --scoring positional
  ccpa explain teacher.jsonl student.jsonl --drift 1  one drift, in full

docs/scoring.md says what counts, and how.
exit status: 0 the score reaches --min, 1 it does not (or there is none), 2 wrong usage or input"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ccpa diff`."""
    parser.epilog = _EPILOG
    add_pair_arguments(parser)
    add_scoring_arguments(parser)
    parser.add_argument(
        "--min",
        type=fraction,
        default=EACH_MIN,
        metavar="SCORE",
        help="the least score that passes (default: %(default)s)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="pass only if there is no drift of any kind"
    )
    parser.add_argument(
        "--files",
        nargs=2,
        type=Path,
        metavar=("TEACHER_DIR", "STUDENT_DIR"),
        help="the files that each side left, to compare byte for byte (`ccpa files` says where)",
    )
    parser.add_argument("--side-by-side", action="store_true", help="show both streams of actions")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Compare, print, and return the exit status."""
    if args.scoring == "positional":
        return _run_positional(args)
    workspace, roots = workspace_of(args.fixture), tuple(args.root)
    same = None if args.files is None else _same_trees(*args.files)
    with uncollected():
        found = compare_files(args.teacher, args.student, workspace, roots, dict(args.weight), same)
    judged = verdict(found.score.parity, args.min)
    if args.strict and judged == "pass" and found.drifts:
        judged = "fail"
    if args.json:
        print(json.dumps(as_json(found, judged, args), indent=2))
    else:
        _show(found, judged, args)
    return 0 if judged == "pass" else 1


def _same_trees(teacher: Path, student: Path) -> bool:
    from ccpa.filestate import compare_directories

    try:
        return compare_directories(teacher, student).equal
    except OSError as error:
        raise CcpaError(f"{error.filename}: cannot be read: {error.strerror}") from None


def drift_json(drift: Drift, found: Comparison) -> dict[str, Any]:
    """Return a drift as `--json` prints it: no field where there is nothing to say."""
    places = {
        name: value
        for name in ("teacher_position", "teacher_turn", "student_position", "student_turn")
        if (value := getattr(drift, name)) is not None
    }
    named = {"name": drift.name} if drift.name else {}
    notes = guesses(drift, found)
    return {
        "category": drift.category,
        **named,
        **places,
        "reason": reason(drift, found),
        **({"notes": notes} if notes else {}),
    }


def as_json(found: Comparison, judged: str, args: argparse.Namespace) -> dict[str, Any]:
    """Return the whole result."""
    return {
        "verdict": judged,
        "parity_score": found.score.parity,
        "recall": found.score.recall,
        "precision": found.score.precision,
        "matched": len(found.alignment.matched),
        "teacher_actions": len(found.teacher.keys),
        "student_actions": len(found.student.keys),
        "alignment_cost": found.alignment.cost,
        "same_files": found.same_files,
        "weights": dict(args.weight),
        "min": args.min,
        "drifts": [drift_json(drift, found) for drift in found.drifts],
    }


def _show(found: Comparison, judged: Verdict, args: argparse.Namespace) -> None:
    print_verdict(judged, f"parity score {number(found.score.parity)} (needs {args.min:.2f})")
    for line in _headline(found, args):
        print(line)
    if args.side_by_side:
        console().print(_streams(found))
    if not found.drifts:
        return
    print()
    if on_terminal():
        console().print(_table(found))
        return
    for index, drift in enumerate(found.drifts, 1):
        place = f"{_place(drift, 'teacher')}\t{_place(drift, 'student')}"
        notes = "".join(f" ({note})" for note in guesses(drift, found))
        why = one_line(reason(drift, found) + notes)
        print(f"{index}\t{drift.category}\t{place}\t{one_line(drift.name)}\t{why}")


def _headline(found: Comparison, args: argparse.Namespace) -> list[str]:
    points = found.score
    sides = f"{len(found.teacher.keys)} of the teacher, {len(found.student.keys)} of the student"
    lines = [
        f"recall {number(points.recall)}  precision {number(points.precision)}  "
        f"drifts {len(found.drifts)}",
        f"actions: {sides}, {len(found.alignment.matched)} matched",
    ]
    if found.same_files is not None:
        lines.append(f"files in the end: {'the same' if found.same_files else 'different'}")
    if args.weight:
        lines.append("weights: " + ", ".join(f"{one_line(n)} {w:g}" for n, w in args.weight))
    return lines


def _table(found: Comparison) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), expand=False)
    table.add_column("#", justify="right")
    table.add_column("teacher", no_wrap=True)
    table.add_column("student", no_wrap=True)
    table.add_column("drift", overflow="fold", ratio=1)
    for index, drift in enumerate(found.drifts, 1):
        text = Text().append(drift.category, style="bold")
        if drift.name:
            text.append(f"  {one_line(drift.name)}", style="cyan")
        text.append("\n" + one_line(reason(drift, found)))
        for note in guesses(drift, found):
            text.append(f"\nnote: {one_line(note)}", style="italic dim")
        table.add_row(str(index), _place(drift, "teacher"), _place(drift, "student"), text)
    return table


def _place(drift: Drift, side: str) -> str:
    position, turn = getattr(drift, f"{side}_position"), getattr(drift, f"{side}_turn")
    if turn is None:
        return "-"
    return f"turn {turn}" if position is None else f"#{position} t{turn}"


def _streams(found: Comparison) -> "Table":
    """Both streams of actions next to each other, each row one pair or a gap."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), expand=True)
    table.add_column("teacher", ratio=1, overflow="ellipsis", no_wrap=True)
    table.add_column("", width=1)
    table.add_column("student", ratio=1, overflow="ellipsis", no_wrap=True)
    for i, mark, j in rows(found):
        ours = "" if i is None else one_line(summary(found.teacher.session.actions[i]))
        theirs = "" if j is None else one_line(summary(found.student.session.actions[j]))
        style = {"=": "", "<": "red", ">": "green"}.get(mark, "yellow")
        table.add_row(ours, mark, theirs, style=style)
    return table


def rows(found: Comparison) -> list[tuple[int | None, str, int | None]]:
    """Return the rows of the side-by-side view.

    The mark is `=` for equal, `!` for replaced, `<` for only the teacher's, `>` for only the
    student's and `~` for an action that stands elsewhere on the other side.
    """
    paired = {i: (j, "=") for i, j in found.alignment.matched}
    paired |= {i: (j, "!") for i, j in found.alignment.replaced}
    moved = [pair for move in found.alignment.moved for pair in move.pairs]
    moved_from, moved_to = {i for i, _ in moved}, {j for _, j in moved}
    shown: list[tuple[int | None, str, int | None]] = []
    at = 0

    def fill(until: int) -> None:
        nonlocal at
        shown.extend((None, "~" if j in moved_to else ">", j) for j in range(at, until))
        at = max(at, until)

    for i in range(len(found.teacher.keys)):
        if i in paired:
            j, mark = paired[i]
            fill(j)
            shown.append((i, mark, j))
            at = j + 1
        else:
            shown.append((i, "~" if i in moved_from else "<", None))
    fill(len(found.student.keys))
    return shown


def _run_positional(args: argparse.Namespace) -> int:
    from ccpa.actions import read_views
    from ccpa.positional import positional

    report = positional(read_views(args.teacher), read_views(args.student))
    passes = report.score >= args.min
    if args.json:
        print(json.dumps(positional_json(report, passes), indent=2, ensure_ascii=False))
    else:
        print_verdict("pass" if passes else "fail", f"positional score {number(report.score)}")
        print(
            f"{report.matched_count} of {report.teacher_count} actions match by index, "
            f"the student has {report.student_count}"
        )
        for drift in report.drifts:
            print(f"{drift.position}\t{drift.category}\t{one_line(drift.tool_name)}")
    return 0 if passes else 1


def positional_json(report: "PositionalReport", passes: bool) -> dict[str, Any]:
    """Return the older meter's JSON of a pair."""
    drifts = [
        {"category": one.category, "position": one.position, "tool_name": one.tool_name}
        for one in report.drifts
    ]
    return {
        "drifts": drifts,
        "matched_count": report.matched_count,
        "passes_individual_floor": passes,
        "score": report.score,
        "student_count": report.student_count,
        "teacher_count": report.teacher_count,
    }
