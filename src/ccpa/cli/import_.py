"""`ccpa import`: transcripts of other programs as traces."""

import argparse
import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ccpa.console import console, on_terminal, one_line
from ccpa.errors import CcpaError
from ccpa.importers import FORMATS, load
from ccpa.importers.claude_code import sessions_in
from ccpa.importers.corpus import encoded, unused_name, write_fixture
from ccpa.importers.notes import Notes
from ccpa.importers.run import STDIN, Outcome, Trace, import_file
from ccpa.redact import Redaction

HELP = "turn transcripts of other programs into traces"

_EPILOG = """\
examples:
  ccpa import claude-code SESSION.jsonl -o run.ccpa-trace.jsonl
  ccpa import codex ~/.codex/sessions/2026/03/*/*.jsonl -o traces/
  claude -p '...' --output-format stream-json --verbose | ccpa import claude-stream-json -
  ccpa import claude-code --all -o corpus         every session of ~/.claude/projects

One session goes to stdout, if no -o says where. What is not known is counted on stderr. Secrets are
replaced by placeholders. docs/import.md says what becomes of what in each format.
exit status: 0 all imported, 2 wrong usage, or a file that could not be imported"""

_SUFFIX = ".ccpa-trace.jsonl"
_WITH_PROJECTS = "claude-code"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ccpa import`: of every format the same, but for `--all`."""
    parser.epilog = _EPILOG
    formats = parser.add_subparsers(dest="format", metavar="FORMAT", required=True)
    for name, summary in FORMATS.items():
        one = formats.add_parser(name, help=summary, description=f"Read {summary}.")
        one.add_argument("files", nargs="*", metavar="FILE", help="a transcript, or - for stdin")
        one.add_argument("-o", "--output", metavar="OUT", help="a file, or a directory for many")
        one.add_argument("--no-redact", action="store_true", help="keep secrets as they stand")
        one.add_argument("--json", action="store_true", help="print what was done as JSON")
        one.set_defaults(all=None)
        if name == _WITH_PROJECTS:
            one.add_argument(
                "--all",
                nargs="?",
                type=Path,
                const=_projects(),
                metavar="DIR",
                help="make a corpus of every session in DIR (default: ~/.claude/projects)",
            )


def run(args: argparse.Namespace) -> int:
    """Import the files, say what was done, and return the exit status."""
    if args.all is not None:
        return _run_all(args)
    if not args.files:
        raise CcpaError("name a FILE to import, or - for stdin")
    if args.json and args.output is None:
        raise CcpaError("--json prints what was done, so the trace needs a place: -o OUT")
    importer = load(args.format)
    report = _Report(args.json)
    place = _Place(args.output, many=len(args.files) > 1)
    for name in args.files:
        try:
            outcome = import_file(importer, name, keep_secrets=args.no_redact)
            written = place.write(outcome)
        except CcpaError as error:
            report.fail(name, error)
            continue
        report.done(outcome, written)
    return report.close()


def _projects() -> Path:
    """Return where Claude Code keeps its projects; `~` stays where nobody's home is known."""
    configured = os.environ.get("CLAUDE_CONFIG_DIR") or "~/.claude"
    with contextlib.suppress(RuntimeError):
        return Path(configured).expanduser() / "projects"
    return Path(configured) / "projects"


class _Place:
    """Where traces go: stdout, a file, or a directory."""

    def __init__(self, output: str | None, *, many: bool) -> None:
        self.output = None if output is None else Path(output)
        ends = output is not None and output.endswith(("/", os.sep))
        self.is_directory = many or ends or (self.output is not None and self.output.is_dir())
        self.taken: set[str] = set()
        if many and self.output is None:
            raise CcpaError("several files: name a directory for their traces with -o DIR")

    def write(self, outcome: Outcome) -> list[str]:
        """Write the traces of a file, and return where each is."""
        if len(outcome.traces) > 1 and not self.is_directory:
            what = f"{outcome.name}: {len(outcome.traces)} sessions in it"
            if self.output is None or self.output.exists():
                raise CcpaError(f"{what}: name a directory for their traces with -o DIR")
            self.is_directory = True
        try:
            return [self._write(outcome, trace) for trace in outcome.traces]
        except BrokenPipeError:
            raise  # who read stdout has seen enough: that is no error
        except OSError as error:
            raise CcpaError(f"{self.output}: cannot be written: {error.strerror}") from None

    def _write(self, outcome: Outcome, trace: Trace) -> str:
        data = encoded(trace.records)
        if self.output is None:
            sys.stdout.buffer.write(data)
            return STDIN
        path = self.output
        if self.is_directory:
            stem = Path(outcome.name).stem if outcome.name != STDIN else trace.session_id
            path /= unused_name(trace.original_id or stem, self.taken) + _SUFFIX
        if outcome.name != STDIN and path.exists() and path.samefile(outcome.name):
            raise CcpaError(f"{path}: is the transcript itself; name another place with -o")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return str(path)


def _run_all(args: argparse.Namespace) -> int:
    if args.files:
        raise CcpaError("--all takes no files: it finds them in DIR")
    if args.output is None:
        raise CcpaError("--all makes a corpus, which needs a place: -o DIR")
    paths = list(sessions_in(args.all))
    if not paths:
        raise CcpaError(f"{args.all}: no session in it (PROJECT/SESSION.jsonl)")
    importer = load(args.format)
    report = _Report(args.json)
    taken: set[str] = set()
    for path in _shown(paths):
        try:
            outcome = import_file(importer, str(path), keep_secrets=args.no_redact)
            written = [_fixture(Path(args.output), path, one, taken) for one in outcome.traces]
        except CcpaError as error:
            report.fail(str(path), error)
            continue
        report.done(outcome, written)
    return report.close()


def _fixture(corpus: Path, path: Path, trace: Trace, taken: set[str]) -> str:
    directory = corpus / unused_name(trace.original_id or path.stem, taken)
    what = f"Session {trace.original_id or path.stem}, imported from {path.parent.name}/{path.name}"
    try:
        write_fixture(directory, trace.records, what)
    except OSError as error:
        raise CcpaError(f"{directory}: cannot be written: {error.strerror}") from None
    return str(directory)


def _shown(paths: list[Path]) -> Iterator[Path]:
    """Yield the paths, with a bar on a terminal that says how far it is."""
    if not sys.stderr.isatty():
        yield from paths
        return
    from rich.progress import Progress

    # What is printed meanwhile goes above the bar, but where stdout is a file it stays there.
    screen = console(stderr=True)
    with Progress(console=screen, transient=True, redirect_stdout=on_terminal()) as progress:
        yield from progress.track(paths, description="Importing")


class _Report:
    """Says what was done: a line a trace on stdout, what was not taken as it stood on stderr."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.sessions: list[dict[str, object]] = []
        self.failed: list[dict[str, str]] = []
        self.notes = Notes()
        self.redaction = Redaction()

    def done(self, outcome: Outcome, written: list[str]) -> None:
        for trace, place in zip(outcome.traces, written, strict=True):
            self.sessions.append(
                {
                    "file": outcome.name,
                    "original_id": trace.original_id,
                    "session_id": trace.session_id,
                    "records": len(trace.records),
                    "output": place,
                }
            )
            if place != STDIN and not self.as_json:
                session = f", session {trace.original_id}" if trace.original_id else ""
                print(one_line(f"{place}: {len(trace.records):,} records{session}"))
        self.notes.add(outcome.notes)
        self.redaction.add(outcome.redaction)

    def fail(self, name: str, error: CcpaError) -> None:
        self.failed.append({"file": name, "error": str(error)})
        print(f"ccpa: {one_line(str(error))}", file=sys.stderr)

    def close(self) -> int:
        notes, redaction = self.notes, self.redaction
        if self.as_json:
            print(json.dumps(self._summary(), indent=2))
        for what, counts in (
            ("not known, passed over", notes.unknown),
            ("left out", notes.skipped),
            ("marked, for the format does not hold it", notes.marked),
            ("secrets redacted", redaction.secrets),
        ):
            if counts:
                print(f"ccpa: {what}: {_listed(counts)}", file=sys.stderr)
        return CcpaError.exit_code if self.failed else 0

    def _summary(self) -> dict[str, object]:
        return {
            "sessions": self.sessions,
            "failed": self.failed,
            "unknown": self.notes.unknown,
            "skipped": self.notes.skipped,
            "marked": self.notes.marked,
            "redacted": {
                "secrets": self.redaction.secrets,
                "places": self.redaction.places,
            },
        }


def _listed(counts: Counter[str]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{one_line(what)} ({number:,})" for what, number in ordered)
