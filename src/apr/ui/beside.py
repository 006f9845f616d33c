"""What stands beside an answer: messages for people, and a line of progress."""

import contextlib
from typing import TextIO

from apr.ui.terminal import coloured

_DIM, _RESET, _ERASE = "\x1b[2m", "\x1b[0m", "\r\x1b[K"


class Beside:
    """Standard error, as people see it. What cannot be written there is no reason to stop."""

    def __init__(self, stream: TextIO) -> None:
        self.colour = coloured(stream)
        self._stream = stream
        self._progress_shown = False

    def progress(self, done: int, total: int) -> None:
        """Show how much of the prompt the model has read, in place of what was shown before."""
        if self.colour:
            self.show(f"{_ERASE}{_DIM}reading the prompt: {done:,} of {total:,} tokens{_RESET}")
            self._progress_shown = True

    def clear(self) -> None:
        """Take the progress away."""
        if self._progress_shown:
            self.show(_ERASE)
            self._progress_shown = False

    def show(self, text: str) -> None:
        """Write text as it is."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()
