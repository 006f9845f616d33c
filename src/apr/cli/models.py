"""`apr models`: the models on this disk, in the order in which `apr` would choose them."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from apr.legible import legible
from apr.ui.amounts import size
from apr.ui.terminal import line

if TYPE_CHECKING:
    from apr.models.discovery import Survey
    from apr.models.ranking import Ranked

EPILOG = """\
examples:
  apr models
  apr models --why
  apr models --json | jq -r '.models[] | select(.problem == null) | .name'

The first is what `apr code` uses where neither --model, nor APR_MODEL, nor the settings name one;
what does not fit in the memory that is free is passed over, if there is anything that does.
Order: those that work, preferred names, what fits in memory, the newest.
exit codes: 0 there is a model that works, 3 there is none."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "List the models on this disk, the best first."
    parser.epilog = EPILOG
    add = parser.add_argument
    add("--why", action="store_true", help="say why each stands there, and where was looked")
    add("--json", action="store_true", help="print a JSON object: all of that, for programs")


def run(args: argparse.Namespace) -> int:
    """Print the ranking; return the exit code."""
    from apr.models.discovery import survey
    from apr.models.ranking import best
    from apr.models.resolve import ranking

    seen = survey(os.environ, Path())
    ranked = ranking(seen)
    chosen = best(ranked)
    if args.json:
        print(msgspec.json.encode(_as_data(seen, ranked, chosen)).decode())
    else:
        _show(ranked, chosen, why=args.why)
        if args.why:
            _show_places(seen)
        if chosen is None:
            _advise()
    return 0 if chosen else 3


def _show(ranked: Sequence["Ranked"], chosen: "Ranked | None", *, why: bool) -> None:
    names = [line(one.model.name) for one in ranked]
    width = min(max(map(len, names), default=0), 60)
    for number, (one, name) in enumerate(zip(ranked, names, strict=True), start=1):
        model = one.model
        mark = "*" if one is chosen else " "
        kind = model.info.quantisation if model.info else "broken"
        print(f"{mark}{number:>3}  {name:<{width}}  {kind:<8} {size(model.size):>9}  {model.store}")
        if why:
            print(f"      {line(one.reason)}")
            print(f"      {line(str(model.path))}")


def _show_places(seen: "Survey") -> None:
    if seen.others:
        print("\nNo models to talk to:")
        for other in seen.others:
            print(f"      {line(other.name)}: {line(other.problem or '')}")
    print("\nLooked in:")
    for place in seen.places:
        what = f"{place.count} found" if place.there else "not there"
        print(f"      {line(str(place.path))}: {what}")
        for trouble in place.trouble:
            print(f"        {line(trouble)}")


def _advise() -> None:
    print(
        "apr: no model that works. Fetch one with: apr pull qwen3-coder\n"
        "Or use --model demo, a tiny model that comes with apr.",
        file=sys.stderr,
    )


def _as_data(seen: "Survey", ranked: Sequence["Ranked"], chosen: "Ranked | None") -> dict[str, Any]:
    """Return the whole of it in JSON's types."""
    return {
        "models": [
            {
                "name": legible(one.model.name),
                "path": legible(str(one.model.path)),
                "store": one.model.store,
                "size": one.model.size,
                "changed": one.model.mtime,
                "chosen": one is chosen,
                "preferred": one.preferred.name if one.preferred else None,
                "fits": one.fits,
                "reason": legible(one.reason),
                "problem": legible(one.model.problem) if one.model.problem else None,
                **_details(one),
            }
            for one in ranked
        ],
        "others": [
            {"path": legible(str(other.path)), "problem": legible(other.problem or "")}
            for other in seen.others
        ],
        "places": [
            {
                "label": place.label,
                "path": legible(str(place.path)),
                "there": place.there,
                "count": place.count,
                "trouble": [legible(text) for text in place.trouble],
            }
            for place in seen.places
        ],
    }


def _details(one: "Ranked") -> dict[str, Any]:
    info = one.model.info
    return {
        "architecture": legible(info.architecture) if info else None,
        "quantisation": info.quantisation if info else None,
        "parameters": info.parameters if info else None,
        "context_length": info.context_length if info else None,
    }
