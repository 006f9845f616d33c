"""`ccpa coverage`: which capabilities do the fixtures really show?"""

import argparse
from pathlib import Path

import msgspec

from ccpa.console import console, on_terminal, one_line
from ccpa.coverage import CaseCoverage, Coverage, default_matrix, load_matrix, measure
from ccpa.fixtures import load_corpus

HELP = "say which capabilities have a fixture whose trace shows them"

_EPILOG = """\
examples:
  ccpa coverage                        the fixtures of this directory
  ccpa coverage my-fixtures --json     as JSON, with the fixtures of every case

A fixture that declares a capability (`covers`) counts only if its teacher trace shows it; a
declaration that the trace does not bear out is an error. docs/fixtures.md has the rules.
exit status: 0 every observable capability is covered, 1 some are not, 2 unusable input"""

_STYLES = {"covered": "green", "partial": "yellow", "uncovered": "red", "unobservable": "dim"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ccpa coverage`."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "directory",
        nargs="?",
        type=Path,
        default=Path("fixtures/canonical"),
        metavar="DIR",
        help="the corpus (default: %(default)s)",
    )
    parser.add_argument(
        "--matrix", type=Path, metavar="FILE", help="the capabilities (default: the built-in ones)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measure, print, and return the exit status."""
    coverage = measure(load_matrix(args.matrix or default_matrix()), load_corpus(args.directory))
    if args.json:
        answer = msgspec.to_builtins(coverage) | {"complete": coverage.complete}
        print(msgspec.json.format(msgspec.json.encode(answer)).decode())
    elif on_terminal():
        _show(coverage)
    else:
        _print(coverage)
    for error in coverage.errors:
        console(stderr=True).print(one_line(error), style="red")
    return 0 if coverage.complete else 1


def _print(coverage: Coverage) -> None:
    for row in coverage.rows:
        print(f"{row.status}\t{row.id}\t{_found(row.cases)}")
        for case in row.cases:
            print(f"\t{case.name}\t{one_line(' '.join(case.fixtures)) or '-'}")


def _show(coverage: Coverage) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("capability", "status", "cases", "shown by", "remarks", box=None)
    for row in coverage.rows:
        fixtures = {name for case in row.cases for name in case.fixtures}
        missing = ", ".join(case.name for case in row.cases if not case.fixtures)
        shown = f"{len(fixtures)} fixtures" if len(fixtures) > 1 else "".join(fixtures)
        table.add_row(
            row.id,
            Text(row.status, _STYLES[row.status]),
            _found(row.cases),
            one_line(shown),
            missing or one_line(row.reason or ""),
        )
    console().print(table)


def _found(cases: tuple[CaseCoverage, ...]) -> str:
    return f"{sum(bool(case.fixtures) for case in cases)}/{len(cases)}" if cases else "-"
