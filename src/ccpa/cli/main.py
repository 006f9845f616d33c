"""The `ccpa` command: finds the subcommand, and is the last to see an error.

A subcommand is a module of this package with `HELP`, `configure(parser)` and `run(args)`. It is
imported only when it is used, so that `ccpa --help` and every subcommand start fast.
"""

import argparse
import gc
import importlib
import io
import keyword
import os
import signal
import sys
from collections.abc import Collection, Sequence
from typing import Protocol, cast

from ccpa.console import plain
from ccpa.errors import CcpaError

COMMANDS = {
    "validate": "check that traces have the right shape and make sense",
    "diff": "compare a student's trace with a teacher's: the score, and every drift",
    "explain": "one drift in full: both sides, what surrounds them, and why it is one",
    "corpus": "score many pairs of traces, and gate on the result",
    "files": "say whether two directories hold the same files",
    "coverage": "say which capabilities have a fixture whose trace shows them, or tests that do",
    "import": "turn transcripts of other programs into traces",
    "export": "turn traces into what other programs read",
    "measure": "let a live model drive the agent, N times, and score the runs",
    "runs": "list, compare and export what `ccpa measure` has kept",
    "record": "run any agent and write its trace from what goes over the wire",
    "replay": "play recorded sessions to an agent, and compare what it makes of them",
    "completion": "print what makes a shell complete the commands of ccpa",
    "schema": "print the JSON Schema of a trace's records",
}

INTERRUPTED = 128 + signal.SIGINT
PIPE_CLOSED = 128 + 13  # SIGPIPE, which Windows does not have

_DESCRIPTION = """\
The meter of coding agents: reads the action traces of any agent, checks them, aligns two of them,
and says how near one comes to the other and where it drifts."""

_EPILOG = """\
examples:
  ccpa validate run.ccpa-trace.jsonl      is this a sound trace?
  ccpa COMMAND --help                     what COMMAND does, with examples

exit status: 0 all well, 1 a check or gate failed, 2 wrong usage or unusable input"""


class Subcommand(Protocol):
    """What a module of this package offers."""

    HELP: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the subcommand's arguments, description and examples."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it, and return the exit status."""


def load(name: str) -> Subcommand:
    """Import a subcommand's module. `import` lives in `import_.py`, as PEP 8 spells such names."""
    module = name + "_" if keyword.iskeyword(name) else name
    return cast("Subcommand", importlib.import_module(f"ccpa.cli.{module}"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run `ccpa` and return its exit status: 0, 1 (gate), 2 (usage or input), 130 (Ctrl-C)."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name need not be text that can be encoded
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except CcpaError as error:
        print(f"ccpa: {plain(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough. The interpreter must not find that out again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return status


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help as it is written. Without a width argparse imports shutil to find one: 5 ms a start."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns())


def _columns() -> int:
    try:
        return min(os.get_terminal_size().columns, 100) - 2
    except (OSError, ValueError):
        return 78


def parser_of(names: Collection[str], configured: Collection[str]) -> argparse.ArgumentParser:
    """Return the parser of these subcommands; the modules of those `configured` are imported."""
    parser = argparse.ArgumentParser(
        prog="ccpa",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("-v", "--version", action=_Version)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in names:
        summary = COMMANDS[name]
        subparser = subparsers.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=HelpFormatter,
        )
        if name in configured:
            command = load(name)
            command.configure(subparser)
            subparser.set_defaults(run=command.run)
    return parser


def _run(arguments: list[str]) -> int:
    gc.disable()  # imports make no garbage, and looking for it takes 5 % of the start
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    if chosen in COMMANDS:  # the other parsers nobody will ask anything
        args = parser_of([chosen], [chosen]).parse_args(arguments)
    else:
        args = parser_of(COMMANDS, ()).parse_args(arguments)
    gc.enable()
    return cast("int", args.run(args))


class _Version(argparse.Action):
    """Prints the installed version, which takes reading package metadata, only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"ccpa {version('apr-code')}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
