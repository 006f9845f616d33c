"""Who is served next: so many at a time, so many waiting, and clients in turn.

A client is whoever `Client` tells apart. Each has a line of its own, and a free place goes to the
lines in rotation, so fifty requests of one client delay another's by one. When all lines together
are full, the longest gives way: the newest request there is refused.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from apr.providers.base import ProviderError

_SOONEST_S = 1.0
_LATEST_S = 120.0
_MEMORY = 0.8
"""How much of the mean time of service is what it was before the last request."""


class Busy(ProviderError):
    """The queue is full: come back in `retry_after` seconds."""


class Client(Struct, frozen=True):
    """Who asks, as far as fairness goes: the address, and a digest of the key."""

    address: str
    key: str


class FairQueue:
    """Places for `places` requests, and lines for `most_waiting` more."""

    def __init__(self, places: int, most_waiting: int) -> None:
        self.in_flight = 0
        self.waiting = 0
        self._places = places
        self._most_waiting = most_waiting
        self._lines: OrderedDict[Client, deque[asyncio.Future[None]]] = OrderedDict()
        self._service_s = 1.0

    @asynccontextmanager
    async def place(self, client: Client) -> AsyncIterator[None]:
        """Hold a place, once it is the client's turn.

        Raises:
            Busy: too many wait.
        """
        await self._enter(client)
        began = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - began
            self._service_s = _MEMORY * self._service_s + (1 - _MEMORY) * took
            self._leave()

    async def _enter(self, client: Client) -> None:
        if self.in_flight < self._places and not self._lines:
            self.in_flight += 1
            return
        if self.waiting >= self._most_waiting:
            self._make_room(client)
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(client, deque()).append(turn)
        self.waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave()  # the place was given to one who has just gone
            else:
                self._remove(client, turn)
            raise

    def _leave(self) -> None:
        """Pass a place on to the next line, if there is one."""
        self.in_flight -= 1
        while self._lines and self.in_flight < self._places:
            client, line = self._lines.popitem(last=False)
            turn = line.popleft()
            if line:
                self._lines[client] = line
            self.waiting -= 1
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)

    def _make_room(self, client: Client) -> None:
        """Refuse the newest request of the longest line, which may be the one that comes now."""
        longest = max(self._lines, key=lambda waiting: len(self._lines[waiting]), default=client)
        if longest == client or len(self._lines[longest]) <= len(self._lines.get(client, ())) + 1:
            raise self._busy()
        turn = self._lines[longest][-1]
        self._remove(longest, turn)
        turn.set_exception(self._busy())

    def _remove(self, client: Client, turn: "asyncio.Future[None]") -> None:
        line = self._lines.get(client)
        if line is None or turn not in line:
            return
        line.remove(turn)
        self.waiting -= 1
        if not line:
            del self._lines[client]

    def _busy(self) -> Busy:
        seconds = (self.waiting + self.in_flight) / self._places * self._service_s
        return Busy(
            f"{self.waiting} requests wait already. Try again in a moment.",
            retryable=True,
            retry_after=min(max(seconds, _SOONEST_S), _LATEST_S),
        )
