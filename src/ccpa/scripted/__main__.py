"""`python -m ccpa.scripted TRACE`: serve a recording until interrupted, then say what was wrong."""

import argparse
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import msgspec

from ccpa.console import one_line
from ccpa.errors import CcpaError
from ccpa.fixtures import read_trace
from ccpa.scripted.adapt import Adaptation, Offered
from ccpa.scripted.log import Exchange
from ccpa.scripted.script import Script
from ccpa.scripted.server import ScriptedModel, serving

_DESCRIPTION = """\
Serve the assistant turns of a trace over HTTP on loopback: Anthropic Messages, OpenAI chat
completions, OpenAI Responses."""

_EPILOG = """\
examples:
  python -m ccpa.scripted run.ccpa-trace.jsonl --path /workspace=$PWD
  apr code --base-url http://127.0.0.1:PORT/v1 "the recorded prompt"
  ANTHROPIC_BASE_URL=http://127.0.0.1:PORT claude -p "the recorded prompt"

The first line on stdout is the base URL. After Ctrl-C or SIGTERM each call too many or too few is
one line of JSON on stdout.

exit status: 0 every turn was asked for and nothing else, 1 there are findings, 2 wrong usage or
unusable input"""


def main() -> int:
    """Run the command."""
    args = _parser().parse_args()
    try:
        return _serve(args)
    except CcpaError as error:
        sys.stderr.write(f"ccpa.scripted: {one_line(str(error))}\n")
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ccpa.scripted",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("trace", type=Path, help="the recording, *.ccpa-trace.jsonl")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument(
        "--path",
        action="append",
        default=[],
        metavar="RECORDED=ACTUAL",
        help="the recording's working directory, and the run's",
    )
    parser.add_argument(
        "--tool",
        action="append",
        default=[],
        metavar="RECORDED=OFFERED",
        help="what the client calls a tool of the recording",
    )
    parser.add_argument("--log", type=Path, help="append an entry for every request: JSON Lines")
    return parser


def _serve(args: argparse.Namespace) -> int:
    tools = {recorded: Offered(name) for recorded, name in _pairs("--tool", args.tool)}
    adaptation = Adaptation(tools=tools, paths=dict(_pairs("--path", args.path)))
    script = Script.from_trace(read_trace(args.trace))
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(args.log.open("ab", buffering=0)) if args.log else None

            model = ScriptedModel(script, adaptation=adaptation, log=lambda e: _write(stream, e))
            url = stack.enter_context(serving(model, port=args.port))
        except (OSError, OverflowError) as error:  # the latter: no port has that number
            raise CcpaError(f"cannot serve: {error}") from None
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        done.wait()
    findings = model.findings()
    for finding in findings:
        sys.stdout.write(msgspec.json.encode(finding).decode() + "\n")
    return 1 if findings else 0


def _write(stream: IO[bytes] | None, exchange: Exchange) -> None:
    """Write a line of the log. What cannot be logged is served all the same."""
    if stream is not None:
        try:
            stream.write(msgspec.json.encode(exchange) + b"\n")
        except OSError as error:
            sys.stderr.write(f"ccpa.scripted: request {exchange.number} is not logged: {error}\n")


def _pairs(option: str, words: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for word in words:
        recorded, equals, actual = word.partition("=")
        if not (recorded and equals and actual):
            raise CcpaError(f"{option} {word}: needs the form RECORDED=ACTUAL")
        pairs.append((recorded, actual))
    return pairs


if __name__ == "__main__":
    sys.exit(main())
