"""`apr init`: write a first `APR.md` by looking at the project."""

import argparse
import sys
from pathlib import Path

from apr.directories import directory
from apr.ui.terminal import plain

EPILOG = """\
examples:
  apr init
  apr init --stdout
  apr init --force -C ../other-project

APR.md is what the model reads before it begins. What is written is short, and each line comes from
a file that is there: manifests, Makefile, CI, formatters, the layout. What CLAUDE.md or AGENTS.md
say already is imported. No model is asked; change the file as you like.
exit codes: 0 written or shown, 2 there is one already, or nothing to tell of."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Write a first APR.md by looking at the project. No model is asked."
    parser.epilog = EPILOG
    add = parser.add_argument
    add("-C", metavar="DIR", dest="root", default=".", help="the project (default: here)")
    add("--force", action="store_true", help="replace an APR.md that is there")
    add("--stdout", "--dry-run", action="store_true", help="print it instead of writing it")


def run(args: argparse.Namespace) -> int:
    """Write or print it; return the exit code."""
    from apr.init import describe, write

    root = directory(Path(), args.root)
    if args.stdout:
        sys.stdout.write(describe(root))
    else:
        path = write(root, force=args.force)
        print(f"{plain(str(path))} is written: read it, and change what you know better.")
    return 0
