"""Text that comes in pieces, as lines."""

from collections.abc import Iterator

from apr.ui.terminal import plain


class Arriving:
    r"""Pieces of a text: whole lines, ended by `\n` or `\r\n`, and the one that is not over."""

    def __init__(self) -> None:
        self._whole: list[str] = []
        self._end: list[str] = []
        self._return = ""

    def feed(self, text: str) -> None:
        """Take the next piece."""
        text = self._return + text
        self._return = "\r" if text.endswith("\r") else ""
        text = plain(text.removesuffix("\r").replace("\r\n", "\n"))
        first, *further = text.split("\n")
        self._end.append(first)
        if further:
            self._whole += ["".join(self._end), *further[:-1]]
            self._end = further[-1:]

    @property
    def end(self) -> str:
        """What has come of the line that is not over."""
        self._end = ["".join(self._end)]
        return self._end[0]

    def lines(self) -> Iterator[str]:
        """Yield the lines that have become whole, once."""
        whole, self._whole = self._whole, []
        yield from whole

    def part(self, longest: int) -> str:
        """Return the beginning of a line that grows beyond `longest`, once, and else nothing.

        It ends behind a space if there is one.
        """
        end = self.end
        if len(end) <= longest:
            return ""
        at = end.rfind(" ", 0, longest) + 1 or longest
        self._end = [end[at:]]
        return end[:at]
