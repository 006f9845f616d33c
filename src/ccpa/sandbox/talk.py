"""Talking to a command over its standard input and output, a line at a time, while it runs."""

import os
import selectors
import subprocess
import time
from pathlib import Path
from typing import Protocol

_CHUNK = 1 << 16
_LONGEST = 64 * 1024 * 1024  # bytes of a line; of a longer one only the end is heard
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
        self._begun = bytearray()

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
                able = self._able(min(left, _LOOK_S))
                if self._said in able:
                    self._speak()
                if self._heard in able:
                    data = os.read(self._heard, _CHUNK)
                    output.write(data)
                    self._hear(data)
                    ended = not data
                if ended:
                    return

    def _able(self, wait_s: float) -> set[int]:
        """Return which of our ends can be used, as soon as one can."""
        with selectors.DefaultSelector() as ready:
            ready.register(self._heard, selectors.EVENT_READ)
            if self._pending and self._said in self._open:
                ready.register(self._said, selectors.EVENT_WRITE)
            return {key.fd for key, _ in ready.select(wait_s)}

    def _hear(self, data: bytes) -> None:
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._begun += end
            answer = self._talk.heard(bytes(self._begun)) if self._said in self._open else b""
            self._begun.clear()
            if answer is None:
                self._close(self._said)
            else:
                self._pending += answer
        self._begun += rest
        if len(self._begun) > _LONGEST:
            self._begun.clear()

    def _speak(self) -> None:
        try:
            self._pending = self._pending[os.write(self._said, self._pending) :]
        except BrokenPipeError:
            self._close(self._said)

    def _close(self, descriptor: int) -> None:
        if descriptor in self._open:
            self._open.remove(descriptor)
            os.close(descriptor)
