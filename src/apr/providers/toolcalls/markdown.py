"""Just enough Markdown to know whether a tag is quoted: code fences and inline code.

Blocks before spans, as in CommonMark: a fence opens at the start of a line whatever inline code is
open, and inline code ends with its paragraph.
"""

import msgspec
from msgspec import Struct

from apr.providers.toolcalls.lexer import Kind, Token

FENCE_LENGTH = 3


class Markdown(Struct):
    """Where the text is, after the tokens pushed so far."""

    fence: str = ""
    """The run that opened the code fence we are in."""
    code: int = 0
    """Backticks that opened the inline code we may be in."""
    fence_line: bool = False
    """The line began with a run of backticks: a fence, unless the run is closed on the line."""
    line_start: bool = True
    """Only indentation so far on this line."""
    _closing: bool = False

    @property
    def quoted(self) -> bool:
        """Whether what comes now is surely quoted."""
        return bool(self.fence) or self.fence_line

    def copy(self) -> "Markdown":
        """Return the state as a value of its own."""
        return msgspec.structs.replace(self)

    def push(self, token: Token, *, inline: bool = True) -> None:
        """Advance over a token; with `inline` false, backticks in a line are only characters."""
        if token.kind is Kind.NEWLINE:
            self._end_line()
        elif token.kind is Kind.FENCE:
            self._run(token.raw, inline=inline)
        elif not token.blank:
            self.line_start = self._closing = False

    def _end_line(self) -> None:
        if self._closing:
            self.fence = ""
        elif self.fence_line:
            self.fence = "`" * self.code
            self.code = 0
        elif self.line_start:
            self.code = 0  # a blank line ends the paragraph
        self.fence_line = self._closing = False
        self.line_start = True

    def _run(self, run: str, *, inline: bool) -> None:
        at_start, self.line_start = self.line_start, False
        if self.fence:
            self._closing = at_start and run.startswith(self.fence)
        elif at_start and len(run) >= FENCE_LENGTH:
            self.fence_line = run[0] == "`"
            self.code, self.fence = (len(run), "") if self.fence_line else (0, run)
        elif run[0] == "`" and inline and self.code in (0, len(run)):
            self.code = len(run) - self.code
            self.fence_line = False
