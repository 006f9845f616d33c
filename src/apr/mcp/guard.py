"""How much a server may say. Beyond that it is not listened to any more."""

import time
from collections.abc import Callable

LARGEST_MESSAGE = 16 << 20
"""Bytes of one message."""
REQUEST_UNITS = 50
"""What a question of the server's costs: each is worked on, and answered."""
EVENT_UNITS = 5
"""What an event of an HTTP stream costs, which may hold a question."""
_UNIT = 64 << 10
_BURST = 5_000
_PER_SECOND = 200


class Flooded(Exception):
    """A server says more than anybody could want to hear."""


class Guard:
    """Counts what a server says: a message costs one unit, and one more for every 64 KiB.

    A burst of 5,000 units is free, and 200 come back each second: that is progress a hundred times
    a second for hours, or twenty results of nearly the largest size in a row, and not a loop gone
    wild.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = float(_BURST)
        self._at = clock()

    def heard(self, size: int, messages: int = 1) -> None:
        """Take so many bytes into account, in so many messages.

        Raises:
            Flooded: it was too much.
        """
        if size > LARGEST_MESSAGE:
            raise Flooded(f"it sent a message of more than {LARGEST_MESSAGE >> 20} MiB")
        now = self._clock()
        self._left = min(self._left + (now - self._at) * _PER_SECOND, _BURST)
        self._left -= messages + size / _UNIT
        self._at = now
        if self._left < 0:
            raise Flooded("it sent messages without end")
