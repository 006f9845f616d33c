"""One answer as text: what it says on standard output as it comes, all else on standard error."""

from typing import TextIO

from apr.agent.events import Notice, PrefillProgress, Retracted, TextDelta, ThinkingDelta
from apr.answer import Answered, per_second
from apr.providers.base import ModelEvent
from apr.ui.beside import Beside
from apr.ui.terminal import plain

_DIM, _RESET = "\x1b[2m", "\x1b[0m"


class AnswerPrinter:
    """Shows the events of one answer after the other.

    On a terminal reasoning is shown too, dim; a pipe gets the answer alone, byte for byte. With
    `quiet` the answer itself is not shown.
    """

    def __init__(self, out: TextIO, err: TextIO, *, quiet: bool = False) -> None:
        self._out = out
        self._beside = Beside(err)
        self._quiet = quiet
        self._terminal = out.isatty()
        self._thinks_aloud = err.isatty()
        self._thinking = False
        self._line_open = False

    def __call__(self, event: ModelEvent) -> None:
        """Show the event, if it is one that people see."""
        match event:
            case TextDelta() | ThinkingDelta() if self._quiet:
                self._beside.clear()
            case TextDelta(text):
                self._end_thinking()
                self._say(plain(text) if self._terminal else text)
            case ThinkingDelta(text) if self._thinks_aloud:
                self._think(text)
            case PrefillProgress(done, total) if not self._line_open:
                self._beside.progress(done, total)
            case Notice(text):
                self.note(text)
            case Retracted():
                self.note("the answer broke off, and comes again:")
            case _:
                pass

    def end(self) -> None:
        """End the answer's last line."""
        self._end_thinking()
        self._beside.clear()
        if self._line_open:
            self._say("\n")

    def note(self, text: str) -> None:
        """Tell the person something that is no part of the answer."""
        self.end()
        self._beside.show(f"{plain(text)}\n")

    def invite(self, text: str) -> None:
        """Show that it is the person's turn."""
        self._beside.show(text)

    def aside(self, text: str) -> None:
        """Say something dim."""
        self.end()
        shown = plain(text)
        self._beside.show(f"{_DIM}{shown}{_RESET}\n" if self._beside.colour else f"{shown}\n")

    def _say(self, text: str) -> None:
        self._beside.clear()
        if text:
            self._out.write(text)
            self._out.flush()
            self._line_open = not text.endswith("\n")

    def _think(self, text: str) -> None:
        self._beside.clear()
        shown = plain(text)
        self._beside.show(f"{_DIM}{shown}{_RESET}" if self._beside.colour else shown)
        self._thinking = True

    def _end_thinking(self) -> None:
        if self._thinking:
            self._beside.show("\n")
            self._thinking = False


def figures(answered: Answered) -> str:
    """Return one line on how fast an answer was."""
    speed, cached = answered.speed, answered.completion.usage.cache_read_tokens
    remembered = f", {cached:,} remembered" if cached else ""
    return (
        f"prompt: {speed.prefill_tokens:,} tokens{_at(speed.prefill_tokens, speed.prefill_s)}"
        f"{remembered}; answer: {speed.output_tokens:,} tokens"
        f"{_at(speed.output_tokens, speed.output_s)}; first token after "
        f"{answered.first_token_s:.2f} s"
    )


def _at(tokens: int, seconds: float) -> str:
    rate = per_second(tokens, seconds)
    return "" if rate is None else f" at {rate:,.1f} tokens/s"
