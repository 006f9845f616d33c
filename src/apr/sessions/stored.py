"""A session as it was left, read from its file."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from apr.providers.base import AssistantMessage, Message, ToolAnswer, ToolMessage
from apr.sessions import lines
from apr.sessions.lines import Line, Named, Opened, Recorded, Rewrote, Said, Seen
from apr.sessions.places import SessionError
from ccpa.trace import Record, ToolResult, ToolUseBlock, UserPrompt

_UNDONE = "The session ended before this was done."


class Stored(Struct, kw_only=True):
    """What a session's file says."""

    path: Path
    opened: Opened
    name: str | None = None
    records: list[Record] = msgspec.field(default_factory=list)
    messages: list[Message] = msgspec.field(default_factory=list)
    seen: dict[Path, bytes] = msgspec.field(default_factory=dict)

    @property
    def turn(self) -> int:
        """The number of the last message; -1 where there is none."""
        return max((getattr(record, "turn", -1) for record in self._own()), default=-1)

    @property
    def first_prompt(self) -> str:
        """What was asked first; empty where nothing was."""
        return next((r.text for r in self.records if isinstance(r, UserPrompt)), "")

    def _own(self) -> Iterator[Record]:
        return (r for r in self.records if getattr(r, "parent_tool_use_id", None) is None)


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a session's file. A last line that was cut off is left out.

    Raises:
        SessionError: it cannot be read, or a line is damaged; the message names it.
    """
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.endswith(b"\n"):
                    return  # what a crash left of it
                try:
                    yield lines.decode(text)
                except msgspec.MsgspecError as error:
                    raise SessionError(f"{path}:{number}: not a session's line: {error}") from None
    except OSError as error:
        raise SessionError(f"cannot read the session {path}: {error.strerror}") from None


def load(path: Path) -> Stored:
    """Read a session, with the history in a state in which it can go on.

    Calls that were never answered are answered: with the result that was recorded, or else by
    saying that the session ended.

    Raises:
        SessionError: see `read_lines`; or it holds nothing.
    """
    stored: Stored | None = None
    for line in read_lines(path):
        if stored is None:
            if not isinstance(line, Opened):
                raise SessionError(f"{path}:1: a session's file does not begin like this")
            stored = Stored(path=path, opened=line)
            continue
        match line:
            case Recorded(record):
                stored.records.append(record)
            case Said(message):
                stored.messages.append(message)
            case Rewrote(messages):
                stored.messages = list(messages)
            case Seen(file, stamp):
                with contextlib.suppress(ValueError):
                    stored.seen[Path(file)] = bytes.fromhex(stamp)
            case Named(name):
                stored.name = name
            case Opened():
                pass
    if stored is None:
        raise SessionError(f"the session {path} is empty")
    _answer_the_rest(stored)
    return stored


def _answer_the_rest(stored: Stored) -> None:
    last = stored.messages[-1] if stored.messages else None
    if not isinstance(last, AssistantMessage):
        return
    calls = [block for block in last.blocks if isinstance(block, ToolUseBlock)]
    if not calls:
        return
    results = {r.tool_use_id: r for r in stored.records if isinstance(r, ToolResult)}
    stored.messages.append(ToolMessage(tuple(_answer(c, results.get(c.id)) for c in calls)))


def _answer(call: ToolUseBlock, result: ToolResult | None) -> ToolAnswer:
    if result is None:
        return ToolAnswer(call.id, call.name, _UNDONE, ok=False)
    return ToolAnswer(call.id, call.name, result.content, result.ok)
