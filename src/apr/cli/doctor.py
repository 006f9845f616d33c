"""`apr doctor`: what works here, what does not, and what to do about it."""

import argparse
import os
import sys
from pathlib import Path

import msgspec

from apr.directories import directory
from apr.doctor.finding import Finding
from apr.legible import legible
from apr.ui.terminal import plain

EPILOG = """\
examples:
  apr doctor
  apr doctor -C ../other-project
  apr doctor --json | jq -r '.findings[] | select(.state != "ok") | .do'

Nothing is changed, no model is loaded, no MCP server is started.
exit codes: 0 nothing is broken, 1 something is, 2 wrong usage."""

_MARKS = {"ok": "ok", "note": "note", "broken": "BROKEN"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Check the engine, the model, the sandbox, the terminal, the settings."
    parser.epilog = EPILOG
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("-C", metavar="DIR", dest="root", default=".", help="the project")


def run(args: argparse.Namespace) -> int:
    """Check and tell; return the exit code."""
    root = directory(Path(), args.root)
    from apr.doctor.checks import findings

    found = []
    for finding in findings(root, os.environ):
        found.append(finding)
        if not args.json:
            _tell(finding)
    if args.json:
        sys.stdout.write(legible(msgspec.json.encode({"findings": found}).decode()) + "\n")
    return 1 if any(finding.state == "broken" for finding in found) else 0


def _tell(finding: Finding) -> None:
    says = plain(legible(finding.says)).replace("\n", " ")
    print(f"{_MARKS[finding.state]:<7} {plain(legible(finding.about))}: {says}", flush=True)
    if finding.do:
        print(f"        -> {plain(legible(finding.do))}", flush=True)
