"""Draw a session at the terminal, as an SVG that plays it: each line appears when it did.

    python tools/session.py OUT.svg

`apr code` runs for real, on a pseudo-terminal, with the demo model in the real engine; what is
typed stands in `STEPS`. Where pictures do not move, the whole session is seen. `make picture` draws
the README's.
"""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from xml.sax.saxutils import escape

import pyte
from pyte.screens import Char

from demo import BIN, STAGE, environment, set_stage

COLUMNS, ROWS = 100, 30
STEPS = (
    ("demo · default", "{prompt}\r"),
    ("allow", "y\r"),
    ("unittest(?s:.*)allow", "y\r"),
    (r"tests\s+pass(?s:.*)\$0\.00$", ""),  # the status line says no more that it works
)
"""What is waited for, and the keys that are pressed then."""
PATIENCE_S = 120.0
KEY_S = 0.04
"""Between two keys: somebody types."""
LONGEST_S = 1.5
"""No longer is anything waited for when the session is played."""
CELL, LINE, MARGIN = 8.4, 19, 16
BACKGROUND = "#0d1117"
PALETTE = {
    "default": "#e6edf3",
    "black": "#6e7681",
    "red": "#ff7b72",
    "green": "#56d364",
    "brown": "#e3b341",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#56d4dd",
    "white": "#e6edf3",
}

Line = tuple[Char, ...]


class Faint(pyte.HistoryScreen):
    """A screen that knows faint text, which pyte does not: it blinks here, as nothing else does."""

    def select_graphic_rendition(self, *attrs: int, **kwargs: bool) -> None:
        """Take a change of colours."""
        own: list[int] = []
        left = list(attrs)
        while left:
            attr = left.pop(0)
            own.append({2: 5}.get(attr, attr))
            if attr in {38, 48} and left:
                own += [left.pop(0) for _ in range(2 if left[0] == 5 else 4)]
            elif attr == 22:
                own.append(25)
        super().select_graphic_rendition(*own, **kwargs)


class Recorded:
    """A program at a terminal: what it shows, and since when each line is as it is at the end."""

    def __init__(self, command: list[str], project: Path) -> None:
        self._screen = Faint(COLUMNS, ROWS, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            command,
            cwd=project,
            env={**environment(), "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._began = time.monotonic()
        self._since: list[tuple[Line, float]] = []

    def until(self, pattern: str) -> None:
        """Wait until a pattern is to be read."""
        deadline = time.monotonic() + PATIENCE_S
        while not re.search(pattern, text := "\n".join(map(_text, self._lines()))):
            if time.monotonic() > deadline or not self._read(0.2):
                raise SystemExit(f"no {pattern!r} in:\n{text}")

    def press(self, keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            os.write(self._ours, key.encode())
            self._rest(KEY_S)

    def end(self) -> list[tuple[Line, float]]:
        """Leave; return the lines, each with the seconds after which it was there."""
        self._rest(1.0)
        seen = list(self._since)
        os.write(self._ours, b"\x04")
        if self._process.wait(PATIENCE_S):
            raise SystemExit(f"it ended with {self._process.returncode}")
        os.close(self._ours)
        return seen

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def _read(self, patience_s: float) -> bool:
        if not select.select([self._ours], [], [], patience_s)[0]:
            return True
        try:
            data = os.read(self._ours, 1 << 16)
        except OSError:
            return False
        if b"\x1b[6n" in data:  # where is the cursor?
            cursor = self._screen.cursor
            os.write(self._ours, f"\x1b[{cursor.y + 1};{cursor.x + 1}R".encode())
        self._stream.feed(data)
        now, lines = time.monotonic() - self._began, self._lines()
        known = dict(enumerate(self._since))
        self._since = [
            known[at] if at in known and known[at][0] == line else (line, now)
            for at, line in enumerate(lines)
        ]
        return True

    def _lines(self) -> list[Line]:
        rows = [*self._screen.history.top, *(self._screen.buffer[y] for y in range(ROWS))]
        lines = [tuple(row[x] for x in range(COLUMNS)) for row in rows]
        while lines and not _text(lines[-1]):
            lines.pop()
        return lines


def _text(line: Line) -> str:
    return "".join(char.data for char in line).rstrip()


def drawn(lines: list[tuple[Line, float]]) -> str:
    """Return the SVG. Of rows that are empty together only one is drawn."""
    lines = [
        line for n, line in enumerate(lines) if _text(line[0]) or n == 0 or _text(lines[n - 1][0])
    ]
    width, height = COLUMNS * CELL + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN
    shown: list[str] = []
    times = sorted({at for _, at in lines})
    clock, delays = 0.0, {}
    for before, now in pairwise([0.0, *times]):
        clock += min(now - before, LONGEST_S)
        delays[now] = clock
    for number, (line, at) in enumerate(lines):
        runs = "".join(_runs(line, MARGIN + (number + 0.75) * LINE))
        if runs:
            shown.append(f'<g style="animation-delay:{delays[at]:.2f}s">{runs}</g>')
    box = f'viewBox="0 0 {width:.0f} {height:.0f}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" {box}>\n'
        "<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;"
        "white-space:pre}g{animation:appear 1ms both}@keyframes appear{from{opacity:0}}</style>\n"
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>\n'
        + "\n".join(shown)
        + "\n</svg>\n"
    )


def _runs(line: Line, y: float) -> Iterator[str]:
    """Yield a line's text, a piece for each style."""
    at = 0
    for style, group in groupby(line, lambda char: char._replace(data="")):
        chars = list(group)
        x, text = MARGIN + at * CELL, "".join(char.data for char in chars)
        at += len(chars)
        ink, paper = _colour(style.fg), _colour(style.bg)
        if style.reverse:
            ink, paper = BACKGROUND if style.bg == "default" else paper, ink
        if style.reverse or style.bg != "default":
            box = f'x="{x:.1f}" y="{y - 0.75 * LINE:.1f}" width="{len(chars) * CELL:.1f}"'
            yield f'<rect {box} height="{LINE}" fill="{paper}"/>'
        text = text.rstrip().replace(str(STAGE), "~")  # not where it was recorded
        if text:
            looks = ' font-weight="bold"' * style.bold + ' font-style="italic"' * style.italics
            looks += ' opacity="0.65"' * style.blink
            length = f'textLength="{len(text) * CELL:.1f}"'
            yield (
                f'<text x="{x:.1f}" y="{y:.1f}" fill="{ink}" {length}{looks}>{escape(text)}</text>'
            )


def _colour(name: str) -> str:
    """Return a colour: pyte gives a name, or six digits."""
    return PALETTE.get(name.removeprefix("bright"), f"#{name}")


def main() -> None:
    """Record it and draw it."""
    project, prompt, _ = set_stage()
    session = Recorded([str(BIN / "apr"), "code", "--model", "demo"], project)
    for pattern, keys in STEPS:
        session.until(pattern)
        session.press(keys.format(prompt=prompt))
    Path(sys.argv[1]).write_text(drawn(session.end()))


if __name__ == "__main__":
    main()
