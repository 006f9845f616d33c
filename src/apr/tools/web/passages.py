"""The part of a long text that fits: its beginning, and what speaks of what was asked."""

import math
import re
from collections import Counter

_WORD = re.compile(r"[^\W_]{3,}")
_LONGEST = 1500
"""Characters of a piece that is taken or left as one."""
CUT = "[...]"


def passages(text: str, question: str, room: int) -> tuple[str, bool]:
    """Return about `room` characters of a text, in their order, and whether any are left out.

    A quarter of it is for the beginning, which says what the text is. The rest is for the
    paragraphs with the words of the question, the rarer a word in the text, the more it counts.
    `[...]` stands where something is left out.
    """
    if len(text) <= room:
        return text, False
    pieces = _pieces(text)
    words = [frozenset(map(str.casefold, _WORD.findall(piece))) for piece in pieces]
    asked = frozenset(map(str.casefold, _WORD.findall(question)))
    spread = Counter(word for found in words for word in found & asked)
    weights = [
        sum(math.log(1 + len(pieces) / spread[word]) for word in sorted(found & asked))
        for found in words
    ]
    chosen, used = set[int](), 0
    for index, piece in enumerate(pieces):
        if chosen and used + len(piece) > room // 4:
            break
        chosen.add(index)
        used += len(piece)
    for index in sorted(range(len(pieces)), key=lambda index: (-weights[index], index)):
        if index not in chosen and used + len(pieces[index]) <= room:
            chosen.add(index)
            used += len(pieces[index])
    shown: list[str] = []
    for index, piece in enumerate(pieces):
        if index in chosen:
            shown.append(piece)
        elif not shown or shown[-1] != CUT:
            shown.append(CUT)
    return "\n\n".join(shown), True


def _pieces(text: str) -> list[str]:
    """Cut a text into its paragraphs, and long ones further."""
    return [
        paragraph[start : start + _LONGEST]
        for paragraph in re.split(r"\n\s*\n", text)
        for start in range(0, len(paragraph), _LONGEST)
    ]
