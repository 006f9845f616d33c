"""`apr memory`: the instruction files that the model is given here."""

import argparse
import json
import os
import sys
from pathlib import Path

from apr.cli.options import setting_sources
from apr.errors import AprError
from apr.legible import legible
from apr.memory import BUDGET, Memory, Piece, load, nested, render, tokens
from apr.settings import SOURCES
from apr.settings import load as load_settings
from apr.ui.terminal import line, plain

EPILOG = """\
examples:
  apr memory
  apr memory --touch src/api/users.ts
  apr memory --text
  apr memory --json | jq '[.files[].tokens] | add'

Tokens are an estimate: one for four characters."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Show the instruction files that the model is given, and their size."
    parser.epilog = EPILOG
    add = parser.add_argument
    add("--show", action="store_true", help="list the files (the default)")
    add("--text", action="store_true", help="print the text as the model gets it")
    add("--touch", metavar="FILE", action="append", default=[], help="as after reading FILE")
    add("--json", action="store_true", help="print JSON")
    add("-C", metavar="DIR", dest="root", default=".", help="the project's directory")
    add("--setting-sources", metavar="LIST", type=setting_sources, default=SOURCES)


def run(args: argparse.Namespace) -> int:
    """Print what is loaded; return the exit code."""
    root = Path(args.root).resolve()
    if not root.is_dir():
        raise AprError(f"not a directory: {args.root}")
    settings = load_settings(root, os.environ, sources=args.setting_sources)
    memory = load(
        root,
        os.environ,
        sources=args.setting_sources,
        excluded=settings.claude_md_excludes,
        budget=settings.apr.memory_budget or BUDGET,
    )
    for name in args.touch:
        nested(memory, (root / name).resolve())
    for notice in memory.notices:
        print(f"apr: {plain(legible(notice))}", file=sys.stderr)
    if args.json:
        print(json.dumps({"files": [_data(piece) for piece in memory.pieces]}))
    elif args.text:
        print(plain(render(memory.pieces)))
    else:
        _show(memory)
    return 0


def _show(memory: Memory) -> None:
    if not memory.pieces and not memory.waiting:
        print("apr: no instruction files", file=sys.stderr)
        return
    rows = [("KIND", "TOKENS", "FILE", "")]
    rows += [
        (p.kind, f"~{tokens(p.text):,}", line(str(p.path)), line(p.why)) for p in memory.pieces
    ]
    rows += [(p.kind, "-", line(str(p.path)), line(p.why)) for _, p in memory.waiting]
    rows.append(("in all", f"~{tokens(render(memory.pieces)):,}", "", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for kind, count, path, why in rows:
        row = f"{kind:<{widths[0]}}  {count:>{widths[1]}}  {path:<{widths[2]}}  {why}"
        print(row.rstrip())


def _data(piece: Piece) -> dict[str, object]:
    return {
        "path": legible(str(piece.path)),
        "kind": piece.kind,
        "imported_by": legible(str(piece.imported_by)) if piece.imported_by else None,
        "paths": list(piece.paths),
        "characters": len(piece.text),
        "characters_in_file": piece.size,
        "tokens": tokens(piece.text),
        "tokens_are": "estimated",
    }
