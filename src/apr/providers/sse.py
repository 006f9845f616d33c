"""Server-Sent Events, as the WHATWG specification reads them, from bytes in pieces of any size."""

import re

from msgspec import Struct

from apr.providers.base import ProviderError

LARGEST_EVENT = 16 * 1024 * 1024
"""Bytes. A server that sends more without ending the event is broken or hostile."""

_USUAL = re.compile(rb"data: ([^\r\n]*)\n\n")
"""One whole event, as servers send one for each token."""
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class ServerEvent(Struct, frozen=True):
    """One event. `data` has its lines joined by newlines."""

    data: str
    type: str = "message"


class EventParser:
    """Splits a stream of bytes into events."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._searched = 0
        self._skip_newline = False
        self._first = True
        self._data: list[str] = []
        self._size = 0
        self._type = ""

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Take bytes, return the events they complete.

        Raises:
            ProviderError: an event is larger than `LARGEST_EVENT`.
        """
        if not chunk:
            return []
        if not (self._line or self._data or self._type or self._first or self._skip_newline):
            usual = _USUAL.fullmatch(chunk)
            if usual is not None:
                return [ServerEvent(usual[1].decode("utf-8", "replace"))]
        if self._skip_newline:
            chunk = chunk.removeprefix(b"\n")  # the other half of a CRLF
            self._skip_newline = False
        self._line += chunk
        if self._size + len(self._line) > LARGEST_EVENT + len(chunk):
            raise ProviderError(
                f"The model's server sent an event of more than {LARGEST_EVENT} bytes; "
                "the answer was dropped.",
                retryable=True,
            )
        events, start = [], 0
        while match := _LINE_END.search(self._line, self._searched):
            event = self._take(bytes(self._line[start : match.start()]))
            if event:
                events.append(event)
            start = self._searched = match.end()
        self._skip_newline = start > 0 and start == len(self._line) and self._line.endswith(b"\r")
        del self._line[:start]
        self._searched = len(self._line)
        return events

    def finish(self) -> list[ServerEvent]:
        """End the stream: an event whose closing blank line is missing is still returned."""
        events = [self._take(bytes(self._line)) if self._line else None, self._dispatch()]
        self._line.clear()
        return [event for event in events if event]

    def _take(self, line: bytes) -> ServerEvent | None:
        if self._first:
            line = line.removeprefix(_BOM)
            self._first = False
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value.decode("utf-8", "replace"))
            self._size += len(line)
        elif name == b"event":
            self._type = value.decode("utf-8", "replace")
        return None

    def _dispatch(self) -> ServerEvent | None:
        event = ServerEvent("\n".join(self._data), self._type or "message") if self._data else None
        self._data, self._size, self._type = [], 0, ""
        return event
