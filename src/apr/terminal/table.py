"""A table as it grows. Its columns get the room that its first rows need."""

import re

from apr.terminal.cells import isolated, line_width, padded, wrapped
from apr.terminal.ink import Line, also
from apr.terminal.inline import inline

_FIRST = 50
"""Rows after which the columns keep their widths, if they did not have to before."""
_NARROWEST = 3
_CELL = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*")


def looks_like_row(text: str) -> bool:
    """Whether a line begins as rows do."""
    return text.lstrip().startswith("|")


def is_rule(text: str, header: str) -> bool:
    """Whether a line is the one that makes a table of itself and the header above it."""
    return (
        "|" in header
        and ("|" in text or ":" in text)
        and _RULE.fullmatch(text) is not None
        and len(_cells(text)) == len(_cells(header))
    )


class Table:
    """Rows of cells.

    Args:
        header: the line with the names of the columns.
        rule: the line below.
        before: stands before each line.
    """

    def __init__(self, header: str, rule: str, before: Line | None = None) -> None:
        self._right = [cell.endswith(":") and not cell.startswith(":") for cell in _cells(rule)]
        self._before = before or []
        self._header: list[Line] = [also(cell, "bold") for cell in self._row(header)]
        self._rows: list[list[Line]] = []
        self._widths: list[int] | None = None
        """What the columns need, once that is settled; then the header has been shown."""

    def add(self, text: str) -> None:
        """Take a row."""
        self._rows.append(self._row(text))

    def frame(self, columns: int, height: int, end: str = "") -> tuple[list[Line], list[Line]]:
        """See `Block`. The row that is not over is not shown."""
        if self._widths is None and len(self._rows) < _FIRST:
            lines = self._drawn(columns)
            if len(lines) <= height:
                return [], lines
        return self.close(columns), []

    def close(self, columns: int) -> list[Line]:
        """See `Block`."""
        lines = self._drawn(columns)
        self._widths = self._needed()
        self._rows.clear()
        return lines

    def _drawn(self, columns: int) -> list[Line]:
        room = _fitted(self._needed(), columns - line_width(self._before))
        lines: list[Line] = []
        if self._widths is None:
            lines += self._drawn_row(self._header, room)
            lines.append([*self._before, ("dim", "─┼─".join("─" * width for width in room))])
        for row in self._rows:
            lines += self._drawn_row(row, room)
        return lines

    def _drawn_row(self, row: list[Line], room: list[int]) -> list[Line]:
        cells = [list(wrapped(cell, width)) for cell, width in zip(row, room, strict=True)]
        lines: list[Line] = []
        for at in range(max(map(len, cells))):
            line: Line = [*self._before]
            for number, (cell, width) in enumerate(zip(cells, room, strict=True)):
                part = cell[at] if at < len(cell) else []
                part = [(style, isolated(text)) for style, text in part]
                line += [("dim", " │ ")] if number else []
                line += padded(part, width, right=self._right[number])
            lines.append(line)
        return lines

    def _needed(self) -> list[int]:
        if self._widths is not None:
            return self._widths
        rows = [self._header, *self._rows]
        return [max(line_width(row[at]) for row in rows) for at in range(len(self._right))]

    def _row(self, text: str) -> list[Line]:
        """Return the cells, as many as there are columns; what is too much stands in the last."""
        cells = _cells(text)
        count = len(self._right)
        if len(cells) > count:
            cells[count - 1 :] = [" | ".join(cells[count - 1 :])]
        cells += [""] * (count - len(cells))
        return [inline(cell.replace("\\|", "|")) for cell in cells]


def _cells(text: str) -> list[str]:
    text = text.strip().removeprefix("|")
    if text.endswith("|") and not text.endswith("\\|"):
        text = text[:-1]
    return [cell.strip() for cell in _CELL.split(text)]


def _fitted(needed: list[int], columns: int) -> list[int]:
    """Return widths that fit: the widest columns give what is missing."""
    room = max(columns - 3 * (len(needed) - 1), _NARROWEST * len(needed))
    widths = [max(width, 1) for width in needed]
    if sum(widths) <= room:
        return widths
    most = max(widths)
    low, high = _NARROWEST, most
    while low < high:  # the greatest width that all may have
        middle = (low + high + 1) // 2
        if sum(min(width, middle) for width in widths) <= room:
            low = middle
        else:
            high = middle - 1
    return [min(width, low) for width in widths]
