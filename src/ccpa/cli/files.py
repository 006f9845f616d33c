"""`ccpa files`: do two directories hold the same?"""

import argparse
from pathlib import Path
from typing import Any

import msgspec

from ccpa.console import one_line
from ccpa.errors import CcpaError
from ccpa.filestate import DEFAULT_EXCLUDES, FileState, compare_directories
from ccpa.sameness import FORMATTERS, Forgive

HELP = "say whether two directories hold the same files"

_EPILOG = f"""\
examples:
  ccpa files expected/ outcome/                   byte for byte
  ccpa files a/ b/ --forgive                      JSON, TOML, YAML by value; Markdown's end spaces
  ccpa files a/ b/ --forgive --python             and Python by its syntax tree (no comments)
  ccpa files a/ b/ --formatter .go=gofmt          and Go as gofmt would write it
  ccpa files a/ b/ --exclude '*.log' '!keep.log'  more exclusions, in gitignore syntax

Files that git would ignore do not count. Excluded unless --no-default-excludes is given, but listed
where they differ: {" ".join(DEFAULT_EXCLUDES)}
formatters: {" ".join(FORMATTERS)}
exit status: 0 the same, 1 not the same, 2 unusable input"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ccpa files`."""
    parser.epilog = _EPILOG
    parser.add_argument("left", type=Path, metavar="LEFT", help="a directory")
    parser.add_argument("right", type=Path, metavar="RIGHT", help="another")
    parser.add_argument(
        "--forgive", action="store_true", help="compare data by value, Markdown without end spaces"
    )
    parser.add_argument(
        "--python", action="store_true", help="compare Python by its syntax tree (no comments)"
    )
    parser.add_argument(
        "--formatter",
        action="append",
        default=[],
        metavar="SUFFIX=NAME",
        help="what this formatter makes equal is equal (repeatable)",
    )
    parser.add_argument(
        "--exclude", nargs="+", default=[], metavar="PATTERN", help="in gitignore syntax"
    )
    parser.add_argument(
        "--no-default-excludes", action="store_true", help="compare lock files and the like too"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Compare, print, and return the exit status."""
    defaults = () if args.no_default_excludes else DEFAULT_EXCLUDES
    try:
        state = compare_directories(
            args.left, args.right, forgive=_forgive(args), exclude=(*defaults, *args.exclude)
        )
    except OSError as error:
        raise CcpaError(f"{one_line(str(error.filename))}: {error.strerror}") from None
    if args.json:
        answer: dict[str, Any] = msgspec.to_builtins(state) | {"equal": state.equal}
        print(msgspec.json.format(msgspec.json.encode(_printable(answer))).decode())
    else:
        _print(state)
    return 0 if state.equal else 1


def _forgive(args: argparse.Namespace) -> Forgive | None:
    formatters = {}
    for text in args.formatter:
        suffix, equals, name = text.partition("=")
        if not equals or not suffix.startswith("."):
            raise CcpaError(f"--formatter {text}: give it as SUFFIX=NAME, as .go=gofmt")
        formatters[suffix] = name
    if not (args.forgive or args.python or formatters):
        return None
    return Forgive(
        markdown=args.forgive,
        data=args.forgive,
        notebooks=args.forgive,
        python=args.python,
        formatters=formatters,
    )


def _print(state: FileState) -> None:
    for difference in state.differences:
        note = f" ({one_line(difference.note)})" if difference.note else ""
        print(f"{difference.kind}\t{one_line(difference.path)}{note}")
    for path in state.unreadable:
        print(f"unreadable\t{one_line(path)}")
    for forgiven in state.forgiven:
        print(f"forgiven\t{one_line(forgiven.path)} (by {forgiven.rule})")
    for excluded in state.excluded:
        print(f"excluded\t{one_line(excluded.path)} ({excluded.kind})")
    print(f"{'the same' if state.equal else 'not the same'}: {state.compared} paths compared")


def _printable(value: Any) -> Any:
    """Return the value with file names that are no text spelled out, which JSON cannot hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    return value
