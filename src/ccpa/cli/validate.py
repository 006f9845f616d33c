"""`ccpa validate`: are these files traces?"""

import argparse
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from ccpa.console import console, on_terminal, one_line
from ccpa.errors import CcpaError
from ccpa.validate import Report, check

HELP = "check that traces have the right shape and make sense"

_EPILOG = """\
examples:
  ccpa validate run.ccpa-trace.jsonl          one trace
  ccpa validate 'fixtures/**/*.jsonl'         many; ** goes through all folders below
  apr code --emit-trace /dev/stdout -p '...' | ccpa validate -
  ccpa validate --prefix crashed.jsonl        a trace that a crash cut short

Every fault is told with file, line and field, one a line when piped. docs/trace.md has the rules.
exit status: 0 all are valid, 1 some are not, 2 some could not be read"""

_STDIN = "-"
_DEFAULT_MAX_ERRORS = 20


class Checked(Struct, kw_only=True):
    """One file's outcome: a report, or why it could not be read."""

    name: str
    report: Report | None = None
    unreadable: str | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ccpa validate`."""
    parser.epilog = _EPILOG
    parser.add_argument("files", nargs="+", metavar="FILE", help="a trace, a glob, or - for stdin")
    parser.add_argument(
        "--prefix",
        action="store_true",
        help="accept a trace cut short, even in the middle of a line",
    )
    parser.add_argument(
        "--version",
        type=int,
        choices=(2, 3),
        help="the schema version to conform to (default: what the trace says, else 3)",
    )
    parser.add_argument(
        "--max-errors",
        type=_count,
        default=_DEFAULT_MAX_ERRORS,
        metavar="N",
        help="list at most N errors of each file, 0 for all (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Check the files, print what was found, and return the exit status."""
    checked = (_checked(name, args) for name in expand(args.files))
    if args.json:
        outcomes = list(checked)
        print(json.dumps(_as_json(outcomes), indent=2))
    elif on_terminal():
        outcomes = _show(checked)
    else:
        outcomes = _print(checked)
    if any(outcome.report is None for outcome in outcomes):
        return CcpaError.exit_code
    return 0 if all(outcome.report and outcome.report.valid for outcome in outcomes) else 1


def expand(names: list[str]) -> list[str]:
    """Return the files that names and globs stand for, each once, globs in sorted order.

    Symbolic links to folders are not followed by `**`, so a loop of them ends nothing.

    Raises:
        CcpaError: a glob stands for nothing.
    """
    files: dict[str, None] = {}
    for name in names:
        if name == _STDIN or not set(name) & set("*?[") or os.path.lexists(name):
            files[name] = None
            continue
        found = sorted(str(path) for path in _glob(name) if not path.is_dir())
        if not found:
            raise CcpaError(f"no file matches {one_line(name)}")
        files.update(dict.fromkeys(found))
    return list(files)


def _glob(pattern: str) -> Iterator[Path]:
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if set(part) & set("*?["))
    try:
        yield from Path(*parts[:fixed]).glob(str(Path(*parts[fixed:])))
    except (ValueError, OSError) as error:
        raise CcpaError(f"cannot expand {one_line(pattern)}: {error}") from None


def _checked(name: str, args: argparse.Namespace) -> Checked:
    try:
        return Checked(name=name, report=_report(name, args))
    except IsADirectoryError:
        example = one_line(str(Path(name) / "*.jsonl"))
        return Checked(name=name, unreadable=f"is a directory; name the traces in it: {example}")
    except OSError as error:
        return Checked(name=name, unreadable=error.strerror or str(error))


def _report(name: str, args: argparse.Namespace) -> Report:
    limit = args.max_errors or None
    if name == _STDIN:
        if sys.stdin is None:  # so Python says that it was started without one
            raise OSError("there is no standard input")
        stream = sys.stdin.buffer
        return check(stream, version=args.version, prefix=args.prefix, max_problems=limit)
    with Path(name).open("rb") as stream:
        status = os.fstat(stream.fileno())
        if stat.S_ISCHR(status.st_mode) and not stream.isatty():
            raise OSError("is a device, which may never end")
        return check(stream, version=args.version, prefix=args.prefix, max_problems=limit)


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def _print(checked: Iterator[Checked]) -> list[Checked]:
    """Print one fact a line, for programs: `file:line: field: message`."""
    outcomes = []
    for outcome in checked:
        outcomes.append(outcome)
        name = one_line(outcome.name)
        report = outcome.report
        if report is None:
            print(f"ccpa: {name}: {outcome.unreadable}", file=sys.stderr)
            continue
        for problem in report.problems:
            place = f"{name}:{problem.line}: {one_line(problem.field)}"
            print(f"{place}: {one_line(problem.message)}")
        hidden = report.problem_count - len(report.problems)
        more = f" ({hidden:,} of them not listed: --max-errors 0 lists all)" if hidden else ""
        print(f"{name}: {_summary(report)}{more}")
    return outcomes


def _show(checked: Iterator[Checked]) -> list[Checked]:
    """Show a person the outcome of each file, with its errors under it."""
    from rich.table import Table
    from rich.text import Text

    screen = console()
    outcomes = []
    for outcome in checked:
        outcomes.append(outcome)
        report = outcome.report
        good = report is not None and report.valid
        mark = Text("✓ ", "green") if good else Text("✗ ", "red")
        summary = outcome.unreadable if report is None else _summary(report)
        style = "green" if good else "red"
        screen.print(mark + Text(one_line(outcome.name), "bold") + Text(f"  {summary}", style))
        if report is None or good:
            continue
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", style="dim", no_wrap=True)
        table.add_column(style="cyan", overflow="fold", max_width=32)
        table.add_column(overflow="fold")
        for problem in report.problems:
            row = f"  line {problem.line}", one_line(problem.field), one_line(problem.message)
            table.add_row(*row)
        if hidden := report.problem_count - len(report.problems):
            table.add_row("", "", Text(f"and {hidden:,} more: --max-errors 0 lists all", "dim"))
        screen.print(table)
    return outcomes


def _summary(report: Report) -> str:
    records = _counted(report.records, "record")
    if report.valid:
        return f"valid, {records}" + (", then a line cut short" if report.cut else "")
    return f"invalid, {_counted(report.problem_count, 'error')}, {records}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _as_json(outcomes: list[Checked]) -> dict[str, object]:
    return {
        "valid": all(outcome.report is not None and outcome.report.valid for outcome in outcomes),
        "files": [_file_as_json(outcome) for outcome in outcomes],
    }


def _file_as_json(outcome: Checked) -> dict[str, object]:
    report = outcome.report
    if report is None:
        return {"file": outcome.name, "valid": False, "unreadable": outcome.unreadable}
    return {
        "file": outcome.name,
        "valid": report.valid,
        "records": report.records,
        "cut": report.cut,
        "error_count": report.problem_count,
        "errors": [
            {"line": problem.line, "field": problem.field, "message": problem.message}
            for problem in report.problems
        ],
    }
