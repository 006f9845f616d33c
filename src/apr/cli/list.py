"""`apr list`: the models on this disk."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from apr.home import home
from apr.legible import legible
from apr.ui.amounts import size
from apr.ui.terminal import line

if TYPE_CHECKING:
    from apr.models.discovery import Found

EPILOG = """\
examples:
  apr list
  apr list --json | jq -r '.[] | select(.problem == null) | .name'

These are all that apr finds, whoever fetched them. Which it would use, and why: apr models --why"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "List the models on this disk."
    parser.epilog = EPILOG
    parser.add_argument("--json", action="store_true", help="print a JSON array")


def run(args: argparse.Namespace) -> int:
    """Print the table; return the exit code."""
    from apr.models.discovery import survey
    from apr.models.removal import HUB, unfinished

    seen = survey(os.environ, Path())
    if args.json:
        print(msgspec.json.encode([_data(model) for model in seen.models]).decode())
    else:
        _show(seen.models)
    cache = next(place.path for place in seen.places if place.label == HUB)
    left = unfinished(home(os.environ) / "models", cache)
    if left and not args.json:
        print(
            f"apr: what unfinished downloads have left takes {size(sum(n for _, n in left))}: "
            "apr pull goes on from there, apr rm --unfinished removes it",
            file=sys.stderr,
        )
    return 0


def _show(models: "Sequence[Found]") -> None:
    if not models:
        print("apr: no models. Fetch one with: apr pull qwen3-coder", file=sys.stderr)
        return
    rows = [("NAME", "SIZE", "QUANTISATION", "ARCHITECTURE", "MODIFIED", "WHERE")]
    for model in models:
        info = model.info
        rows.append(
            (
                line(model.name),
                size(model.size),
                info.quantisation if info else "broken",
                line(info.architecture) if info else "",
                time.strftime("%Y-%m-%d %H:%M", time.localtime(model.mtime)),
                model.store,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _data(model: "Found") -> dict[str, object]:
    info = model.info
    return {
        "name": legible(model.name),
        "path": legible(str(model.path)),
        "files": [legible(str(part)) for part in model.parts],
        "size": model.size,
        "quantisation": info.quantisation if info else None,
        "architecture": legible(info.architecture) if info else None,
        "store": model.store,
        "modified": model.mtime,
        "problem": legible(model.problem) if model.problem else None,
    }
