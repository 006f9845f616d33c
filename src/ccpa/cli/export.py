"""`ccpa export`: traces in the formats of other programs."""

import argparse
import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from ccpa.cli.validate import expand
from ccpa.console import one_line
from ccpa.errors import CcpaError
from ccpa.exporters import FORMATS
from ccpa.exporters.sessions import STDIN, Session, read_session

HELP = "turn traces into what other programs read"

_EPILOG = """\
examples:
  ccpa export atif run.ccpa-trace.jsonl -o trajectory.json
  ccpa export otel run.ccpa-trace.jsonl --endpoint http://127.0.0.1:4318
  ccpa export sft 'traces/**/*.jsonl' --thinking drop -o train.jsonl
  ccpa export sft --help                      the options of one format

docs/export.md says what becomes of what. A file is written whole or not at all.
exit status: 0 all exported, 2 wrong usage, or a trace that could not be exported"""

_ATIF_EPILOG = """\
One trace becomes one JSON document, several become JSON Lines. `ccpa import atif` reads them back,
and loses nothing that `ccpa` measures."""

_OTEL_EPILOG = """\
Nothing is contacted but the collector that --endpoint names; -o writes the spans as OTLP JSON
lines. What was asked and answered is left out unless --content takes it in. Needs the extra `otel`:
pip install 'apr-code[otel]'. Headers for the collector: OTEL_EXPORTER_OTLP_HEADERS."""

_SFT_EPILOG = """\
One row for each conversation, the subagents' included: id, messages, tools. Conversations that did
not end well, or of which the trace does not hold all that the model saw, are left out."""

Lines = Callable[[argparse.Namespace, Iterator[Session]], Iterator[bytes]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the formats of `ccpa export`, and their arguments."""
    parser.epilog = _EPILOG
    formats = parser.add_subparsers(metavar="FORMAT", required=True)
    adders = {"atif": _add_atif, "otel": _add_otel, "sft": _add_sft}
    for name, summary in FORMATS.items():
        one = formats.add_parser(
            name,
            help=summary,
            description=f"{summary}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.add_argument("traces", nargs="+", metavar="TRACE", help="a trace, a glob, - for stdin")
        one.add_argument("-o", "--output", metavar="OUT", help="a file, or - for stdout")
        adders[name](one)


def run(args: argparse.Namespace) -> int:
    """Export the traces, and return the exit status."""
    names = expand(args.traces)
    _refuse_to_overwrite(args.output, names)
    lines: Lines = args.lines
    with _output(args.output) as out:
        for line in lines(args, _sessions(names)):
            out.write(line)
    return 0


def _add_atif(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _ATIF_EPILOG
    parser.set_defaults(lines=_atif)


def _add_otel(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _OTEL_EPILOG
    parser.add_argument(
        "--endpoint", metavar="URL", help="the collector, as in http://127.0.0.1:4318"
    )
    parser.add_argument(
        "--content",
        action="store_true",
        help="tell prompts, answers, inputs and results, which may be confidential",
    )
    parser.add_argument(
        "--provider",
        default="unknown",
        metavar="NAME",
        help="gen_ai.provider.name, as in anthropic or openai (default: %(default)s)",
    )
    parser.set_defaults(lines=_otel)


def _add_sft(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _SFT_EPILOG
    parser.add_argument(
        "--thinking",
        choices=("keep", "drop"),
        default="keep",
        help="keep reasoning, as reasoning_content, or drop it (default: %(default)s)",
    )
    parser.add_argument(
        "--max-chars",
        type=_positive,
        metavar="N",
        help="leave out conversations with more than N characters",
    )
    parser.add_argument(
        "--all", action="store_true", help="take conversations that are left out otherwise"
    )
    parser.add_argument(
        "--tools",
        type=Path,
        metavar="FILE",
        help="tools the model was offered, a JSON array (default: infer them from their uses)",
    )
    parser.set_defaults(lines=_sft)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _sessions(names: list[str]) -> Iterator[Session]:
    for name in names:
        session = read_session(name)
        if session.cut is not None:
            _say(f"{one_line(name)}:{session.cut}: cut short; that line is left out")
        yield session


def _atif(args: argparse.Namespace, sessions: Iterator[Session]) -> Iterator[bytes]:
    from ccpa.exporters.atif import trajectory

    number = 0
    for session in sessions:
        yield msgspec.json.encode(trajectory(session)) + b"\n"
        number += 1
    _say_done(args, number, "trajectory" if number == 1 else "trajectories")


def _otel(args: argparse.Namespace, sessions: Iterator[Session]) -> Iterator[bytes]:
    from ccpa.exporters import otel, otlp

    if args.endpoint is None and args.output is None:
        raise CcpaError("say where to: --endpoint URL for a collector, -o FILE for OTLP JSON lines")
    otlp.require()
    options = otel.Options(content=args.content, provider=args.provider)
    number = 0
    with contextlib.ExitStack() as closing:
        collector = None
        if args.endpoint is not None:
            collector = otlp.Collector(args.endpoint)
            closing.callback(collector.close)
        for session in sessions:
            spans = otlp.recorded(session, otel.spans(session, options))
            number += len(spans)
            if collector is not None:
                collector.send(spans)
            if args.output is not None:
                yield from otlp.json_lines(spans)
    if collector is not None:
        _say(f"{number:,} spans sent to {one_line(collector.url)}")
    if args.output is not None:
        _say_done(args, number, "spans")


def _sft(args: argparse.Namespace, sessions: Iterator[Session]) -> Iterator[bytes]:
    from ccpa.exporters import sft

    tools = None if args.tools is None else _read_tools(args.tools)
    options = sft.Options(
        thinking=args.thinking, max_chars=args.max_chars, unfinished=args.all, tools=tools
    )
    count = sft.Count()
    for session in sessions:
        for row in sft.rows(session, options, count):
            yield msgspec.json.encode(row) + b"\n"
    for reason, number in count.left_out.items():
        _say(f"{number:,} left out: {reason}")
    _say_done(args, count.rows, "row" if count.rows == 1 else "rows")


def _read_tools(path: Path) -> list[dict[str, object]]:
    from ccpa.exporters.sft import read_tools

    try:
        return read_tools(path.read_bytes())
    except OSError as error:
        raise CcpaError(f"cannot read {one_line(str(path))}: {error.strerror}") from None
    except CcpaError as error:
        raise CcpaError(f"{one_line(str(path))}: {error}") from None


def _say_done(args: argparse.Namespace, number: int, what: str) -> None:
    if args.output is not None and args.output != STDIN:
        _say(f"{number:,} {what} written to {one_line(args.output)}")


def _say(what: str) -> None:
    print(f"ccpa: {what}", file=sys.stderr)


def _refuse_to_overwrite(output: str | None, names: list[str]) -> None:
    if output is None or output == STDIN or not Path(output).exists():
        return
    for name in names:
        if name != STDIN and Path(name).exists() and Path(name).samefile(output):
            raise CcpaError(f"{one_line(name)} would overwrite itself; name another file with -o")


@contextlib.contextmanager
def _output(name: str | None) -> Iterator[BinaryIO]:
    """Open what `-o` names: a file that comes to be when all of it is there, else as it was."""
    if name is None or name == STDIN:
        yield sys.stdout.buffer
        return
    try:
        if Path(name).exists() and not Path(name).is_file():  # a pipe; a directory is refused
            with Path(name).open("wb") as stream:
                yield stream
            return
        path = Path(name).resolve()
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with part.open("xb") as stream:
                yield stream
            if path.exists():
                shutil.copymode(path, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise CcpaError(f"cannot write {one_line(name)}: {error.strerror or error}") from None
