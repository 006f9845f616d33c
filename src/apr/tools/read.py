"""Read: a file's lines, numbered; a notebook's cells, a PDF's text, a picture."""

import asyncio
import io
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Struct

from apr.tools import images, notebook, text
from apr.tools.base import Access, Context, Outcome
from apr.tools.documents import extract
from apr.tools.errors import ToolError
from apr.tools.files import WHOLE, Snapshot, decode, detect, open_file
from apr.tools.paths import explain, not_found, resolve

LINES = 2000
"""Lines shown where no limit is given."""
LINE = 2000
"""Characters shown of one line."""
CHARACTERS = 60_000
"""Characters shown in all: what a model on a small machine can take in at once."""
WITHOUT_RANGE = 1_000_000
"""Bytes of a file beyond which a part of it must be asked for."""


class ReadInput(Struct, forbid_unknown_fields=True):
    """What Read takes."""

    file_path: Annotated[str, Meta(description="Absolute, or relative to the project")]
    offset: Annotated[int, Meta(ge=0, description="First line, from 1")] | None = None
    limit: Annotated[int, Meta(ge=1, description=f"Number of lines; default {LINES}")] | None = None


class Read:
    """Shows lines of a text file, or of what a notebook or PDF says as text.

    Args:
        sees: whether the model can be shown pictures.
    """

    name: ClassVar[str] = "Read"
    description: ClassVar[str] = (
        "Read a text file. Each line of the result is its number, a tab, then the text."
    )
    Input = ReadInput
    read_only: ClassVar[bool] = True

    def __init__(self, *, sees: bool = False) -> None:
        self._sees = sees

    def access(self, call: ReadInput, context: Context) -> Access:
        """Read the file."""
        return Access(kind="read", paths=(resolve(call.file_path, context.root),))

    async def run(self, call: ReadInput, context: Context) -> Outcome:
        """Show the lines, and note the file as seen."""
        name, path = call.file_path, resolve(call.file_path, context.root)
        try:
            file = await context.storage.look(path, name)
            outcome = await self._special(file.data, path, call) if file.data else None
            if outcome is None:
                outcome = Outcome(content=await _text(file, path, call))
        except FileNotFoundError:
            raise not_found(name, path, context.root, context.cwd) from None
        except OSError as error:
            raise explain(error, name) from None
        context.files.note(path, file.stamp)
        return msgspec.structs.replace(outcome, files_read=(path,))

    async def _special(self, data: bytes, path: Path, call: ReadInput) -> Outcome | None:
        """Show what is not to be read as it stands: a picture, a PDF, a notebook."""
        if kind := images.kind_of(data):
            return images.show(data, kind, call.file_path, sees=self._sees)
        if data.startswith(b"%PDF-"):
            return Outcome(content=await _pdf(data, call))
        if path.suffix == ".ipynb":
            shown = notebook.lines(decode(data, call.file_path)[1])
            if shown is not None:
                return Outcome(content=f"{lines_of(shown, call)}\n{notebook.NOTE}")
        return None


async def _text(file: Snapshot, path: Path, call: ReadInput) -> str:
    """Return the page of a text file that the call asks for."""
    if file.size > WITHOUT_RANGE and call.offset is None and call.limit is None:
        raise ToolError(
            f"{call.file_path} has {file.size:,} bytes. Give offset and limit, or use Grep."
        )
    if file.data is None and path.suffix.lower() == ".pdf":
        raise ToolError(f"{call.file_path} is larger than {WHOLE:,} bytes. Take its text by Bash.")
    if file.data is None:
        return await _page_of_large(path, call)
    return page_of(file.data, call)


async def _pdf(data: bytes, call: ReadInput) -> str:
    """Return the page of a PDF's text that the call asks for."""
    found = await extract(data, "pdf")
    if not found.text:
        raise ToolError(f"{call.file_path} is a PDF that cannot be read: {found.problem}.")
    note = f"\n[{found.problem}]" if found.problem else ""
    return lines_of(found.text.split("\n"), call) + note


def lines_of(lines: Sequence[str], call: ReadInput, *, guessed: bool = False) -> str:
    """Return the part of some lines that the call asks for, numbered, with notes in brackets.

    Raises:
        ToolError: they end before the first line asked for.
    """
    shown = (_shown(line, len(line)) for line in lines[_first(call) - 1 :])
    return _page(shown, call, guessed=guessed, total=len(lines))


def page_of(data: bytes, call: ReadInput) -> str:
    """Return the lines of a file that the call asks for, numbered, with notes in brackets.

    Raises:
        ToolError: it is a binary file, or ends before the first line asked for.
    """
    encoding, body = decode(data, call.file_path)
    lines = body.split("\n")
    if not lines[-1]:
        lines.pop()
    if not lines:
        return "[the file is empty]"
    return lines_of(lines, call, guessed=encoding.guessed)


async def _page_of_large(path: Path, call: ReadInput) -> str:
    """Return the page of a file that is not held in memory, by a thread that stops when we do."""
    stop = threading.Event()

    def page() -> str:
        with os.fdopen(open_file(path, call.file_path), "rb") as file:
            encoding = detect(file.read(text.SNIFFED), call.file_path, whole=False)
            file.seek(len(encoding.mark))
            reader = io.TextIOWrapper(file, encoding.codec, errors="replace", newline="\n")
            lines = islice(_lines(reader, stop), _first(call) - 1, None)
            return _page(lines, call, guessed=encoding.guessed, total=None)

    try:
        return await asyncio.to_thread(page)
    finally:
        stop.set()


def _lines(reader: io.TextIOWrapper, stop: threading.Event) -> Iterator[str]:
    """Yield lines as they are shown, without ever holding a long one."""
    while (piece := reader.readline(LINE + 2)) and not stop.is_set():  # 2: room for the line's end
        length, rest = len(piece), piece
        while not rest.endswith("\n") and (rest := reader.readline(1 << 16)) and not stop.is_set():
            length += len(rest)
        yield _shown(piece.removesuffix("\n"), length - rest.endswith("\n"))


def _page(lines: Iterable[str], call: ReadInput, *, guessed: bool, total: int | None) -> str:
    """Return lines, of which the first is the one asked for, numbered, with notes in brackets.

    Raises:
        ToolError: there are no lines: the file ends before.
    """
    first = _first(call)
    last = first + (call.limit or LINES) - 1
    shown: list[str] = []
    room, more = CHARACTERS, False
    for number, line in enumerate(lines, first):
        if number > last or room <= 0:
            more = True
            break
        shown.append(f"{number}\t{line}")
        room -= len(line)
    if not shown:
        has = "" if total is None else f": it has {total} lines"
        raise ToolError(f"offset {first} is past the end of {call.file_path}{has}.")
    next_line = first + len(shown)
    if guessed:
        shown.append("[not UTF-8: shown as Latin-1]")
    if more:
        of = "" if total is None else f" of {total}"
        shown.append(f"[lines {first}-{next_line - 1}{of}; for more, set offset to {next_line}]")
    return "\n".join(shown)


def _first(call: ReadInput) -> int:
    return min(call.offset or 1, sys.maxsize)  # more is no index


def _shown(line: str, length: int) -> str:
    r"""Return a line without its `\r`, or the beginning of one that is longer than is shown."""
    line = line.removesuffix("\r")
    if len(line) <= LINE:
        return line
    return f"{line[:LINE]} [line cut: it has {length:,} characters]"
