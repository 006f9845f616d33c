"""A block of code as it grows."""

from apr.terminal.cells import cut_line, isolated, untabbed
from apr.terminal.highlight import highlighted
from apr.terminal.ink import Line

_FAR = 60
"""Lines that are read again at most, so that the next one gets its colours."""
_NEAR = 30
"""Lines of which the next are read from where something new begins: a line that is not indented."""
_AT_ONCE = 100


class Code:
    """What stands between two fences, both of which are shown: so much can be copied as it is.

    Args:
        opening: the line that began it.
        fence: the marks; as many end it.
        language: its name.
        indent: the white space before the fence.
        before: stands before each line.
    """

    def __init__(
        self, opening: str, *, fence: str, language: str, indent: str, before: Line | None = None
    ) -> None:
        self.over = False
        self._fence = fence
        self._language = language
        self._indent = indent
        self._before = before or []
        self._known: list[str] = []
        """Lines that are final, as far back as they are read again."""
        self._fresh: list[str] = []
        self._opening: list[Line] = [[*self._before, ("dim", opening)]]

    def add(self, text: str) -> None:
        """Take a line. Afterwards the block may be `over`."""
        marks = text.strip()
        if len(marks) >= len(self._fence) and set(marks) == {self._fence[0]}:
            self.over = True
        else:
            self._fresh.append(self._own(text))

    def frame(self, columns: int, height: int, end: str = "") -> tuple[list[Line], list[Line]]:
        """See `Block`."""
        final, self._opening = self._opening, []
        if self.over:
            return [*final, *self._settle(len(self._fresh)), self._closing()], []
        room = max(height - 1, 0)
        final += self._settle(max(len(self._fresh) - room - _AT_ONCE, 0))
        lines = self._read([*self._fresh, _tail(self._own(end), columns)])
        count = max(len(self._fresh) - room, 0)
        final, moving = [*final, *lines[:count]], lines[count:]
        self._known += self._fresh[:count]
        del self._fresh[:count]
        self._forget()
        return final, [cut_line(line, columns) for line in moving][-height:] if height else []

    def close(self, columns: int) -> list[Line]:
        """See `Block`."""
        final, self._opening = self._opening, []
        return [*final, *self._settle(len(self._fresh))]

    def _settle(self, count: int) -> list[Line]:
        """Return the first of the fresh lines, final from now on."""
        final: list[Line] = []
        while count:
            some = self._fresh[: min(count, _AT_ONCE)]
            final += self._read(some)
            del self._fresh[: len(some)]
            count -= len(some)
            self._known += some
            self._forget()
        return final

    def _forget(self) -> None:
        if len(self._known) < _NEAR:
            return
        for at in range(len(self._known) - 1, 0, -1):
            line = self._known[at]
            if line and not line[0].isspace() and not self._known[at - 1].strip():
                del self._known[:at]
                return
        if len(self._known) > _FAR:
            del self._known[:-_NEAR]

    def _read(self, lines: list[str]) -> list[Line]:
        """Return lines that come behind the known ones, in colour."""
        shown = highlighted([*self._known, *lines], self._language)[len(self._known) :]
        return [self._shown(line) for line in shown]

    def _shown(self, line: Line) -> Line:
        return [*self._before, ("", self._indent), *((s, isolated(untabbed(t))) for s, t in line)]

    def _closing(self) -> Line:
        return [*self._before, ("dim", f"{self._indent}{self._fence}")]

    def _own(self, text: str) -> str:
        """Return a line without the indentation of the whole block."""
        for char in self._indent:
            text = text.removeprefix(char)
        return text


def _tail(text: str, columns: int) -> str:
    """Return the end of a long line, which is what moves."""
    return text if len(text) < columns else f"…{text[-columns // 2 :]}"
