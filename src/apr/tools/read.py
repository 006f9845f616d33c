"""Read: a file's lines, numbered."""

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, BinaryIO, ClassVar

from msgspec import Meta, Struct

from apr.tools import text
from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError
from apr.tools.files import look, open_file
from apr.tools.paths import explain, kind, not_found, resolve

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
            if path.is_dir():
                raise ToolError(f"{name} is {kind(path)}. List it with Glob or `ls`.")
            file = look(path, name)
            if file.size > WITHOUT_RANGE and call.offset is None and call.limit is None:
                raise ToolError(
                    f"{name} has {file.size:,} bytes. Give offset and limit, or use Grep."
                )
            if file.data is None:
                content = await _page_of_large(open_file(path, name), call)
            else:
                encoding = text.detect(file.data)
                content = _page(io.BytesIO(file.data), encoding, call, total=True)
        except FileNotFoundError:
            raise not_found(name, path, context.root, context.cwd) from None
        except text.NotTextError as error:
            raise ToolError(f"{name} is a binary file ({error}). Read shows only text.") from None
        except OSError as error:
            raise explain(error, name) from None
        context.files.note(path, file.stamp)
        return Outcome(content=content, files_read=(path,))


async def _page_of_large(descriptor: int, call: ReadInput) -> str:
    """Page through a file that is not held in memory, in a thread that stops when we do."""
    stop = threading.Event()

    def page() -> str:
        with open(descriptor, "rb") as file:
            encoding = text.detect(file.read(text.SNIFFED), whole=False)
            return _page(file, encoding, call, total=False, stopped=stop.is_set)

    try:
        return await asyncio.to_thread(page)
    finally:
        stop.set()


def _page(
    stream: BinaryIO,
    encoding: text.Encoding,
    call: ReadInput,
    *,
    total: bool,
    stopped: Callable[[], bool] = lambda: False,
) -> str:
    """Return the lines asked for, numbered, and what there is to say about them in brackets.

    With `total`, the lines that are not shown are counted too.

    Raises:
        ToolError: the file ends before the first line asked for.
    """
    stream.seek(len(encoding.mark))
    reader = io.TextIOWrapper(stream, encoding.codec, errors="replace", newline="\n")
    first = call.offset or 1
    last = first + (call.limit or LINES) - 1
    shown: list[str] = []
    room, number, more = CHARACTERS, 0, False
    for line in _lines(reader, stopped):
        if number >= last or room <= 0:
            more = True
            break
        number += 1
        if number >= first:
            shown.append(f"{number}\t{line}")
            room -= len(line)
    if not shown and number:
        raise ToolError(f"offset {first} is past the end: {call.file_path} has {number} lines.")
    if not number:
        return "[the file is empty]"
    if encoding.guessed:
        shown.append("[not UTF-8: shown as Latin-1]")
    if more:
        of = f" of {number + 1 + sum(1 for _ in reader)}" if total else ""
        shown.append(f"[lines {first}-{number}{of}; for more, set offset to {number + 1}]")
    return "\n".join(shown)


def _lines(reader: io.TextIOWrapper, stopped: Callable[[], bool]) -> Iterator[str]:
    """Yield lines without their ends; of a long one the beginning, whatever its length."""
    while (piece := reader.readline(LINE + 2)) and not stopped():  # 2: room for the line's end
        length, rest = len(piece), piece
        while not rest.endswith("\n") and (rest := reader.readline(1 << 16)) and not stopped():
            length += len(rest)
        line = piece.removesuffix("\n").removesuffix("\r")
        if len(line) > LINE or length > len(piece):
            line = f"{line[:LINE]} [line cut: it has {length:,} characters]"
        yield line
