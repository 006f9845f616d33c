"""`apr acp`: the agent in an editor that speaks the Agent Client Protocol."""

import argparse
import asyncio
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from apr.agent.limits import Limits
from apr.agent.permissions import MODES
from apr.assembly import Options
from apr.cli.model import add_model_options, provider_of
from apr.cli.options import positive
from apr.settings import load
from apr.ui.terminal import line

if TYPE_CHECKING:
    from apr.acp.session import Source
    from apr.providers.base import Provider

EPILOG = """\
examples:
  apr acp --model qwen3-coder

Zed, in its settings.json:
  "agent_servers": {"apr": {"command": "apr", "args": ["acp"]}}

The editor starts this and speaks JSON-RPC with it over standard input and output. It shows what the
agent does, asks before something is changed, and keeps the sessions in its list.
exit codes: 0 the editor has closed the connection, 2 wrong usage, 130 interrupted."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Serve the agent to an editor (Agent Client Protocol)."
    parser.epilog = EPILOG
    add_model_options(parser)
    parser.add_argument("--permission-mode", choices=MODES, help="the mode that sessions begin in")
    parser.add_argument("--max-turns", metavar="N", type=positive, help="for each prompt")


def run(args: argparse.Namespace) -> int:
    """Serve until the editor closes the connection; return the exit code."""
    from apr.acp.serving import serve

    logging.basicConfig(handlers=[_Lines()], level=logging.WARNING, force=True)
    incoming, outgoing = _apart()
    asyncio.run(serve(source_of(args), incoming, outgoing))
    return 0


def source_of(args: argparse.Namespace) -> "Source":
    """Return where sessions come from: what the options and the settings say."""
    from apr.acp.session import Source

    def options(root: Path) -> Options:
        settings = load(root, os.environ)
        options = Options(
            root=root,
            settings=settings,
            mode=args.permission_mode,
            max_tokens=args.max_tokens,
            temperature=args.temperature,
            limits=Limits(turns=args.max_turns or settings.apr.max_turns),
            vision=args.vision,
            asks=True,
        )
        return msgspec.structs.replace(options, open_model=partial(open_model, options))

    def open_model(options: Options, name: str | None) -> "tuple[Provider, str]":
        chosen = {"model": name or args.model, "project": str(options.root)}
        named = argparse.Namespace(**{**vars(args), **chosen})
        return provider_of(named, setting=options.settings.model)

    def models(root: Path) -> list[str]:
        return [] if args.base_url else _on_this_disk(root)

    return Source(options=options, open_model=open_model, models=models, sees=args.vision)


def _on_this_disk(root: Path) -> list[str]:
    """Return the names of the models that work, the best first."""
    from apr.models.discovery import survey
    from apr.models.resolve import ranking

    ranked = ranking(survey(os.environ, root))
    return list(dict.fromkeys(one.model.name for one in ranked if one.model.problem is None))


def _apart() -> tuple[int, int]:
    """Take standard input and output for the protocol alone; return their descriptors.

    What anything else prints would be taken for a message, and what a child of ours reads would be
    missing from one. They get stderr and nothing instead.
    """
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return incoming, outgoing


class _Lines(logging.Handler):
    """What the package has to say, as lines on stderr, where editors keep a log."""

    def emit(self, record: logging.LogRecord) -> None:
        why = record.exc_info[1] if record.exc_info else None
        if isinstance(why, ConnectionError):  # nobody is there to read the log either
            return
        told = f"{record.getMessage()}: {why}" if why is not None else record.getMessage()
        sys.stderr.write(f"apr: {line(told)}\n")
