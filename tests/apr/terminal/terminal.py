"""A terminal for tests: a pseudo-terminal that a program runs in, and a screen to read."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

import pyte
from wcwidth import wcwidth

from ccpa.scripted.server import ScriptedModel
from tests.apr.program import APR, environment

PATIENCE_S = 40.0


class Screen(pyte.HistoryScreen):
    """A screen that does not stop at characters without width, as pyte's own does."""

    def draw(self, data: str) -> None:
        super().draw("".join(c for c in data if wcwidth(c) or unicodedata.combining(c)))


class Terminal:
    """`apr` in a terminal of its own."""

    model: ScriptedModel
    """What it talks to."""

    def __init__(
        self,
        *words: str | Path,
        home: Path,
        cwd: Path,
        size: tuple[int, int] = (80, 24),
        env: Mapping[str, str] | None = None,
        program: str = APR,
    ) -> None:
        columns, rows = size
        self.screen = Screen(columns, rows, history=5000)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [program, *map(str, words)],
            cwd=cwd,
            env={**environment(home), "TERM": "xterm-256color", **(env or {})},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def type(self, text: str) -> None:
        """Press the keys of a text."""
        left = text.encode()
        while left:
            left = left[os.write(self._master, left) :]

    def enter(self, text: str) -> None:
        """Type a line and press Enter."""
        self.type(text + "\r")

    def asked(self) -> str:
        """What the model was asked last: the text of its last prompt."""
        content = self.model.requests[-1]["messages"][-1]["content"]
        if isinstance(content, str):
            return content
        return "".join(part.get("text", "") for part in content)

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size, as a person does who drags its corner."""
        self.screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def text(self) -> str:
        """What is to be read, scrolled out included."""
        history = ["".join(c.data for c in row.values()) for row in self.screen.history.top]
        return "\n".join(line.rstrip() for line in [*history, *self.screen.display])

    def until(self, pattern: str) -> str:
        """Wait until a pattern is to be read; return the whole text."""
        deadline = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.text()):
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self.text()}"
            self._read()
        return self.text()

    def shows(self, wanted: str, normal: Callable[[str], str]) -> str:
        """Wait until what is to be read is `wanted`, volatile parts aside; return what is."""
        deadline = time.monotonic() + PATIENCE_S
        while (text := normal(self.text())) != wanted and time.monotonic() < deadline:
            self._read()
        return text

    def rests(self, quiet_s: float = 2.0) -> str:
        """Wait until what is to be read has not changed for a while; return it."""
        text, since = self.text(), time.monotonic()
        while time.monotonic() - since < quiet_s:
            self._read()
            if (now := self.text()) != text:
                text, since = now, time.monotonic()
        return text

    def echoes(self) -> bool:
        """Whether it is as a shell has it: lines are edited by the system, and seen."""
        _, _, _, local, *_ = termios.tcgetattr(self._master)
        return bool(local & termios.ECHO and local & termios.ICANON)

    def leave(self) -> int:
        """Wait until the program has ended; return its exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.text()}"
            self._read()
        return self.process.returncode

    def hang_up(self) -> int:
        """Go away, as a window that is closed; return the program's exit code."""
        os.close(self._master)
        self._master = os.open(os.devnull, os.O_RDWR)
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """End the program."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)

    def _read(self) -> None:
        if not select.select([self._master], [], [], 0.05)[0]:
            return
        with contextlib.suppress(OSError):  # the program has closed its side
            data = os.read(self._master, 1 << 16)
            self.raw += data
            self._stream.feed(data)
            if b"\x1b[6n" in data:  # it asks where the cursor is, as terminals are asked
                at = self.screen.cursor
                os.write(self._master, b"\x1b[%d;%dR" % (at.y + 1, at.x + 1))
