"""Server-sent events, read as they come in, whatever the pieces."""

from collections.abc import Iterator

LARGEST_EVENT = 64 * 1024 * 1024
"""Bytes: a line or an event that is longer is no model's."""


class EventTooLarge(Exception):
    """A stream that cannot be followed any further."""


class EventReader:
    r"""Takes a stream's bytes; yields the data of each event that they complete.

    As the HTML standard has it: lines end in `\n`, `\r` or both, an event ends at an empty line,
    several `data` lines are one text, and everything else is passed over.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Take the next bytes.

        Raises:
            EventTooLarge: an event is larger than `LARGEST_EVENT`.
        """
        # A `\r` at the very end may be half of a line's end: it waits for what follows.
        held = self._rest + piece
        cut = len(held) - held.endswith(b"\r")
        lines = held[:cut].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop() + held[cut:]
        if len(self._rest) > LARGEST_EVENT:
            raise EventTooLarge
        for line in lines:
            yield from self._line(line)

    def _line(self, line: bytes) -> Iterator[bytes]:
        if not line:
            if self._data:
                yield b"\n".join(self._data)
            self._data, self._size = [], 0
        elif line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
            self._size += len(line)
            if self._size > LARGEST_EVENT:
                raise EventTooLarge
