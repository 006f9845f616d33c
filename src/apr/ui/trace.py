"""The trace on disk: each record is written when the thing it records has happened."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from apr.agent.events import Event
from ccpa.trace import Record, encode, to_version_2

_RECORDS = get_args(Record)


class TraceWriter:
    """A sink that writes each record at once, so that a kill leaves a valid prefix.

    A failure is told to `warn` once; the run goes on, and what is on disk stays a valid prefix.
    """

    def __init__(self, path: Path, *, version: int, warn: Callable[[str], None]) -> None:
        self._path = path
        self._version = version
        self._warn = warn
        self._fd: int | None = None
        self._size = 0
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as error:
            self._give_up(error)

    def __call__(self, event: Event) -> None:
        """Write the event, if it is a record."""
        if self._fd is None or not isinstance(event, _RECORDS):
            return
        record = to_version_2(event) if self._version == 2 else event
        if record is None:
            return
        line = encode(record)
        written = 0
        try:
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError as error:
            if written:  # half a line is worse than none
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, self._size)
            self._give_up(error)
        else:
            self._size += written

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _give_up(self, error: OSError) -> None:
        self.close()
        self._warn(f"the trace is incomplete: {self._path}: {error.strerror}")
