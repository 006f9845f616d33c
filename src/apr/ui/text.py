"""A run as text: the answer on standard output as it comes, all else on standard error."""

from typing import Any, TextIO

import msgspec

from apr.agent.endings import INTERRUPTED
from apr.agent.events import Event, Notice, PrefillProgress, Retracted, TextDelta, ToolStarted
from apr.ui.beside import Beside
from apr.ui.terminal import plain
from ccpa.trace import AssistantTurn, SessionEnd, ToolResult, ToolUseBlock

_DIM, _RED, _RESET = "\x1b[2m", "\x1b[31m", "\x1b[0m"
_WIDTH = 100
# The input that says most about a call, by the field's name.
_TELLING = ("file_path", "pattern", "command", "bash_id", "shell_id")


class TextPrinter:
    """A sink for people at a terminal, and for pipes."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._beside = Beside(err)
        self._line_open = False
        self._failed: OSError | None = None

    def __call__(self, event: Event) -> None:
        """Show the event, if it is one that people see here."""
        match event:
            case TextDelta(text):
                self._say(plain(text) if self._out.isatty() else text)
            case AssistantTurn():
                self._end_line()
            case PrefillProgress(done, total) if not self._line_open:
                self._beside.progress(done, total)
            case ToolStarted(call):
                self._note(f"● {summary(call)}", _DIM)
            case ToolResult(ok=False, content=content):
                self._note(f"  ✗ {_first_line(content)}", _RED)
            case Retracted():
                self._note("the answer broke off, and comes again:", "")
            case Notice(text):
                self._note(text, "")
            case SessionEnd(error=str(error)) if error != INTERRUPTED:  # they know
                self._end_line()
                self._note(f"apr: {error}", _RED)
            case _:
                pass

    def close(self) -> None:
        """End the last line.

        Raises:
            OSError: the answer could not be written, and somebody may miss it.
        """
        self._end_line()
        if self._failed is not None and not isinstance(self._failed, BrokenPipeError):
            raise self._failed

    def _say(self, text: str) -> None:
        self._beside.clear()
        if self._failed or not text:
            return
        try:
            self._out.write(text)
            self._out.flush()
        except OSError as error:
            self._failed = error  # nobody listens; the work itself goes on
        self._line_open = not text.endswith("\n")

    def _end_line(self) -> None:
        if self._line_open:
            self._say("\n")

    def _note(self, text: str, colour: str) -> None:
        self._beside.clear()
        self._end_line()
        shown = plain(text)
        self._beside.show(
            f"{colour}{shown}{_RESET}\n" if self._beside.colour and colour else f"{shown}\n"
        )


def summary(call: ToolUseBlock) -> str:
    """Return one line on what a call does: its tool and the input that says most."""
    values: dict[str, Any] = call.input
    telling = next((str(values[name]) for name in _TELLING if name in values), None)
    text = msgspec.json.encode(values).decode() if telling is None else telling
    return f"{call.name} {_first_line(text)}"


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"
