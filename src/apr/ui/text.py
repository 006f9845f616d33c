"""A run as text: the answer on standard output as it comes, all else on standard error."""

from typing import Any, TextIO

import msgspec

from apr.agent.events import Event, Notice, PrefillProgress, TextDelta, ToolStarted
from apr.ui.terminal import coloured, plain
from ccpa.trace import AssistantTurn, SessionEnd, ToolResult, ToolUseBlock

_DIM, _RED, _RESET, _ERASE = "\x1b[2m", "\x1b[31m", "\x1b[0m", "\r\x1b[K"
_WIDTH = 100
# The input that says most about a call, by the field's name.
_TELLING = ("file_path", "pattern", "command", "bash_id", "shell_id")


class TextPrinter:
    """A sink for people at a terminal, and for pipes."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._colour = coloured(err)
        self._line_open = False
        self._progress_shown = False
        self._deaf = False

    def __call__(self, event: Event) -> None:
        """Show the event, if it is one that people see here."""
        match event:
            case TextDelta(text):
                self._say(plain(text) if self._out.isatty() else text)
            case AssistantTurn():
                self._end_line()
            case PrefillProgress(done, total):
                self._progress(done, total)
            case ToolStarted(call):
                self._note(f"● {summary(call)}", _DIM)
            case ToolResult(ok=False, content=content):
                self._note(f"  ✗ {_first_line(content)}", _RED)
            case Notice(text):
                self._note(text, "")
            case SessionEnd(error=str(error)):
                self._end_line()
                self._note(f"apr: {error}", _RED)
            case _:
                pass

    def close(self) -> None:
        """End the last line."""
        self._end_line()

    def _say(self, text: str) -> None:
        self._clear_progress()
        if self._deaf or not text:
            return
        try:
            self._out.write(text)
            self._out.flush()
        except BrokenPipeError:
            self._deaf = True  # nobody listens; the work itself goes on
        self._line_open = not text.endswith("\n")

    def _end_line(self) -> None:
        if self._line_open:
            self._say("\n")

    def _note(self, text: str, colour: str) -> None:
        self._clear_progress()
        self._end_line()
        shown = plain(text)
        print(f"{colour}{shown}{_RESET}" if self._colour and colour else shown, file=self._err)

    def _progress(self, done: int, total: int) -> None:
        if not self._colour or self._line_open:
            return
        self._err.write(f"{_ERASE}{_DIM}reading the prompt: {done:,} of {total:,} tokens{_RESET}")
        self._err.flush()
        self._progress_shown = True

    def _clear_progress(self) -> None:
        if self._progress_shown:
            self._err.write(_ERASE)
            self._err.flush()
            self._progress_shown = False


def summary(call: ToolUseBlock) -> str:
    """Return one line on what a call does: its tool and the input that says most."""
    values: dict[str, Any] = call.input
    telling = next((str(values[name]) for name in _TELLING if name in values), None)
    text = msgspec.json.encode(values).decode() if telling is None else telling
    return f"{call.name} {_first_line(text)}"


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"
