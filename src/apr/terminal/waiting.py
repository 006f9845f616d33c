"""The prompts that wait until the agent has time for them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from msgspec import Struct
from prompt_toolkit.utils import get_cwidth

from apr.agent.prompt import Asked
from apr.terminal.fitting import cut
from apr.ui.terminal import line

_FEWEST = 12
"""Columns that the beginning of a prompt gets, if it is shown at all."""


class Waiting(Struct, frozen=True):
    """A prompt that waits. `typed` is the line it was; None for what nobody has typed."""

    asked: Asked
    typed: str | None = None


class Queue:
    """What a session is to be asked, one after the other.

    Args:
        changed: called when something has come or gone.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._changed = changed
        self._waiting: deque[Waiting] = deque()
        self._idle = False
        """Whether whoever asks has nothing else to do: then the first does not wait."""
        self._news = asyncio.Event()
        self._closed = False

    def put(self, asked: Asked, typed: str | None = None) -> None:
        """Add to its end."""
        self._waiting.append(Waiting(asked, typed))
        self._tell()

    def close(self) -> None:
        """Let nothing more be asked, what waits included."""
        self._waiting.clear()
        self._closed = True
        self._tell()

    async def each(self) -> AsyncIterator[Asked]:
        """Yield what is asked, as it comes, until the queue is closed."""
        while not self._closed:
            if self._waiting:
                waiting = self._waiting.popleft()
                self._idle = False
                self._changed()
                yield waiting.asked
            else:
                self._news.clear()
                self._idle = True
                await self._news.wait()

    def typed(self) -> list[str]:
        """Return the lines that wait, the next first."""
        return [one.typed for one in self._behind() if one.typed is not None]

    def take_last(self) -> str | None:
        """Take the last line that was typed out again, and return it."""
        typed = [one for one in self._behind() if one.typed is not None]
        if not typed:
            return None
        self._take([typed[-1]])
        return typed[-1].typed

    def take_all(self) -> list[str]:
        """Take all lines that were typed out again, and return them in their order."""
        typed = self.typed()
        self._take([one for one in self._behind() if one.typed is not None])
        return typed

    def _behind(self) -> list[Waiting]:
        """Return what has to wait."""
        return [*self._waiting][1 if self._idle else 0 :]

    def _take(self, taken: list[Waiting]) -> None:
        self._waiting = deque(one for one in self._waiting if not any(one is t for t in taken))
        self._changed()

    def _tell(self) -> None:
        self._news.set()
        self._changed()


def shown(typed: list[str], columns: int, key: str) -> str:
    """Return a line, of so many columns at most, that says what waits: how many, how they begin.

    Args:
        typed: the lines, as people read them.
        columns: how many there are.
        key: what takes the last one back; empty where no key does.
    """
    head = f"{len(typed)} waiting"
    tail = f" ({key}: edit the last)" if key else ""
    left = columns - get_cwidth(head) - get_cwidth(tail)
    for text in typed:
        words = f" · {line(' '.join(text.split()))}"
        if left < _FEWEST:
            break
        begun = cut(words, left)
        head += begun
        left -= get_cwidth(begun)
    return cut(head + tail, columns)
