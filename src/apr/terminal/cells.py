"""How much room text takes on a terminal, and how it is fitted into less.

A terminal has cells: most characters take one, those of Chinese, Japanese and Korean and most emoji
two, combining marks none. Several characters can be one to the eye (a letter and its accents, a
family joined to one emoji): between those nothing is cut.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from wcwidth import clip, iter_graphemes
from wcwidth import width as cells

from apr.terminal.ink import Line, Run, said

TAB = 4
_WIDE = (
    "[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60"
    "\uffe0-\uffe6\U00020000-\U0003fffd]"
)
# White space; one wide character with its marks, behind which a line may end; a word's other part.
_PIECES = re.compile(
    rf"\n|[ \t]+|{_WIDE}[\u0300-\u036f\u3099\u309a\ufe00-\ufe0f]*|(?:(?!{_WIDE})[^ \t\n])+"
)
_FSI, _PDI = "\u2068", "\u2069"
_FROM_THE_RIGHT = re.compile(
    "[\u0590-\u08ff\u200f\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]"
)


def width(text: str) -> int:
    """Return the cells that a text without line ends takes."""
    return len(text) if text.isascii() else cells(text, control_codes="ignore")


def line_width(line: Iterable[Run]) -> int:
    """Return the cells that a line takes."""
    return sum(width(text) for _, text in line)


def cut(text: str, room: int) -> str:
    """Return a text that fits into `room` cells, its end replaced by `…` if it does not."""
    if len(text) <= room and text.isascii():
        return text
    text = text[: 8 * max(room, 1)]  # what is beyond cannot be in it, but for marks upon marks
    if width(text) <= room:
        return text
    return clip(text, 0, max(room - 1, 0)).rstrip(" ") + "…" if room > 0 else ""


def cut_line(line: Iterable[Run], room: int) -> Line:
    """Return a line that fits into `room` cells; see `cut`."""
    kept: Line = []
    for style, text in line:
        taken = width(text)
        if taken > room:
            kept.append((style, cut(text, room)))
            return kept
        kept.append((style, text))
        room -= taken
    return kept


def padded(line: Line, room: int, *, right: bool = False) -> Line:
    """Return a line with spaces to `room` cells."""
    space: Run = ("", " " * max(room - line_width(line), 0))
    return [space, *line] if right else [*line, space]


def untabbed(text: str) -> str:
    """Return a text without line ends with spaces for tabs, to the columns they mean."""
    if "\t" not in text:
        return text
    shown = ""
    for piece in re.split("(\t)", text):
        shown += " " * (TAB - width(shown) % TAB) if piece == "\t" else piece
    return shown


def overwritten(line: str) -> str:
    """Return what a terminal leaves of a line that was written over: progress, and where it led."""
    return line.rstrip("\r").rpartition("\r")[2]


def isolated(text: str) -> str:
    """Return a text that turns nothing round but itself.

    Terminals that know scripts from right to left order a whole line by them: without this, a name
    in Hebrew would carry the number behind it away.
    """
    return f"{_FSI}{text}{_PDI}" if from_the_right(text) else text


def from_the_right(text: str) -> bool:
    """Whether there are letters in it that are written from the right."""
    if text.isascii() or _FROM_THE_RIGHT.search(text) is None:
        return False
    return any(unicodedata.bidirectional(char) in {"R", "AL", "AN"} for char in text)


def wrapped(line: Iterable[Run], room: int) -> Iterator[Line]:
    r"""Yield a text as lines of at most `room` cells, broken at spaces and behind wide characters.

    A `\n` ends a line. A word that is too long is broken where it must be.
    """
    room = max(room, 2)  # a wide character has to fit
    current: Line = []
    taken = 0
    for word in _words(line):
        text = said(word)
        if text == "\n":
            yield current
            current, taken = [], 0
            continue
        size = line_width(word)
        if text.isspace():
            if current and taken + size < room:
                current += word
                taken += size
            elif current:
                taken = room  # a line never ends in spaces that are seen, nor begins with them
            continue
        if current and taken + size > room:
            yield _without_end(current)
            current, taken = [], 0
        for part in _broken(word, room - taken, room):
            if current and taken + line_width(part) > room:
                yield _without_end(current)
                current, taken = [], 0
            current += part
            taken += line_width(part)
    yield _without_end(current)


def folded(line: Line, room: int) -> Iterator[Line]:
    """Yield a line as lines of at most `room` cells, broken anywhere: nothing of it is lost."""
    return _broken(line, room, max(room, 2))


def _words(line: Iterable[Run]) -> Iterator[Line]:
    """Yield what is not broken: white space, line ends, and words of perhaps several styles."""
    word: Line = []
    for style, text in line:
        for piece in _PIECES.findall(text):
            alone = piece.isspace() or re.match(_WIDE, piece) is not None
            if alone:
                if word:
                    yield word
                    word = []
                yield [(style, piece)]
            else:
                word.append((style, piece))
    if word:
        yield word


def _broken(word: Line, first: int, room: int) -> Iterator[Line]:
    """Yield the parts of a word that fit, the first into what is left of its line."""
    if line_width(word) <= room:
        yield word
        return
    part: Line = []
    taken, limit = 0, max(first, 2)
    for style, text in word:
        begin = at = 0
        for grapheme in iter_graphemes(text):
            size = width(grapheme)
            if taken + size > limit and taken:
                part.append((style, text[begin:at]))
                yield part
                part, taken, limit, begin = [], 0, room, at
            taken += size
            at += len(grapheme)
        part.append((style, text[begin:]))
    yield part


def _without_end(line: Line) -> Line:
    """Return a line without the spaces at its end."""
    while line and not line[-1][1].strip(" \t"):
        line.pop()
    return line
