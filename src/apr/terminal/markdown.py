"""An answer as it comes: what of it is final, and what its end looks like at this moment.

Markdown is read line by line. A block is shown for good when it has ended, or as far as it is
taller than what may move; until then its end is drawn anew with each frame. However long an answer
is, and be it all one block, a frame looks at a bounded part of it: a paragraph is taken in parts, a
table keeps the widths that its first rows gave it, code is read again from a bounded distance.
"""

import re
from collections.abc import Iterator
from typing import Protocol

from apr.terminal.arriving import Arriving
from apr.terminal.code import Code
from apr.terminal.ink import Line
from apr.terminal.paragraph import LONGEST, Paragraph
from apr.terminal.table import Table, is_rule, looks_like_row

_FENCE = re.compile(r"(\s*)(`{3,}|~{3,})\s*([^`\s]*)[^`]*")
_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*")
_RULE = re.compile(r" {0,3}([-*_])(?:\s*\1){2,}\s*")
_ITEM = re.compile(r"(\s*)([-*+]|\d{1,9}[.)])\s+(?:\[([ xX])\]\s+)?(?=\S)")
_QUOTE = re.compile(r" {0,3}>\s?")
_DEEPEST = 8
"""Quotations within each other that are shown as such."""
_MAY_BEGIN = re.compile(r"\s*(?:[-*+#>|]|\d{1,9}(?:[.)]?$|[.)]\s)|`{1,}[^`]*$|~~)")
"""What a line looks like that may turn out to begin a block, as far as it has come."""


class Block(Protocol):
    """A part of an answer that has begun."""

    def frame(self, columns: int, height: int, end: str = "") -> tuple[list[Line], list[Line]]:
        """Return lines that are final from now on, and at most `height` that follow as yet.

        `end` is what has come of the line that is not over.
        """
        ...

    def close(self, columns: int) -> list[Line]:
        """Return the lines that are not final yet: there is no more."""
        ...


class Markdown:
    """One answer, shown as what it means."""

    def __init__(self) -> None:
        self._arriving = Arriving()
        self._block: Block | None = None
        self._quoted = 0
        self._between = "\n"
        """What stands between the paragraph so far and its next piece."""
        self._gap: bool | None = None
        """Whether an empty line is to come before what comes next; None: nothing has come yet."""

    def feed(self, text: str) -> None:
        """Take the next piece."""
        self._arriving.feed(text)

    def frame(self, columns: int, height: int) -> tuple[list[Line], list[Line]]:
        """Return lines that are final from now on, and at most `height` that follow as yet."""
        final: list[Line] = []
        for text in self._arriving.lines():
            final += self._take(text, columns)
        while not isinstance(self._block, Code) and (text := self._arriving.part(LONGEST)):
            final += self._take(text, columns, over=False)
        end = self._arriving.end
        block, apart = self._block, self._apart(end)
        if block is not None:
            more, moving = block.frame(columns, height, "" if apart else f"{self._join()}{end}")
            final += self._spaced(more)
            if isinstance(block, Code) and block.over:
                self._block = None
        else:
            moving = []
        if apart and end.strip() and height:
            moving = [*moving, *_begun(end, columns)][-height:]
        if self._gap and moving and len(moving) < height:
            moving = [[], *moving]
        return final, moving

    def close(self, columns: int) -> list[Line]:
        """Return the lines that are not final yet: there is no more."""
        self.feed("\n")
        final, _ = self.frame(columns, 0)
        return [*final, *self._ended(columns)]

    def _join(self) -> str:
        """Return what stands before the line that is not over."""
        paragraph = isinstance(self._block, Paragraph) and self._arriving.end
        return self._between if paragraph else ""

    def _apart(self, end: str) -> bool:
        """Whether the line that is not over is none of the block's own, as far as can be seen."""
        if self._block is None or isinstance(self._block, Table):
            return True
        if isinstance(self._block, Code) or not self._between:
            return False
        return _MAY_BEGIN.match(end) is not None or _QUOTE.match(end) is not None

    def _take(self, text: str, columns: int, *, over: bool = True) -> Iterator[Line]:
        """Take a line, or the beginning of one that is not over."""
        between, self._between = self._between, "\n" if over else ""
        block = self._block
        if not between and isinstance(block, Paragraph):
            yield from self._added(block, text, "", columns)
            return
        text, quoted = _unquoted(text, self._quoted if isinstance(block, Code) else None)
        if quoted != self._quoted:
            yield from self._ended(columns)
            self._quoted, block = quoted, None
        if isinstance(block, Code):
            block.add(text)
            if block.over:
                yield from self._ended(columns)
        elif isinstance(block, Table) and "|" in text:
            block.add(text)
        elif isinstance(block, Paragraph) and is_rule(text, block.source):
            self._block = Table(block.source, text, self._before())
        elif not text.strip():
            yield from self._ended(columns)
            self._gap = self._gap is not None
        elif isinstance(block, Paragraph) and not _begins(text):
            yield from self._added(block, text.strip(), between, columns)
        else:
            yield from self._ended(columns)
            self._block = _begin(text, self._before())

    def _added(self, block: Paragraph, text: str, between: str, columns: int) -> Iterator[Line]:
        """Let a paragraph go on, and yield of it what is too far back to be changed."""
        block.add(text, between)
        if len(block.source) > LONGEST:
            yield from self._spaced(block.frame(columns, 1)[0])

    def _before(self) -> Line:
        return [("dim", "│ " * self._quoted)] if self._quoted else []

    def _ended(self, columns: int) -> Iterator[Line]:
        """Yield the rest of the block, which is over."""
        block, self._block = self._block, None
        if isinstance(block, Code):
            yield from self._spaced(block.frame(columns, 0)[0])
        if block is not None:
            yield from self._spaced(block.close(columns))

    def _spaced(self, lines: list[Line]) -> Iterator[Line]:
        if lines and self._gap:
            yield []
        if lines:
            self._gap = False
        yield from lines


