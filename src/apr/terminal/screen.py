"""The sink for people at a terminal: answers as Markdown, calls in a line, edits as differences."""

import difflib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from apr.agent.events import (
    Event,
    Notice,
    PrefillProgress,
    PromptDone,
    Retracted,
    TextDelta,
    ThinkingDelta,
    ToolStarted,
)
from apr.agent.loop import INTERRUPTED
from apr.ui.terminal import plain
from apr.ui.text import summary
from ccpa.trace import AssistantTurn, Compaction, ToolResult, ToolUseBlock, Usage

if TYPE_CHECKING:
    from rich.console import Console

_MOST_LINES = 40
"""Lines of a difference that are shown."""
_DIM, _RED, _GREEN, _CYAN, _RESET = "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[0m"


class Screen:
    """Shows a session as it goes.

    Text is shown a block at a time: a paragraph, a list, a code block, each when it is complete.

    Args:
        write: takes text for the terminal, with its line ends.
        width: returns the columns there are.
        colour: whether colour is wanted.
    """

    def __init__(
        self, write: Callable[[str], None], width: Callable[[], int], *, colour: bool
    ) -> None:
        self._write = write
        self._width = width
        self._colour = colour
        self._text = ""
        self.doing = ""
        """What is going on, for the status line; empty where nothing is."""
        self.usage = Usage(input_tokens=0, output_tokens=0)
        """Of the last answer: how full the context is."""
        self.turns = 0

    def __call__(self, event: Event) -> None:
        """Show the event, if it is one that people see here."""
        match event:
            case TextDelta(text):
                self.doing = "answering"
                self._take(text)
            case ThinkingDelta():
                self.doing = "thinking"
            case PrefillProgress(done, total):
                self.doing = f"reading {done:,} of {total:,} tokens"
            case Retracted():
                self._text = ""
                self.say("the answer broke off, and comes again", _DIM)
            case AssistantTurn(parent_tool_use_id=None):
                self._flush()
                self.turns += 1
                self.usage = event.usage or self.usage
            case ToolStarted(call):
                self.doing = call.name
                self.say(f"● {summary(call)}", _CYAN)
                for line, colour in difference(call):
                    self.say(f"  {line}", colour)
            case ToolResult(ok=False, content=content):
                self.say(f"  ✗ {content.strip().partition(chr(10))[0]}", _RED)
            case Compaction(tokens_before=before, tokens_after=after):
                self.say(f"the conversation was summed up: {before:,} -> {after:,} tokens", _DIM)
            case Notice(text):
                self.say(text, _DIM)
            case PromptDone(error=error):
                self._flush()
                self.doing = ""
                if error is not None:
                    self.say("interrupted" if error == INTERRUPTED else error, _RED)
            case _:
                pass

    def close(self) -> None:
        """Show what is left."""
        self._flush()

    def say(self, text: str, colour: str = "") -> None:
        """Show a line that is no part of an answer."""
        shown = plain(text)
        painted = f"{colour}{shown}{_RESET}" if self._colour and colour else shown
        self._write(f"{painted}\n")

    def _take(self, text: str) -> None:
        self._text += text
        while (end := _block_end(self._text)) is not None:
            self._show(self._text[:end])
            self._text = self._text[end:]

    def _flush(self) -> None:
        if self._text.strip():
            self._show(self._text)
        self._text = ""

    def _show(self, text: str) -> None:
        from rich.markdown import Markdown  # 60 ms, when there is something to show

        if not text.strip():
            return
        if not self._colour:
            self._write(plain(text.rstrip("\n")) + "\n")
            return
        console = self._console()
        console.print(Markdown(plain(text), code_theme="ansi_dark"))
        assert isinstance(console.file, io.StringIO)  # noqa: S101 - made below
        self._write(console.file.getvalue())

    def _console(self) -> "Console":
        from rich.console import Console

        return Console(
            file=io.StringIO(), force_terminal=True, width=max(self._width(), 20), highlight=False
        )


def difference(call: ToolUseBlock) -> Iterator[tuple[str, str]]:
    """Yield the lines of what an edit changes, each with its colour."""
    given = call.input
    old, new = given.get("old_string"), given.get("new_string")
    if call.name == "Write" and isinstance(given.get("content"), str):
        old, new = _before(given.get("file_path")), given["content"]
    if not isinstance(old, str) or not isinstance(new, str):
        return
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=2)
    for number, line in enumerate(lines):
        if number < 2:  # the names of the files
            continue
        if number > _MOST_LINES:
            yield "…", _DIM
            return
        yield line, {"+": _GREEN, "-": _RED}.get(line[:1], _DIM)


def _before(name: object) -> str:
    try:
        path = Path(str(name))
        return path.read_text() if path.stat().st_size < 1_000_000 else ""
    except (OSError, ValueError):
        return ""


def _block_end(text: str) -> int | None:
    """Return where the first complete block of Markdown ends; None while there is none.

    A block ends at an empty line that stands outside of a code block, or with a code block's end.
    """
    fence, at = "", 0
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            return None
        at += len(line)
        marks = line.lstrip()[:3]
        if marks in {"```", "~~~"}:
            if not fence:
                fence = marks
            elif marks == fence:
                return at
        elif not fence and not line.strip():
            return at
    return None
