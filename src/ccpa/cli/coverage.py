"""`ccpa coverage`: which capabilities do the fixtures really show, and which do the tests?"""

import argparse
from pathlib import Path

import msgspec

from ccpa.console import console, on_terminal, one_line
from ccpa.coverage import CaseCoverage, Coverage, default_matrix, load_matrix, measure
from ccpa.fixtures import load_corpus
from ccpa.testreport import read_reports

HELP = "say which capabilities have a fixture whose trace shows them, or tests that do"

_EPILOG = """\
examples:
  ccpa coverage                        the fixtures of this directory
  ccpa coverage my-fixtures --json     as JSON, with the fixtures of every case
  pytest --junitxml=report.xml; ccpa coverage --tests report.xml

A fixture that declares a capability (`covers`) counts only if its teacher trace shows it; a
declaration that the trace does not bear out is an error. What no trace can show is shown by tests
that the matrix names, if the report of a run says that they passed; without one it is not derived.
docs/fixtures.md has the rules.
exit status: 0 every capability is covered, 1 some are not or cannot be told, 2 unusable input"""

_STYLES = {"covered": "green", "partial": "yellow", "uncovered": "red", "not derived": "dim"}


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
    parser.add_argument(
        "--tests",
        action="append",
        type=Path,
        metavar="FILE",
        help="the report of a run of the tests (JUnit XML); again for each part of it",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measure, print, and return the exit status."""
    matrix = load_matrix(args.matrix or default_matrix())
    report = read_reports(args.tests) if args.tests else None
    coverage = measure(matrix, load_corpus(args.directory), report)
    if args.json:
        answer = msgspec.to_builtins(coverage) | {"complete": coverage.complete}
        print(msgspec.json.format(msgspec.json.encode(answer)).decode())
    elif on_terminal():
        _show(coverage)
    else:
        _print(coverage)
    if any(row.status == "not derived" for row in coverage.rows):
        hint = "not derived: what tests show needs the report of a run: ccpa coverage --tests FILE"
        console(stderr=True).print(hint)
    for error in coverage.errors:
        console(stderr=True).print(one_line(error), style="red")
    return 0 if coverage.complete else 1


def _print(coverage: Coverage) -> None:
    for row in coverage.rows:
        print(f"{row.status}\t{row.id}\t{_found(row.cases)}")
        for case in row.cases:
            print(f"\t{case.name}\t{one_line(_shown_by(case)) or '-'}")


def _show(coverage: Coverage) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("capability", "status", "cases", "shown by", "remarks", box=None)
    for row in coverage.rows:
        missing = ", ".join(case.name for case in row.cases if case.derived and not case.shown)
        table.add_row(
            row.id,
            Text(row.status, _STYLES[row.status]),
            _found(row.cases),
            one_line(_in_short(row.cases)),
            one_line(missing),
        )
    console().print(table)


def _shown_by(case: CaseCoverage) -> str:
    """Return the fixtures or tests that show a case; of tests, also those that did not pass."""
    failed = (f"not passed: {test}" for test in case.not_passed)
    return " ".join([*case.fixtures, *case.tests, *failed])


def _in_short(cases: tuple[CaseCoverage, ...]) -> str:
    fixtures = {name for case in cases for name in case.fixtures}
    tests = {name for case in cases for name in case.tests}
    counted = [f"{len(fixtures)} fixtures" if len(fixtures) > 1 else "".join(fixtures)]
    counted.append(f"{len(tests)} test{'s' if len(tests) > 1 else ''}" if tests else "")
    return ", ".join(filter(None, counted))


def _found(cases: tuple[CaseCoverage, ...]) -> str:
    return f"{sum(case.shown for case in cases)}/{len(cases)}"
