"""`apr sessions`: what was worked on in this project, to look at, search, take up or remove."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from apr.directories import directory
from apr.errors import AprError
from apr.sessions.exporting import exported
from apr.sessions.finding import files, find, meant
from apr.sessions.places import SessionError, refuse_held, remove
from apr.sessions.searching import passage
from apr.sessions.stored import Stored
from apr.sessions.summary import summaries, summary
from apr.ui.terminal import line, plain
from apr.ui.text import summary as call_in_a_line
from ccpa.trace import (
    AssistantTurn,
    TextBlock,
    ToolResult,
    ToolUseBlock,
    UserPrompt,
    encode,
)

EPILOG = """\
examples:
  apr sessions list
  apr sessions search "flaky test"
  apr sessions show 01a20d00
  apr sessions export 01a20d00 > run.ccpa-trace.jsonl
  apr code --resume 01a20d00 "now the documentation"

A session is named by its id, the beginning of that, or its name.
exit codes: 0 done, 1 nothing was found, 2 wrong usage, no such session, or a damaged one."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "List, show, search, remove and export the sessions of a project."
    parser.epilog = EPILOG
    parser.add_argument("-C", "--project", metavar="DIR", default=".", help="(default: here)")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the sessions, the last one first")
    listing.add_argument("--json", action="store_true")
    search = actions.add_parser("search", help="the sessions in which a text was said")
    search.add_argument("text")
    search.add_argument("--json", action="store_true")
    for name, text in (
        ("show", "what was said and done"),
        ("export", "as a trace, on standard output"),
    ):
        actions.add_parser(name, help=text).add_argument("session")
    remove = actions.add_parser("rm", help="remove sessions for good")
    remove.add_argument("session", nargs="+")


def run(args: argparse.Namespace) -> int:
    """Do it; return the exit code."""
    root = directory(Path(), args.project)
    match args.action:
        case "list":
            return _list(root, as_json=args.json)
        case "search":
            return _search(root, args.text, as_json=args.json)
        case "show":
            for text in _shown(find(root, args.session)):
                print(plain(text))
        case "export":
            for record in exported(find(root, args.session)):
                sys.stdout.buffer.write(encode(record))
        case _:
            return _remove(root, args.session)
    return 0


def _list(root: Path, *, as_json: bool) -> int:
    found = list(summaries(root))
    good = [one for one in found if not isinstance(one, SessionError)]
    if as_json:
        sys.stdout.write(msgspec.json.encode(good).decode() + "\n")
    for one in found:
        if isinstance(one, SessionError):
            print(f"apr: {plain(str(one))}", file=sys.stderr)
        elif not as_json:
            print(
                f"{line(one.id)}  {one.changed[:16]}  {one.turns:4} turns  {line(one.title)[:80]}"
            )
    if not found:
        print(f"no sessions of {root}", file=sys.stderr)
    return 0


def _search(root: Path, text: str, *, as_json: bool) -> int:
    hits = []
    for path in files(root):
        try:
            if (said := passage(path, text)) is not None:
                hits.append((summary(path), said))
        except SessionError as error:
            print(f"apr: {plain(str(error))}", file=sys.stderr)
    if as_json:
        data = [{"session": one, "said": said} for one, said in hits]
        sys.stdout.write(msgspec.json.encode(data).decode() + "\n")
    else:
        for one, said in hits:
            print(f"{line(one.id)}  {one.changed[:16]}  {line(said)}")
    return 0 if hits else 1


def _shown(stored: Stored) -> Iterator[str]:
    one = summary(stored.path)
    yield f"{one.id}  {one.name or ''}  {one.model}  {one.changed}".rstrip()
    for record in stored.records:
        match record:
            case UserPrompt(text=text):
                yield f"\n> {text}"
            case AssistantTurn(blocks=blocks, parent_tool_use_id=parent):
                for block in blocks:
                    if isinstance(block, ToolUseBlock):
                        yield f"{'  ' if parent else ''}● {call_in_a_line(block)}"
                    elif isinstance(block, TextBlock) and block.text and not parent:
                        yield block.text
            case ToolResult(ok=False, content=content):
                yield f"  ✗ {content.strip().partition(chr(10))[0]}"
            case _:
                pass


def _remove(root: Path, wanted: list[str]) -> int:
    paths = [meant(root, name) for name in wanted]  # all are known before one is removed
    for path in dict.fromkeys(paths):
        try:
            refuse_held(path)
            remove(path)
        except OSError as error:
            raise AprError(f"{path} cannot be removed: {error.strerror}") from None
        print(f"removed {line(path.stem)}")
    return 0
