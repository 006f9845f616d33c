"""A paragraph as it grows: a line of an answer, an item of a list, what is quoted."""

from collections.abc import Iterable, Iterator

from apr.terminal.cells import line_width, wrapped
from apr.terminal.ink import Line, also, said
from apr.terminal.inline import inline, sure

LONGEST = 600
"""Characters that are read as one. What comes behind can no longer close what they opened."""


class Paragraph:
    """Text that is wrapped.

    Args:
        text: its first line.
        first: stands before what is shown first.
        rest: stands before the further lines.
        style: what all of it has besides.
    """

    def __init__(
        self, text: str, *, first: Line | None = None, rest: Line | None = None, style: str = ""
    ) -> None:
        self.source = text
        self._before = first or []
        self._rest = rest or []
        self._style = style
        self._carried: Line = []
        """Read already: the end of what stands before the source."""
        self._shown = 0
        """Characters of it that are final, blanks not counted: those depend on the width."""
        self._read: tuple[str, Line] = ("", [])

    def add(self, text: str, between: str = "\n") -> None:
        """Go on with a further line, or where `between` is empty, with the same."""
        self.source += between + text

    def frame(self, columns: int, height: int, end: str = "") -> tuple[list[Line], list[Line]]:
        """See `Block`."""
        text = self._text(end)
        lines = list(self._wrapped(text, columns))
        if len(self.source) > LONGEST:
            return self._carry(columns), lines[-1:][:height]
        certain, final = sure(text) - self._shown, 0
        for line in lines[: max(len(lines) - height, 0)]:
            certain -= _letters(line)
            if certain < 0:
                break
            final += 1
        shown = self._prefixed(lines)
        self._shown += sum(_letters(line) for line in lines[:final])
        if final:
            self._before = self._rest
        return shown[:final], shown[final:][-height:] if height else []

    def close(self, columns: int) -> list[Line]:
        """See `Block`."""
        lines = list(self._wrapped(self._text(""), columns))
        return self._prefixed(lines) if any(lines) or not self._shown else []

    def _carry(self, columns: int) -> list[Line]:
        """Make all but the last line final, and read no further back than that."""
        *lines, last = self._wrapped(self._text(""), columns)
        shown = self._prefixed(lines)
        self._carried, self.source, self._shown = last, "", 0
        self._before = self._rest if lines else self._before
        return shown

    def _text(self, end: str) -> Line:
        text = self.source + end
        if self._read[0] != text:
            self._read = (text, inline(text))
        return [*self._carried, *self._read[1]]

    def _wrapped(self, text: Line, columns: int) -> Iterator[Line]:
        room = columns - max(line_width(self._before), line_width(self._rest))
        return wrapped(also(_behind(text, self._shown), self._style), room)

    def _prefixed(self, lines: Iterable[Line]) -> list[Line]:
        before = [self._before]
        return [[*(before.pop() if before else self._rest), *line] for line in lines]


def _behind(line: Line, letters: int) -> Line:
    """Return what stands behind so many characters, blanks not counted, and the blanks there."""
    rest: Line = []
    for style, text in line:
        at = 0
        while letters and at < len(text):
            letters -= not text[at].isspace()
            at += 1
        if not letters:
            shown = text[at:] if rest else text[at:].lstrip()
            if shown:
                rest.append((style, shown))
    return rest


def _letters(line: Line) -> int:
    return sum(not char.isspace() for char in said(line))
