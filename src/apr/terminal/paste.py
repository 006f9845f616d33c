"""What is pasted: read in one go, however much it is, and looked at before it is typed text."""

import contextlib
import sys
import termios
from collections.abc import Iterator

from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

from apr.legible import legible
from apr.terminal.chips import MARK, Pasted

MOST_LINES = 10
MOST_CHARACTERS = 800
"""What is pasted is shown as it is up to here: half of a window of 80 by 24, or less."""
_INPUT, _LOCAL = 0, 3
"""Where a terminal's attributes have the flags of its input, and of its behaviour."""
_END = "\x1b[201~"
_AT_ONCE = 65_536
"""Bytes that are read at once; a terminal's driver gives about 4,000."""


class PasteInput(Vt100Input):
    """The terminal's input, where a large paste takes time in proportion to its size."""

    def __init__(self) -> None:
        super().__init__(sys.stdin)
        self.vt100_parser = PasteParser(self._buffer_key)

    def _buffer_key(self, key: KeyPress) -> None:
        self._buffer.append(key)  # looked up each time: it is another list after each reading

    def read_keys(self) -> list[KeyPress]:
        """Return the keys that have been pressed since."""
        self.vt100_parser.feed(self.stdin_reader.read(_AT_ONCE))
        keys, self._buffer = self._buffer, []
        return keys

    @contextlib.contextmanager
    def between_prompts(self) -> Iterator[None]:
        """Leave what is pressed while no prompt is open to the next: Enter as Enter, not echoed.

        Ctrl-C is a signal then, as ever.
        """
        descriptor = self.fileno()
        before = termios.tcgetattr(descriptor)
        now = [*before]
        now[_INPUT] &= ~termios.ICRNL  # or Enter would be Ctrl-J
        now[_LOCAL] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(descriptor, termios.TCSANOW, now)
        try:
            yield
        finally:
            with contextlib.suppress(termios.error):  # it is gone
                termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class PasteParser(Vt100Parser):
    """Looks for the end of a paste in what has come since, not in all of it again and again."""

    def reset(self, request: bool = False) -> None:
        """Begin anew."""
        super().reset(request)
        self._pieces: list[str] = []
        self._tail = ""

    def feed(self, data: str) -> None:
        """Take what has come."""
        if not self._in_bracketed_paste:
            super().feed(data)  # comes back here with what follows the beginning of a paste
            return
        recent = self._tail + data
        self._pieces.append(data)
        self._tail = recent[-len(_END) + 1 :]
        if _END not in recent:
            return
        after = recent[recent.index(_END) + len(_END) :]
        pasted = "".join(self._pieces)[: -len(after) - len(_END)]
        self._pieces, self._tail, self._in_bracketed_paste = [], "", False
        self.feed_key_callback(KeyPress(Keys.BracketedPaste, pasted))
        self.feed(after)


def cleaned(pasted: str) -> str:
    """Return a pasted text as text: with our line ends, without what cannot be written down."""
    text = pasted.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else legible(MARK.sub("\ufffd", text))


def folded(text: str) -> Pasted | None:
    """Return a text as a chip, if it is too long to be shown in the line."""
    lines = text.count("\n") + 1
    if lines <= MOST_LINES and len(text) <= MOST_CHARACTERS:
        return None
    return Pasted(lines=lines, characters=len(text), content=text)
