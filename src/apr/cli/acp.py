"""`apr acp`: the agent in an editor that speaks the Agent Client Protocol."""

import argparse
import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from apr.agent.limits import Limits
from apr.agent.permissions import MODES
from apr.assembly import Options
from apr.cli.model import add_model_options, provider_of
from apr.cli.options import positive
from apr.models.resolve import DEMO
from apr.settings import load

if TYPE_CHECKING:
    from apr.acp.server import Make
    from apr.providers.base import Provider

EPILOG = """\
examples:
  apr acp --model qwen3-coder

Zed, in its settings.json:
  "agent_servers": {"apr": {"command": "apr", "args": ["acp"]}}

The editor starts this and speaks JSON-RPC with it over standard input and output. It shows what the
agent does, asks before something is changed, and keeps the sessions in its list.
exit codes: 0 the editor has closed the connection, 2 wrong usage, 130 interrupted."""

_LONGEST_MESSAGE = 64 << 20
"""Bytes: a prompt may bring files and images with it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Serve the agent to an editor (Agent Client Protocol)."
    parser.epilog = EPILOG
    add_model_options(parser)
    parser.add_argument("--permission-mode", choices=MODES, help="the mode that sessions begin in")
    parser.add_argument("--max-turns", metavar="N", type=positive, help="for each prompt")


def run(args: argparse.Namespace) -> int:
    """Serve until the editor closes the connection; return the exit code."""

    def make(root: Path) -> "tuple[Options, Provider, str]":
        settings = load(root, os.environ)
        args.project = str(root)
        provider, model = provider_of(args, setting=settings.model)
        options = Options(
            root=root,
            settings=settings,
            mode=args.permission_mode,
            max_tokens=args.max_tokens,
            temperature=args.temperature,
            limits=Limits(turns=args.max_turns or settings.apr.max_turns),
            vision=args.vision,
            core_tools=model == DEMO,
        )
        return options, provider, model

    asyncio.run(_serve(make))
    return 0


async def _serve(make: "Make") -> None:
    from acp import run_agent
    from acp.stdio import stdio_streams

    from apr.acp.server import Server

    server = Server(make)
    editor, to_editor = await stdio_streams(limit=_LONGEST_MESSAGE)
    # What anything else prints would be taken for a message.
    out, sys.stdout = sys.stdout, sys.stderr
    try:
        with contextlib.suppress(ConnectionError):
            await run_agent(server, to_editor, editor, use_unstable_protocol=True)
    finally:
        sys.stdout = out
        await server.close()
