"""Text that is shown as it is, as it comes."""

from apr.terminal.arriving import Arriving
from apr.terminal.cells import folded
from apr.terminal.ink import Line


class Verbatim:
    """An answer where there is no colour, or the model's reasoning; see `Markdown`.

    Args:
        style: what all of it has.
    """

    def __init__(self, style: str = "") -> None:
        self._arriving = Arriving()
        self._style = style

    def feed(self, text: str) -> None:
        """Take the next piece."""
        self._arriving.feed(text)

    def frame(self, columns: int, height: int) -> tuple[list[Line], list[Line]]:
        """Return lines that are final from now on, and at most `height` that follow as yet."""
        final: list[Line] = [[(self._style, line)] for line in self._arriving.lines()]
        end = self._arriving.end[-columns * height :] if height else ""
        return final, list(folded([(self._style, end)], columns))[-height:] if end else []

    def close(self, columns: int) -> list[Line]:
        """Return the lines that are not final yet: there is no more."""
        final, _ = self.frame(columns, 0)
        end = self._arriving.end
        return [*final, [(self._style, end)]] if end else final
