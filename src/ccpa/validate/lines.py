"""A stream of bytes, cut into blocks of whole lines, in bounded memory."""

from collections.abc import Iterator
from typing import BinaryIO

from ccpa.trace import MAX_LINE_BYTES

BLOCK_BYTES = 64 * 1024


def blocks(stream: BinaryIO, *, limit: int = MAX_LINE_BYTES) -> Iterator[bytes | None]:
    r"""Yield the stream as blocks that end in `\n`, but for the last where the stream does not.

    None stands for one line of more than `limit` bytes, which is passed over and never held.
    At most `limit` bytes and two blocks are in memory.

    Raises:
        OSError: the stream could not be read.
    """
    start = bytearray()  # of a line whose end has not been seen
    skipping = False
    while chunk := stream.read(BLOCK_BYTES):
        first = chunk.find(b"\n") + 1
        if len(start) + (first or len(chunk)) - bool(first) > limit:
            skipping = True
        if skipping:
            start.clear()
            if not first:
                continue
            yield None
            skipping = False
            chunk = chunk[first:]
        last = chunk.rfind(b"\n") + 1
        if last:
            yield bytes(start + chunk[:last]) if start else chunk[:last]
            start.clear()
        start += chunk[last:]
    if skipping:
        yield None
    elif start:
        yield bytes(start)
