"""Which of very many files somebody means who has typed some letters of a name. Pure.

Most of the work is done by two things in C: a search through all last names as one text, and the
longest common subsequence of `rapidfuzz`. Both stop early, for the names stand with the shortest
path first: of what fits equally well the shortest is meant, and the rest need not be looked at.
"""

import asyncio
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

_PIECE = 10_000
"""Names that are looked through before others get their turn: about two milliseconds."""
_ENOUGH = 400
"""Names that fit, among which the best are looked for."""
_LONGEST = 64
"""Letters of what is typed that count: so many fit in one word of the machine."""


def fold(name: str) -> str:
    """Return a name without what people do not care about when they type it."""
    return (name if name.isascii() else unicodedata.normalize("NFC", name)).casefold()


class Catalogue:
    """Names of files and directories (with a `/` at the end), made ready to be searched.

    Args:
        names: paths relative to the project, without line breaks.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        by_length: dict[int, list[str]] = {}
        for name in names:  # no sort: in one go it would keep the event loop waiting
            by_length.setdefault(len(name), []).append(name)
        self.names: list[str] = []
        """All of them, the shortest first."""
        self._folded: list[str] = []
        for length in sorted(by_length):
            # Side by side in memory, as they are read: that halves the time of a search.
            folded = "\n".join(map(fold, by_length[length])).split("\n")
            self._folded += folded
            self.names += map(_same, by_length[length], folded)
        lasts = [folded[_base(folded) :] for folded in self._folded]
        self._lasts = "\n".join(lasts)
        ends = accumulate((len(last) + 1 for last in lasts), initial=0)
        self._starts = array("L", ends)
        self._narrowed: tuple[str, Sequence[int]] = ("", range(len(self.names)))

    def __len__(self) -> int:
        return len(self.names)

    async def search(self, typed: str, *, recent: Sequence[str] = (), most: int = 50) -> list[str]:
        """Return the names that have the letters of `typed` in their order, the likeliest first.

        Args:
            typed: what somebody has typed of the path.
            recent: paths worked on, the last first. They come first among what fits alike, and
                count although they are in the catalogue no longer, or not yet.
            most: names to return.
        """
        wanted = fold(typed)[:_LONGEST]
        near = {name: place for place, name in enumerate(recent)}
        fitting = {name for name in near if _has(fold(name), wanted)}
        found = self._in_last_names(wanted)
        if len(found) < most:
            found += await self._in_order(wanted)
        fitting.update(self.names[index] for index in found)
        fitting.discard(typed)
        return sorted(fitting, key=lambda name: _cost(name, wanted, near.get(name)))[:most]

    def _in_last_names(self, wanted: str) -> list[int]:
        """Return the first names whose last part has the letters side by side."""
        found: list[int] = []
        text, starts, at = self._lasts, self._starts, 0
        while self.names and len(found) < _ENOUGH and (at := text.find(wanted, at)) >= 0:
            index = bisect_right(starts, at) - 1
            found.append(index)
            at = starts[index + 1]
        return found

    async def _in_order(self, wanted: str) -> list[int]:
        """Return the first names that have the letters in their order, wherever.

        Whoever types on looks only through what has fitted so far.
        """
        from rapidfuzz import process
        from rapidfuzz.distance import LCSseq

        before, among = self._narrowed
        if not before or not wanted.startswith(before):
            among = range(len(self.names))
        found: list[int] = []
        for start in range(0, len(among), _PIECE):
            piece = among[start : start + _PIECE]
            fits = process.extract(
                wanted,
                self._pick(piece),
                scorer=LCSseq.similarity,
                score_cutoff=len(wanted),
                limit=_ENOUGH - len(found),
            )
            found += [piece[place] for _, _, place in fits]
            if len(found) >= _ENOUGH:
                return found
            await asyncio.sleep(0)
        self._narrowed = (wanted, found)
        return found

    def _pick(self, piece: Sequence[int]) -> list[str]:
        if isinstance(piece, range):
            return self._folded[piece.start : piece.stop]
        return [self._folded[index] for index in piece]


def _same(name: str, folded: str) -> str:
    """Return the name; where it is the folded one, that, so that it is held once."""
    return folded if folded == name else name


def _base(path: str) -> int:
    """Return where the last name of a path starts."""
    return path.rfind("/", 0, len(path) - 1) + 1


def _has(folded: str, wanted: str) -> bool:
    letters = iter(folded)
    return all(letter in letters for letter in wanted)


def _cost(name: str, wanted: str, place: int | None) -> tuple[float, float, int, str]:
    """Return what orders names: how badly one fits, how long ago it was used, its length."""
    if place is None:
        return _misfit(name, wanted), float("inf"), len(name), name
    return (_misfit(name, wanted) if wanted else 0) - 1, place, len(name), name


def _misfit(name: str, wanted: str) -> float:
    """Say how badly letters fit a name that has them: 0 is best."""
    folded = fold(name)
    shown = name if len(name) == len(folded) else folded  # capitals start words
    base = _base(folded)
    if not wanted:
        return folded.count("/", 0, -1)
    at = folded.find(wanted, base)
    if at == base:
        rest = folded[at + len(wanted) :]
        return 0 if rest[:1] in {"", ".", "/"} else 1
    if at > 0:
        return 2 if _starts_word(shown, at) else 3
    at = folded.find(wanted)
    if at >= 0:
        return 4 if _starts_word(shown, at) else 5
    return _scattered(folded, shown, wanted, base)


def _scattered(folded: str, shown: str, wanted: str, base: int) -> float:
    """Say how badly letters fit that do not stand side by side: few pieces, at words' starts."""
    at, misfit, behind = len(folded), 5.5, -1
    for letter in reversed(wanted):
        at = folded.rfind(letter, 0, at)
        starts = _starts_word(shown, at)
        if at + 1 != behind:
            misfit += 0.5
        if starts:
            misfit -= 0.4
        behind = at
    return misfit if at >= base else misfit + 1


def _starts_word(shown: str, at: int) -> bool:
    before, here = shown[at - 1 : at], shown[at]
    return not before.isalnum() or (here.isupper() and before.islower())
