"""Lines of standard input as they come, while everything else goes on."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator

import msgspec

from apr.headless.arrivals import BadLine

MOST_BYTES = 64 * 1024 * 1024
"""A longer line is no message: it bounds what must be held."""
_CHUNK = 1 << 16
_AHEAD = 16
"""Chunks that are read before somebody has looked at them."""


async def lines(descriptor: int) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a pipe, a file or a terminal, blank ones left out.

    What stands behind the last line break is a line if it is whole JSON, and else what is left of
    one that the other side has not finished.

    Raises:
        BadLine: a line is longer than `MOST_BYTES`.
    """
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)
    loop = asyncio.get_running_loop()
    # A thread, for an event loop cannot wait for a file; and raw reads, for a buffered reader's
    # lock would be held when the interpreter ends.
    reading = threading.Thread(
        target=_read, args=(descriptor, loop, chunks, room), name="stdin", daemon=True
    )
    reading.start()
    begun: list[bytes] = []
    size = 0
    while chunk := await chunks.get():
        room.release()
        *ended, rest = chunk.split(b"\n")
        for end in ended:
            line = b"".join([*begun, end])
            begun, size = [], 0
            if line.strip():
                yield line
        begun.append(rest)
        size += len(rest)
        if size > MOST_BYTES:
            raise BadLine(f"a line of standard input has more than {MOST_BYTES:,} bytes")
    last = b"".join(begun)
    if _whole(last):
        yield last


def _read(
    descriptor: int,
    loop: asyncio.AbstractEventLoop,
    chunks: asyncio.Queue[bytes],
    room: threading.Semaphore,
) -> None:
    """Put what comes into the queue, and nothing at the end."""
    chunk = b"begin"
    while chunk:
        room.acquire()
        try:
            chunk = os.read(descriptor, _CHUNK)
        except OSError:
            chunk = b""  # it is closed, or a terminal is gone
        try:
            loop.call_soon_threadsafe(chunks.put_nowait, chunk)
        except RuntimeError:  # the loop is over, and so are we
            return


def _whole(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
