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

_PIECE = 4000
"""Names that are looked through before others get their turn: half a millisecond."""
_ENOUGH = 300
"""Names that fit, among which the best are looked for."""
_FEW = 20
"""Names that fit well, beyond which nobody looks for those that fit less well."""
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
        self.names = [name for length in sorted(by_length) for name in by_length[length]]
        """All of them, the shortest first."""
        self._paths = _Column(map(fold, self.names))
        self._lasts = _Column(path[_base(path) :] for path in self._paths.texts)
        # Most are the same folded, and are held once.
        self.names = list(map(_same, self.names, self._paths.texts))

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
        for look in (self._lasts.side_by_side, self._lasts.in_order, self._paths.in_order):
            fitting.update(self.names[index] for index in await look(wanted))
            if len(fitting) >= _FEW:
                break
        fitting.discard(typed)
        return sorted(fitting, key=lambda name: _cost(name, wanted, near.get(name)))[:most]


class _Column:
    """Texts that are looked through together; an index into it is one into the names."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._text = "\n".join(texts)
        # Side by side in memory, as they are read: that halves the time of a search.
        self.texts = self._text.split("\n") if self._text else []
        ends = accumulate((len(one) + 1 for one in self.texts), initial=0)
        self._starts = array("L", ends)
        self._narrowed: tuple[str, list[int], int] = ("", [], 0)
        """What was last looked for, which had it, and how many had been looked at."""

    async def side_by_side(self, wanted: str) -> list[int]:
        """Return the first that have the letters side by side."""
        found: list[int] = []
        at = 0
        while self.texts and len(found) < _ENOUGH and (at := self._text.find(wanted, at)) >= 0:
            index = bisect_right(self._starts, at) - 1
            found.append(index)
            at = self._starts[index + 1]
        return found

    async def in_order(self, wanted: str) -> list[int]:
        """Return the first that have the letters in their order.

        Who types on looks through what has fitted so far, and goes on where the search has stopped:
        so each text is looked at about once, however many letters are typed.
        """
        from rapidfuzz import process
        from rapidfuzz.distance import LCSseq

        def fitting(among: Sequence[int], texts: list[str]) -> list[int]:
            fits = process.extract(
                wanted, texts, scorer=LCSseq.similarity, score_cutoff=len(wanted), limit=None
            )
            return [among[place] for _, _, place in fits]

        before, fitted, at = self._narrowed
        if not wanted.startswith(before):
            fitted, at = [], 0
        found = fitting(fitted, [self.texts[index] for index in fitted])
        while at < len(self.texts) and len(found) < _ENOUGH:
            piece = self.texts[at : at + _PIECE]
            found += fitting(range(at, at + len(piece)), piece)
            at += len(piece)
            await asyncio.sleep(0)
        self._narrowed = (wanted, found, at)
        return found[:_ENOUGH]


def _same(name: str, folded: str) -> str:
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
        if at + 1 != behind:
            misfit += 0.1 if behind >= 0 and _starts_word(shown, behind) else 0.5
        behind = at
    if at == base:
        return misfit - 0.8
    return misfit - 0.4 * _starts_word(shown, at) + (at < base)


def _starts_word(shown: str, at: int) -> bool:
    before, here = shown[at - 1 : at], shown[at]
    return not before.isalnum() or (here.isupper() and before.islower())
