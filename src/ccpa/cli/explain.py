"""`ccpa explain`: one drift in full."""

import argparse
import json
import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec

from ccpa.actions import Action, ToolUseView
from ccpa.cli.diff import drift_json, rows
from ccpa.cli.scoring import add_pair_arguments, workspace_of
from ccpa.compare import Comparison
from ccpa.console import one_line, plain
from ccpa.drifts import Drift
from ccpa.equivalence import RULES, decode_input
from ccpa.errors import CcpaError
from ccpa.pairs import compare_files
from ccpa.reasons import guesses, reason, summary

HELP = "one drift in full: both sides, what surrounds them, and why it is one"

_EPILOG = """\
examples:
  ccpa explain teacher.jsonl student.jsonl --drift 3    the third that `ccpa diff` lists
  ccpa explain teacher.jsonl student.jsonl --drift 3 --fixture fixtures/canonical/fix-typo

exit status: 0 explained, 2 there is no such drift, wrong usage or unusable input"""

_INDENT = "    "
_MIN_WIDTH = 40


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ccpa explain`."""
    parser.epilog = _EPILOG
    add_pair_arguments(parser)
    parser.add_argument("--drift", type=int, default=1, metavar="N", help="which, counted from 1")
    parser.add_argument(
        "--context",
        type=int,
        default=2,
        metavar="N",
        help="rows to show before and after (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Explain the drift.

    Raises:
        CcpaError: there is no drift of that number.
    """
    workspace = workspace_of(args.fixture)
    found = compare_files(args.teacher, args.student, workspace, tuple(args.root))
    if not 1 <= args.drift <= len(found.drifts):
        raise CcpaError(f"there is no drift {args.drift}: `ccpa diff` lists {len(found.drifts)}")
    drift = found.drifts[args.drift - 1]
    if args.json:
        print(json.dumps(_as_json(drift, found), indent=2))
        return 0
    for line in _lines(drift, found, args):
        print(line)
    return 0


def _lines(drift: Drift, found: Comparison, args: argparse.Namespace) -> Iterator[str]:
    yield f"drift {args.drift} of {len(found.drifts)}: {drift.category}"
    yield ""
    for name, position, turn, action in _sides(drift, found):
        if turn is None:
            yield f"{name}: nothing here"
            continue
        place = f"turn {turn}" if position is None else f"action {position}, turn {turn}"
        yield f"{name}: {place}"
        if action is not None:
            yield from _action(action)
    yield ""
    yield from _wrapped("why: " + one_line(reason(drift, found)))
    for note in guesses(drift, found):
        yield from _wrapped("note: " + one_line(note))
    rule = RULES.get(drift.name)
    if rule is not None and drift.category == "mismatched_tool_input":
        yield from _wrapped(
            f"what counts in {drift.name}: " + " ".join((rule.__doc__ or "").split())
        )
    context = list(_context(drift, found, args.context))
    if context:
        yield ""
        yield "around it (teacher | student; = equal, ! replaced, < missing, > extra, ~ moved)"
        yield from context


def _sides(
    drift: Drift, found: Comparison
) -> Iterator[tuple[str, int | None, int | None, Action | None]]:
    for name, side in (("teacher", found.teacher), ("student", found.student)):
        position = getattr(drift, f"{name}_position")
        action = None if position is None else side.session.actions[position]
        yield name, position, getattr(drift, f"{name}_turn"), action


def _action(action: Action) -> Iterator[str]:
    """Show all of an action: every field of its input, long text with its line breaks."""
    for name, value in _fields(action).items():
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        first, *more = plain(text).split("\n")
        yield f"  {one_line(name)}: {first}"
        yield from (_INDENT + line for line in more)
    if action.result is not None:
        yield f"  => {'ok' if action.result.ok else 'failed'}"


def _fields(action: Action) -> dict[str, Any]:
    if isinstance(action.view, ToolUseView):
        tool_input = decode_input(bytes(action.view.input))
        return {"tool": action.view.name, **(tool_input or {})}
    fields: dict[str, Any] = msgspec.to_builtins(action.view)
    return {name: fields[name] for name in fields if name not in {"v", "kind", "turn"}}


def _context(drift: Drift, found: Comparison, around: int) -> Iterator[str]:
    shown = rows(found)
    here = (drift.teacher_position, drift.student_position)
    at = next(
        (
            n
            for n, (i, _, j) in enumerate(shown)
            if (i is not None and i == here[0]) or (j is not None and j == here[1])
        ),
        None,
    )
    if at is None:
        return
    width = (max(shutil.get_terminal_size().columns, _MIN_WIDTH) - 7) // 2
    for n, (i, mark, j) in enumerate(shown):
        if abs(n - at) <= around:
            ours = "" if i is None else one_line(summary(found.teacher.session.actions[i]))
            theirs = "" if j is None else one_line(summary(found.student.session.actions[j]))
            arrow = "->" if n == at else "  "
            yield f"{arrow} {_cut(ours, width):{width}} {mark} {_cut(theirs, width)}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _wrapped(text: str) -> list[str]:
    width = max(shutil.get_terminal_size().columns, _MIN_WIDTH)
    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)


def _as_json(drift: Drift, found: Comparison) -> dict[str, Any]:
    sides = {
        name: None if action is None else _fields(action)
        for name, _, _, action in _sides(drift, found)
    }
    return {**drift_json(drift, found), "sides": sides}
