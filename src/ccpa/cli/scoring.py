"""What the commands that score have in common: their arguments, and how a score is written."""

import argparse
import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ccpa.console import console, on_terminal
from ccpa.errors import CcpaError
from ccpa.score import Verdict

STYLES: dict[Verdict, str] = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


def add_pair_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `ccpa diff` and `ccpa explain` have in common: the two traces and their files."""
    parser.add_argument(
        "teacher", type=Path, metavar="TEACHER", help="the trace to measure against"
    )
    parser.add_argument("student", type=Path, metavar="STUDENT", help="the trace to measure")
    parser.add_argument(
        "--fixture",
        type=Path,
        metavar="DIR",
        help="the fixture that both ran on: its workspace/ tells what each edit changes",
    )
    parser.add_argument(
        "--root",
        action="append",
        default=[],
        metavar="PATH",
        help="another spelling of the working directory, as a link to it (may be repeated)",
    )


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--scoring` and `--weight`."""
    parser.add_argument(
        "--scoring",
        choices=("aligned", "positional"),
        default="aligned",
        help="positional: the older score, index by index (default: %(default)s)",
    )
    parser.add_argument(
        "--weight",
        action="append",
        default=[],
        type=weight,
        metavar="NAME=W",
        help="how much a tool's calls count; also hook_event, skill_invocation, file_state",
    )


def fraction(text: str) -> float:
    """Parse a score: a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value


def weight(text: str) -> tuple[str, float]:
    """Parse `Bash=2`."""
    name, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not name or not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a NAME=W, with W a number from 0")
    return name, value


def workspace_of(fixture: Path | None) -> Path | None:
    """Return a fixture's starting files.

    Raises:
        CcpaError: the directory has none.
    """
    if fixture is None:
        return None
    workspace = fixture / "workspace"
    if not workspace.is_dir():
        raise CcpaError(f"{fixture}: no workspace/ in it; --fixture takes a fixture's directory")
    return workspace


def number(value: float | None) -> str:
    """Return a score as people read it, rounded down: 0.79999 must not look like a pass."""
    return "none" if value is None else f"{math.floor(value * 10000) / 10000:.4f}"


def print_verdict(judged: Verdict, rest: str) -> None:
    """Print the verdict and, on the same line, what it rests on; in colour on a terminal."""
    word = judged.upper()
    if not on_terminal():
        print(f"{word}  {rest}")
        return
    from rich.text import Text

    console().print(Text.assemble((word, f"bold {STYLES[judged]}"), f"  {rest}"))


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector out: a comparison makes no cycles, and looking costs a third."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()  # else the collector's first act is to look at all of it after all
            gc.enable()
