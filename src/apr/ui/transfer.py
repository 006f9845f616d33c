"""How a download gets on, for people: a bar on a terminal, lines anywhere else."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from apr.models.download import Watch
from apr.ui.amounts import duration, size
from apr.ui.terminal import plain

if TYPE_CHECKING:
    from rich.progress import Progress

STEPS = 10
"""Into how many parts a download is divided; each is worth a line."""
SILENCE_S = 30.0
"""After this time there is a line in any case."""


@contextmanager
def watching(stream: TextIO) -> Iterator[Watch]:
    """Show a download on a stream until it is over."""
    if not stream.isatty():
        yield Lines(stream)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream), transient=True) as progress:
        yield Bar(progress)


class Bar:
    """A bar with speed and time left, and what happens above it."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, visible=False)
        self._found = 0

    def expect(self, total: int) -> None:
        """Show the bar."""
        self._progress.update(self._task, total=total, visible=True)

    def found(self, count: int) -> None:
        """Begin further on; this says nothing of the speed."""
        self._found += count
        self._progress.reset(self._task, completed=self._found, visible=True)

    def moved(self, count: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, advance=count, visible=True)

    def say(self, text: str) -> None:
        """Print above the bar."""
        self._progress.console.print(plain(text), markup=False, highlight=False, soft_wrap=True)


class Lines:
    """A line for each tenth."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._total: int | None = None
        self._found = self._come = 0
        self._told = 0
        self._began = self._told_at = time.monotonic()

    def expect(self, total: int) -> None:
        """Begin to count in tenths."""
        self._total = total
        self._began = time.monotonic()

    def found(self, count: int) -> None:
        """Begin further on."""
        self._found += count
        self._told = self._step()
        self._began = time.monotonic()

    def moved(self, count: int) -> None:
        """Tell every tenth, and that it goes on."""
        self._come += count
        now, step = time.monotonic(), self._step()
        self._told = min(self._told, step)  # it may have begun anew
        if step > self._told or now - self._told_at >= SILENCE_S:
            self._told, self._told_at = step, now
            self.say(self._line(now - self._began))

    def say(self, text: str) -> None:
        """Print a line."""
        print(plain(text), file=self._stream, flush=True)

    def _step(self) -> int:
        return (self._found + self._come) * STEPS // self._total if self._total else 0

    def _line(self, seconds: float) -> str:
        there, speed = self._found + self._come, max(self._come, 0) / max(seconds, 1e-3)
        if not self._total:
            return f"{size(there)}, {size(speed)}/s"
        left = duration((self._total - there) / speed) if speed else "?"
        return (
            f"{there / self._total:4.0%}  {size(there)} of {size(self._total)}, {size(speed)}/s, "
            f"{left} left"
        )
