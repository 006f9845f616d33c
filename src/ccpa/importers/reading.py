"""Foreign files, read in bounded memory: JSON Lines, or one JSON document."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from ccpa.errors import CcpaError
from ccpa.importers.notes import Notes
from ccpa.importers.values import JsonObject
from ccpa.validate.lines import blocks

MAX_FOREIGN_LINE = 128 << 20
"""Longer than a trace's line may be: transcripts hold images, of which no record is made."""
MAX_DOCUMENT = 1 << 30
_BOM = b"\xef\xbb\xbf"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Source(Struct, frozen=True):
    """A file to import: what to call it, its bytes, and where it lies if it lies anywhere."""

    name: str
    stream: BinaryIO
    path: Path | None = None


def json_lines(stream: BinaryIO, notes: Notes) -> Iterator[JsonObject]:
    """Yield the objects of a stream's lines; a line that holds none is counted.

    Raises:
        OSError: the stream could not be read.
    """
    for block in blocks(stream, limit=MAX_FOREIGN_LINE):
        if block is None:
            notes.skip(f"line longer than {MAX_FOREIGN_LINE >> 20} MiB")
            continue
        lines = block.removeprefix(_BOM).split(b"\n")
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            value = parsed(line)
            if isinstance(value, dict):
                yield value
            elif value is not None:
                notes.skip("line that is no JSON object")
            else:
                cut = number == len(lines)  # the stream ended without a line feed
                notes.skip("last line, cut short" if cut else "line that is not JSON in UTF-8")


def documents(source: Source, notes: Notes) -> list[Any]:
    """Return the JSON values of a file: one, or one a line. A line that is none is counted.

    Raises:
        CcpaError: the file is too large to hold.
        OSError: it could not be read.
    """
    data = source.stream.read(MAX_DOCUMENT + 1).removeprefix(_BOM)
    if len(data) > MAX_DOCUMENT:
        raise CcpaError(f"{source.name}: larger than {MAX_DOCUMENT >> 30} GiB")
    whole = parsed(data)
    if whole is not None:
        return [whole]
    lines = [line for line in data.split(b"\n") if line.strip()]
    found = [value for line in lines if (value := parsed(line)) is not None]
    for _ in range(len(lines) - len(found)):
        notes.skip("line that is not JSON in UTF-8")
    return found


def parsed(line: bytes | str) -> Any:
    """Return the JSON value of a text, or None where it has none."""
    try:
        return msgspec.json.decode(line)
    except _UNREADABLE:
        return None
