"""The sink that keeps a session on disk: each line is there when the thing has happened."""

import contextlib
import datetime
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from apr import __version__
from apr.agent.events import Event, Remembered, Rewritten
from apr.agent.prompt import look_around
from apr.legible import legible
from apr.sessions import lines
from apr.sessions.lines import Line, Named, Opened, Recorded, Rewrote, Said, Seen
from apr.sessions.places import held, path_of, prepare
from ccpa.trace import Record, UserPrompt

_RECORDS = get_args(Record)


class SessionWriter:
    """Appends what happens to a session's file, which no other process may have open.

    A failure to write is told to `warn` once; the run goes on, and the file stays valid.

    Args:
        root: the project.
        session_id: whose file: a new one, or one that is gone on with.
        model: the model's name.
        parent: the session that this one was forked from.
        warn: takes what a person should know.

    Raises:
        SessionError: another process works on this session.
        OSError: the file cannot be opened.
    """

    def __init__(
        self,
        root: Path,
        session_id: str,
        *,
        model: str,
        parent: str | None = None,
        warn: Callable[[str], None],
    ) -> None:
        self.path = path_of(root, session_id)
        self._warn = warn
        prepare(root)
        self._fd: int | None = os.open(
            self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise held(session_id) from None
        self._size = whole_lines(self._fd)
        self.write(
            Opened(
                id=session_id,
                cwd=legible(str(root)),
                model=model,
                ts=datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
                agent_version=__version__,
                parent=parent,
                branch=look_around(root).branch,
            )
        )

    def __call__(self, event: Event) -> None:
        """Write the event, if the session needs it to go on."""
        if isinstance(event, UserPrompt):
            self.write(Recorded(event, int(time.time())))
        elif isinstance(event, _RECORDS):
            self.write(Recorded(event))
        elif isinstance(event, Remembered):
            self.write(Said(event.message))
        elif isinstance(event, Rewritten):
            self.write(Rewrote(event.messages, event.back_to))

    def saw(self, path: Path, stamp: bytes) -> None:
        """Write that the model knows a file; with an empty stamp, that it knows it no more."""
        self.write(Seen(legible(str(path)), stamp.hex()))

    def call(self, name: str) -> None:
        """Give the session a name."""
        self.write(Named(legible(name)))

    def write(self, line: Line) -> None:
        """Append a line."""
        if self._fd is None:
            return
        data = lines.encode(line)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            with contextlib.suppress(OSError):  # half a line is worse than none
                os.ftruncate(self._fd, self._size)
            self._warn(f"the session is not stored any further: {self.path}: {error.strerror}")
            self.close()
        else:
            self._size += written

    def close(self) -> None:
        """Close the file, and give the session free."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def whole_lines(descriptor: int) -> int:
    """Cut off what a crash left of a last line; return the size."""
    size = end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - (1 << 16))
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end != size:
        os.ftruncate(descriptor, end)
    return end
