"""Output without end, kept within bounds: its head, its tail, and a digest of it all."""

import hashlib

from msgspec import Struct

HEAD = 20_000
TAIL = 10_000
"""Characters kept of the beginning and the end. What fits into both together is kept whole."""


class Kept(Struct, frozen=True):
    """Text that was kept. `sha256` is the digest of all of it, as UTF-8, where some was cut."""

    text: str
    sha256: str | None = None

    @property
    def truncated(self) -> bool:
        """Whether some was cut."""
        return self.sha256 is not None


class Capture:
    """Collects text in memory of constant size."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._head = ""
        self._tail = ""
        self._length = 0
        self._digest = hashlib.sha256()

    def feed(self, text: str) -> None:
        """Add text at the end."""
        self._length += len(text)
        self._digest.update(text.encode(errors="replace"))
        room = HEAD - len(self._head)
        if room > 0:
            self._head += text[:room]
            text = text[room:]
        self._tail = (self._tail + text)[-TAIL:]

    def take(self) -> Kept:
        """Return what came since the last `take`, and begin anew."""
        kept = self._kept()
        self._start()
        return kept

    def _kept(self) -> Kept:
        cut = self._length - len(self._head) - len(self._tail)
        if not cut:
            return Kept(self._head + self._tail)
        note = f"\n[... {cut:,} characters cut ...]\n"
        return Kept(self._head + note + self._tail, self._digest.hexdigest())
