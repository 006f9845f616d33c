"""`apr completion`: a script that makes a shell complete apr's commands, options and names."""

import argparse
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from apr.errors import AprError

EPILOG = """\
examples:
  apr completion bash >> ~/.bash_completion
  apr completion zsh > ~/.zfunc/_apr              with `fpath+=~/.zfunc` above compinit in ~/.zshrc
  apr completion fish > ~/.config/fish/completions/apr.fish

Models, sessions and keys of settings are looked up when you press Tab."""

_SHELLS = ("bash", "zsh", "fish")
_FILES = frozenset({"FILE", "FILE_OR_JSON", "FILE|JSON", "PATH", "SCHEMA"})
_DIRECTORIES = frozenset({"DIR", "HF_DIR"})
_NAMED = {
    "model": "models",
    "fallback_model": "models",
    "session": "sessions",
    "resume": "sessions",
}
"""By where an argument is kept, whose names it takes."""
_OF_MODELS = frozenset({"rm", "show"})
"""Commands whose `name` is that of a model."""
_SAFE = re.compile(r"[\w./:@+,-]+")
"""What a shell takes as it is: bash expands once more what it is given to choose from."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Print a script that makes a shell complete what belongs to apr."
    parser.epilog = EPILOG
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("shell", nargs="?", choices=_SHELLS, help="whose script")
    what.add_argument(
        "--names", choices=_NAMES, help="print the names that the script asks for, one a line"
    )


def run(args: argparse.Namespace) -> int:
    """Print the script, or the names; return the exit code."""
    if args.names is not None:
        for name in _NAMES[args.names]():
            if _SAFE.fullmatch(name):
                print(name)
        return 0
    import shtab

    from apr.cli.main import COMMANDS, parser_of

    parser, _ = parser_of(COMMANDS, COMMANDS)
    for command, action in _actions(parser, ""):
        if (how := _how(command, action)) is not None:
            action.complete = how  # type: ignore[attr-defined]
    print(shtab.complete(parser, args.shell))
    return 0


def _actions(
    parser: argparse.ArgumentParser, command: str
) -> Iterator[tuple[str, argparse.Action]]:
    """Yield every argument there is, with the command it belongs to."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask, shtab either
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, inner in action.choices.items():
                yield from _actions(inner, command or name)
        else:
            yield command, action


def _how(command: str, action: argparse.Action) -> object:
    """Return how shtab is to complete an argument's value; None for not at all."""
    import shtab

    if action.nargs == 0 or action.choices is not None:
        return None
    if action.metavar in _FILES:
        return shtab.FILE
    if action.metavar in _DIRECTORIES:
        return shtab.DIRECTORY
    names = _NAMED.get(action.dest)
    if action.dest == "name" and command in _OF_MODELS:
        names = "models"
    if action.metavar == "KEY":
        names = "settings"
    return None if names is None else shtab.cmd(f"apr completion --names {names} 2>/dev/null")


def _models() -> Iterable[str]:
    from apr.models.discovery import found
    from apr.models.resolve import DEMO

    return [DEMO, *(model.name for model in found(os.environ) if model.info is not None)]


def _sessions() -> Iterable[str]:
    from apr.sessions.finding import files

    try:
        return [path.stem for path in files(Path.cwd())]
    except (AprError, OSError):  # where we are is gone
        return ()


def _settings() -> Iterable[str]:
    from apr.settings.schema import keys

    return keys()


_NAMES: dict[str, Callable[[], Iterable[str]]] = {
    "models": _models,
    "sessions": _sessions,
    "settings": _settings,
}
