"""Talking to a command over its standard input and output, a line at a time, while it runs."""

import os
import select
import subprocess
import time
from pathlib import Path
from typing import Protocol

_CHUNK = 1 << 16
_LOOK_S = 0.1  # what a command leaves running may hold its output open


class Talk(Protocol):
    """The other side of a conversation."""

    def first(self) -> bytes:
        """Return what is said before anything is heard."""

    def heard(self, line: bytes) -> bytes | None:
        """Take a line, without its end; return what is said to it, None to say nothing ever more.

        After that the command's input is at its end, and what it still says only goes to the file.
        """


class Line:
    """The pipes of one conversation. What the command says is also written to `output`.

    The command gets `stdin` and `stdout`; when it has them, `keep` does the talking.
    """

    def __init__(self, talk: Talk, output: Path) -> None:
        self._talk = talk
        self._output = output
        self.stdin, self._said = os.pipe()
        self._heard, self.stdout = os.pipe()
        self._open = {self.stdin, self._said, self._heard, self.stdout}
        os.set_blocking(self._said, False)
        os.set_blocking(self._heard, False)
        self._pending = talk.first()
        self._rest = b""

    def __enter__(self) -> "Line":
        """Nothing is to be done."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        for descriptor in tuple(self._open):
            self._close(descriptor)

    def keep(self, process: subprocess.Popen[bytes], *, timeout_s: float) -> None:
        """Talk until the command has ended, or time is up."""
        self._close(self.stdin)
        self._close(self.stdout)
        end = time.monotonic() + timeout_s
        with self._output.open("wb") as output:
            while (left := end - time.monotonic()) > 0:
                ended = process.poll() is not None
                writable = [self._said] if self._pending and self._said in self._open else []
                readable, able, _ = select.select([self._heard], writable, [], min(left, _LOOK_S))
                if able:
                    self._speak()
                if not readable:
                    if ended:
                        return
                    continue
                data = os.read(self._heard, _CHUNK)
                if not data:
                    return
                output.write(data)
                self._hear(data)

    def _hear(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            answer = self._talk.heard(line) if self._said in self._open else b""
            if answer is None:
                self._close(self._said)
            else:
                self._pending += answer

    def _speak(self) -> None:
        try:
            self._pending = self._pending[os.write(self._said, self._pending) :]
        except BrokenPipeError:
            self._close(self._said)

    def _close(self, descriptor: int) -> None:
        if descriptor in self._open:
            self._open.remove(descriptor)
            os.close(descriptor)
