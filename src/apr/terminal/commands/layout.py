"""Text as it stands well in a terminal: wrapped, in columns, as a bar. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from prompt_toolkit.utils import get_cwidth

LEAST = 20
"""Columns that are laid out for, however narrow the terminal is."""
_GAP = 2


def wrapped(text: str, width: int, *, first: str = "", rest: str = "") -> str:
    """Return a text in lines of at most `width` columns.

    Args:
        text: its line ends stay.
        width: columns; wide characters take two.
        first: what stands before the first line.
        rest: what stands before each other line.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        start = rest if lines else first
        lines += _lines(paragraph, max(width, LEAST), start, rest)
    return "\n".join(lines)


def table(rows: Iterable[Sequence[str]], width: int, *, most: int = 36) -> Iterator[str]:
    """Yield rows in columns; the last one is wrapped, the others are as wide as they must be.

    Args:
        rows: all of the same length.
        width: columns of the terminal.
        most: columns that a cell before the last may take: a wider one has a line of its own.
    """
    rows = list(rows)
    if not rows:
        return
    count = len(rows[0]) - 1
    if count:
        most = max(min(most, (max(width, LEAST) - LEAST) // count - _GAP), 1)
    widths = [
        max((w for row in rows if (w := get_cwidth(row[column])) <= most), default=0)
        for column in range(count)
    ]
    indent = " " * (sum(widths) + _GAP * count)
    for row in rows:
        start = ""
        for cell, room in zip(row[:count], widths, strict=True):
            if get_cwidth(cell) > room:
                at = " " * get_cwidth(start)
                yield wrapped(cell, width, first=start, rest=at).rstrip()
                start = at + " " * (room + _GAP)
            else:
                start += cell + " " * (room - get_cwidth(cell) + _GAP)
        yield wrapped(row[count], width, first=start, rest=indent).rstrip()


def bar(parts: Sequence[tuple[str, int]], whole: int, columns: int) -> str:
    """Return a bar of `columns` signs: of each part, which is a sign and an amount, its share.

    What is there has one sign at least, as long as there are signs.
    """
    signs = ""
    for sign, amount in parts:
        share = max(round(amount * columns / max(whole, 1)), 1 if amount else 0)
        signs += sign * min(share, columns - len(signs))
    return signs + "·" * (columns - len(signs))


def _lines(paragraph: str, width: int, first: str, rest: str) -> Iterator[str]:
    line, used, empty = first, get_cwidth(first), True
    for word in paragraph.split(" "):
        room = get_cwidth(word)
        if not empty and used + 1 + room > width:
            yield line
            line, used, empty = rest, get_cwidth(rest), True
        if not empty:
            line, used = f"{line} ", used + 1
        for piece in _pieces(word, width - used, width - get_cwidth(rest)):
            if piece is None:
                yield line
                line, used = rest, get_cwidth(rest)
            else:
                line, used = line + piece, used + get_cwidth(piece)
        empty = False
    yield line


def _pieces(word: str, room: int, whole: int) -> Iterator[str | None]:
    """Yield a word in pieces that fit: the first into `room` columns, None before each other."""
    piece, used = "", 0
    for character in word:
        wide = get_cwidth(character)
        if used + wide > max(room, 1) and piece:
            yield piece
            yield None
            piece, used, room = "", 0, whole
        piece, used = piece + character, used + wide
    yield piece
