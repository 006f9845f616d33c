"""`apr engine`: serve a local model, see which engines run, stop them."""

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from apr.cli.options import duration, positive
from apr.engine import state as engines
from apr.engine.state import EngineError, EngineState
from apr.errors import AprError
from apr.ui.terminal import line, plain

EPILOG = """\
examples:
  apr engine status
  apr engine stop --all
  apr engine serve --model ./qwen3-coder.gguf --ctx 32768 --keep-alive 1h

`apr code` starts an engine by itself, and leaves it warm for the next run."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments, description and examples."""
    parser.description = "Serve a local model, see which engines run, stop them."
    parser.epilog = EPILOG
    commands = parser.add_subparsers(dest="engine_command", metavar="COMMAND", required=True)
    status = commands.add_parser("status", help="list the engines that run")
    status.add_argument("--json", action="store_true", help="print a JSON array")
    stop = commands.add_parser("stop", help="end engines")
    stop.add_argument("model", nargs="?", help="only those for this model (its name or process id)")
    stop.add_argument("--all", action="store_true", help="end all of them")
    stop.add_argument("--json", action="store_true", help="print what was ended as a JSON array")
    _configure_serve(commands.add_parser("serve", help="load a model and serve it on loopback"))


def _configure_serve(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", metavar="NAME", help="demo, a .gguf file, or a name (see: apr models)")
    add("--ctx", type=positive, metavar="N", help="tokens of context; default: what memory allows")
    add(
        "--keep-alive",
        type=duration,
        default="10m",
        metavar="TIME",
        help="end after this time without requests: 90s, 10m, 1h, never (default 10m)",
    )
    add("--parent-pid", type=int, metavar="PID", help="end when this process has ended")
    add("--private", action="store_true", help="with --parent-pid: for that process alone")
    add("--slots", type=positive, metavar="N", help="conversations at a time; default: up to 4")
    add("--threads", type=positive, metavar="N", help="default: one for each core")
    add("--port", type=int, default=0, metavar="N", help="default: any that is free")


def run(args: argparse.Namespace) -> int:
    """Do it; return the exit code.

    Raises:
        AprError: what is told to the user.
    """
    if args.engine_command == "serve":
        return _serve(args)
    return _stop(args) if args.engine_command == "stop" else _status(args)


def _serve(args: argparse.Namespace) -> int:
    import os

    from apr.engine.serve import Options, serve
    from apr.models.resolve import choose

    if args.private and args.parent_pid is None:
        raise AprError("--private goes with --parent-pid")
    choice = choose(args.model, os.environ)
    if choice.notice:
        print(f"apr: {line(choice.notice)}", file=sys.stderr)
    serve(
        Options(
            model=choice.path,
            ctx=args.ctx,
            keep_alive=args.keep_alive,
            parent_pid=args.parent_pid,
            private=args.private,
            slots=args.slots,
            threads=args.threads,
            port=args.port,
        )
    )


def _status(args: argparse.Namespace) -> int:
    _show([engine for _, engine in engines.running(engines.directory())], as_json=args.json)
    return 0


def _stop(args: argparse.Namespace) -> int:
    from apr.engine.process import end

    folder = engines.directory()
    found = [engine for _, engine in engines.running(folder)]
    if args.model:
        wanted = {args.model, str(Path(args.model).absolute())}
        found = [e for e in found if wanted & {e.model_name, e.model, str(e.pid)}]
        if not found:
            raise EngineError(f"No engine runs for {args.model}. See: apr engine status")
    elif len(found) > 1 and not args.all:
        _show(found, as_json=False, file=sys.stderr)
        raise EngineError("More than one engine runs: name one, or use --all.")
    for engine in found:
        end(engine.pid, engine.started)
    engines.sweep(folder)
    ended = {engine.pid for engine in found}
    for _, engine in engines.running(folder):
        if engine.pid in ended:
            raise EngineError(f"The engine with process id {engine.pid} could not be ended.")
    _show(found, as_json=args.json)
    return 0


def _show(found: list[EngineState], *, as_json: bool, file: Any = None) -> None:
    if as_json:
        keys = ("pid", "model", "model_name", "context", "keep_alive", "base_url", "engine")
        rows = [{key: getattr(engine, key) for key in keys} for engine in found]
        print(msgspec.json.encode(rows).decode())
        return
    if not found:
        print("No engine runs.", file=sys.stderr)
        return
    for engine in found:
        print(
            f"{engine.pid:>8}  {plain(engine.model_name)}  {engine.context:,} tokens  "
            f"{engine.base_url}  {plain(engine.model)}",
            file=file,
        )
