"""`ccpa completion`: a script that makes a shell complete the commands of ccpa."""

import argparse
from collections.abc import Iterator

HELP = "print what makes a shell complete the commands of ccpa"

_EPILOG = """\
examples:
  ccpa completion bash >> ~/.bash_completion
  ccpa completion zsh > ~/.zfunc/_ccpa            with `fpath+=~/.zfunc` above compinit in ~/.zshrc
  ccpa completion fish > ~/.config/fish/completions/ccpa.fish"""

_FILES = frozenset({"FILE", "LEFT", "OUT", "PATH", "RIGHT", "STUDENT", "TEACHER", "TRACE"})
_DIRECTORIES = frozenset({"DIR", "FIXTURE", ("TEACHER_DIR", "STUDENT_DIR")})


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="whose script")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from ccpa.cli.main import COMMANDS, parser_of

    parser = parser_of(COMMANDS, COMMANDS)
    for action in _actions(parser):
        if action.choices is None and action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.choices is None and action.metavar in _DIRECTORIES:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    print(shtab.complete(parser, args.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield every argument there is."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask, shtab either
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for inner in action.choices.values():
                yield from _actions(inner)
        else:
            yield action
