"""How fast the model reads and writes, and how long it still needs."""

import time
from collections import deque
from collections.abc import Callable

from apr.terminal.cells import width
from apr.terminal.ink import Line
from apr.ui.amounts import duration

_WINDOW_S = 5.0
"""Time over which the speed of an answer that is coming is told."""
_SHORTEST_S = 0.2
"""Time below which no speed is told: it would be one of the machine's, not of the model."""
_BAR = 20
_WIDE = 72
"""Columns from which there is room for a bar."""


class Reading:
    """The model reads a prompt.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: tuple[float, int] | None = None
        self.done = self.total = self.cached = 0
        self.speed: float | None = None
        """Tokens per second, those not counted that were remembered."""

    def take(self, done: int, total: int, cached: int) -> None:
        """Take how far it has come."""
        if self._began is None or done < self.done:
            self._began = (self._clock(), max(done, cached))
            self.speed = None
        self.done, self.total, self.cached = done, total, cached
        since, first = self._began
        if done > first and (elapsed := self._clock() - since) >= _SHORTEST_S:
            self.speed = (done - first) / elapsed

    @property
    def left_s(self) -> float | None:
        """The seconds it still needs, as far as can be told."""
        return (self.total - self.done) / self.speed if self.speed else None

    def line(self, columns: int) -> Line:
        """Return how far it has come, in a line."""
        parts = [f"{self.done:,} of {self.total:,} tokens"]
        if self.cached:
            parts.append(f"{self.cached:,} remembered")
        if self.speed:
            parts.append(f"{self.speed:,.0f} a second")
        if (left := self.left_s) is not None:
            parts.append(f"{duration(left)} left")
        text = " · ".join(parts)
        line: Line = [("", "reading ")]
        if columns >= _WIDE and width(text) + _BAR + 10 <= columns:
            full = min(_BAR * self.done // max(self.total, 1), _BAR)
            line += [("ansicyan", "█" * full), ("dim", "░" * (_BAR - full)), ("", " ")]
        return [*line, ("dim", text)]


class Writing:
    """The model writes an answer. Servers send a token at a time; the whole count comes at the end.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._recent: deque[float] = deque()

    def take(self) -> None:
        """Take a token."""
        now = self._clock()
        if self._began is None:
            self._began = now
        self._recent.append(now)
        while now - self._recent[0] > _WINDOW_S:
            self._recent.popleft()

    @property
    def speed(self) -> float | None:
        """Tokens per second of late; None before there is anything to tell it by."""
        if len(self._recent) < 2:
            return None
        elapsed = self._clock() - self._recent[0]
        return (len(self._recent) - 1) / elapsed if elapsed >= _SHORTEST_S else None

    def end(self, tokens: int) -> float | None:
        """Return the speed of the whole answer, and begin anew."""
        began, self._began = self._began, None
        self._recent.clear()
        elapsed = self._clock() - began if began is not None else 0.0
        return (tokens - 1) / elapsed if elapsed >= _SHORTEST_S and tokens > 1 else None
