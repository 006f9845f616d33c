"""The `apr` command. A subcommand's module is imported only when it is used."""

import argparse
import contextlib
import gc
import importlib
import io
import os
import sys
from collections.abc import Collection, Iterable
from typing import Protocol

from apr import __version__
from apr.errors import AprError
from apr.ui.terminal import plain

COMMANDS = {
    "acp": "serve the agent to an editor (Agent Client Protocol)",
    "bench": "measure how fast a model is here, and what apr adds to llama.cpp",
    "code": "work on a task in a project, with a model on this machine",
    "completion": "print what makes a shell complete apr's commands",
    "config": "show the settings and who set them; read or change one",
    "decide": "say what a model would do next, for each decision of recorded sessions",
    "doctor": "check what works here, and say what to do about the rest",
    "engine": "serve a local model, see or stop the engines that run",
    "init": "write a first APR.md by looking at the project",
    "list": "list the models on this disk: size, kind, where",
    "mcp": "list, add, remove and try MCP servers, or offer apr's own tools as one",
    "memory": "show the instruction files that the model is given",
    "models": "list the models on this disk, and say which one is used and why",
    "plugin": "add, list, turn on and off what others have made for the agent",
    "pull": "fetch a model from the hub or a URL",
    "rm": "remove a model from the disk",
    "run": "ask a model something, or chat with it",
    "serve": "serve a model to other programs, as OpenAI and Anthropic do",
    "sessions": "list, show, search, remove and export the sessions of a project",
    "show": "say what a model is, and what it needs",
    "verify": "compare the engine with transformers on the same weights",
}
INTERRUPTED = 130
_OF_APR = {"-h", "--help", "-v", "--version"}

EPILOG = """\
examples:
  apr code "fix the failing test"
  apr code --model ./qwen3-coder.gguf --permission-mode acceptEdits "rename Foo to Bar"
  apr engine status

Options without a command are those of `apr code`: apr -p "fix the failing test"
exit codes: 0 done, 1 the run failed, 2 wrong usage or input, 3 no such model, 130 interrupted.
Each command has its own --help."""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help as it is written. Without a width argparse imports shutil to find one: 5 ms a start."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns())


class Command(Protocol):
    """What a module of this package offers."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments, description and examples."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it; return the exit code."""
        ...


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    _open_streams()
    try:
        gc.disable()  # imports make no garbage, and looking for it takes 5 % of the start
        args, command = _parse(argv)
        gc.freeze()  # what was imported stays: no later look goes through it
        gc.set_threshold(20_000, 10, 10)  # and most of a start is imports still
        gc.enable()
        code = command.run(args)
        sys.stdout.flush()
    except AprError as error:
        _say(plain(str(error)))
        code = error.exit_code
    except KeyboardInterrupt:
        _say("interrupted")
        code = INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone
        code = 1
    except OSError as error:  # a full disk, most likely
        _say(plain(str(error)))
        code = 1
    _flush_streams()
    return code


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"apr: {text}", file=sys.stderr)


def _open_streams() -> None:
    """See to it that there are all three streams, and that they take any text.

    Where one is closed, the next file that is opened, a trace perhaps, would get its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - until we exit
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _flush_streams() -> None:
    """Write what is left. Where that fails, drop it: Python would complain once more at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _columns() -> int:
    try:
        return min(os.get_terminal_size().columns, 100) - 2
    except (OSError, ValueError):
        return 78


def _parse(argv: list[str]) -> tuple[argparse.Namespace, Command]:
    if argv and argv[0].startswith("-") and argv[0] not in _OF_APR:
        argv = ["code", *argv]  # programs that drive an agent start it with options alone
    wanted = argv[0] if argv and argv[0] in COMMANDS else None
    # Each parser takes a start 0.2 ms, and what a command takes is in its module.
    parser, commands = parser_of([wanted] if wanted else COMMANDS, [wanted] if wanted else ())
    command = commands.get(wanted) if wanted else None
    if not argv:
        parser.print_help(sys.stderr)
        parser.exit(2)
    args = parser.parse_args(argv)
    if command is None:  # argparse has refused already whatever is no command
        parser.error("a command is required")
    return args, command


def parser_of(
    names: Iterable[str], configured: Collection[str]
) -> tuple[argparse.ArgumentParser, dict[str, Command]]:
    """Return the parser of these commands, and those whose arguments are declared, by name."""
    parser = argparse.ArgumentParser(
        prog="apr",
        description="A coding agent for open-weight models on your own machine.",
        epilog=EPILOG,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-v", "--version", action="version", version=f"apr {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands: dict[str, Command] = {}
    for name in names:
        sub = subparsers.add_parser(
            name, help=COMMANDS[name], formatter_class=HelpFormatter, allow_abbrev=False
        )
        if name in configured:
            commands[name] = importlib.import_module(f"apr.cli.{name}")
            commands[name].configure(sub)
    return parser, commands


if __name__ == "__main__":
    sys.exit(main())
