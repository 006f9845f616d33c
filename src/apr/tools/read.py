"""Read: a file's lines, numbered."""

import asyncio
import io
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from apr.tools import text
from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError
from apr.tools.files import decode, detect, look, open_file
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
    """Shows lines of a text file."""

    name: ClassVar[str] = "Read"
    description: ClassVar[str] = (
        "Read a text file. Each line of the result is its number, a tab, then the text."
    )
    Input = ReadInput
    read_only: ClassVar[bool] = True

    def access(self, call: ReadInput, context: Context) -> Access:
        """Read the file."""
        return Access(kind="read", paths=(resolve(call.file_path, context.root),))

    async def run(self, call: ReadInput, context: Context) -> Outcome:
        """Show the lines, and note the file as seen."""
        name, path = call.file_path, resolve(call.file_path, context.root)
        try:
            file = look(path, name)
            if file.size > WITHOUT_RANGE and call.offset is None and call.limit is None:
                raise ToolError(
                    f"{name} has {file.size:,} bytes. Give offset and limit, or use Grep."
                )
            if file.data is None:
                content = await _page_of_large(path, call)
            else:
                content = page_of(file.data, call)
        except FileNotFoundError:
            raise not_found(name, path, context.root, context.cwd) from None
        except OSError as error:
            raise explain(error, name) from None
        context.files.note(path, file.stamp)
        return Outcome(content=content, files_read=(path,))


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
    shown = (_shown(line, len(line)) for line in lines[_first(call) - 1 :])
    return _page(shown, call, encoding, total=len(lines))


async def _page_of_large(path: Path, call: ReadInput) -> str:
    """Return the page of a file that is not held in memory, by a thread that stops when we do."""
    stop = threading.Event()

    def page() -> str:
        with os.fdopen(open_file(path, call.file_path), "rb") as file:
            encoding = detect(file.read(text.SNIFFED), call.file_path, whole=False)
            file.seek(len(encoding.mark))
            reader = io.TextIOWrapper(file, encoding.codec, errors="replace", newline="\n")
            lines = islice(_lines(reader, stop), _first(call) - 1, None)
            return _page(lines, call, encoding, total=None)

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


def _page(
    lines: Iterable[str], call: ReadInput, encoding: text.Encoding, *, total: int | None
) -> str:
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
    if encoding.guessed:
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