def _begin(text: str, before: Line) -> Block:
    """Return the block that a line begins."""
    if fence := _FENCE.fullmatch(text):
        return Code(text, fence=fence[2], language=fence[3], indent=fence[1], before=before)
    if heading := _HEADING.fullmatch(text):
        style = "bold underline" if len(heading[1]) == 1 else "bold"
        return Paragraph(heading[2], first=before, rest=before, style=style)
    if _RULE.fullmatch(text):
        return Paragraph("─" * 20, first=before, rest=before, style="dim")
    if item := _ITEM.match(text):
        mark = "•" if len(item[2]) == 1 else item[2]
        if item[3] is not None:
            mark = "☐" if item[3] == " " else "☑"
        space = " " * (len(item[1].expandtabs(4)) + len(mark) + 1)
        shown: Line = [*before, ("", item[1].expandtabs(4)), ("ansicyan", f"{mark} ")]
        return Paragraph(text[item.end() :], first=shown, rest=[*before, ("", space)])
    body = text.strip()
    space = text[: len(text) - len(text.lstrip())].expandtabs(4)
    indented = [*before, ("", space)] if space else before
    return Paragraph(body, first=indented, rest=indented)


def _begins(text: str) -> bool:
    """Whether a line ends the paragraph before it, and begins a block of its own."""
    whole = any(pattern.fullmatch(text) for pattern in (_FENCE, _HEADING, _RULE))
    return whole or looks_like_row(text) or _ITEM.match(text) is not None


def _begun(text: str, columns: int) -> list[Line]:
    """Return how a line looks that is not over, and belongs to no block yet."""
    body, quoted = _unquoted(text, None)
    if not body.strip():
        return []
    before: Line = [("dim", "│ " * quoted)] if quoted else []
    return _begin(body, before).frame(columns, 1000)[1]


def _unquoted(text: str, most: int | None) -> tuple[str, int]:
    """Return a line without its marks of quotation, `most` of them, and how many those are."""
    depth = 0
    while depth < (_DEEPEST if most is None else most) and (mark := _QUOTE.match(text)):
        text = text[mark.end() :]
        depth += 1
    return text, depth
