"""A session as it was left, read from its file."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from apr.providers.base import AssistantMessage, Message, ToolAnswer, ToolMessage, UserMessage
from apr.sessions import lines
from apr.sessions.lines import Line, Named, Opened, Recorded, Rewrote, Said, Seen
from apr.sessions.places import NothingStored, SessionError
from apr.tools.tasks import CHANGING
from ccpa.trace import AssistantTurn, Record, ToolResult, ToolUseBlock, UserPrompt

_UNDONE = "The session ended before this was done."
_FIRST_RESULTS = 2
"""The lowest turn that results can have."""


class Prompted(Struct, frozen=True, kw_only=True):
    """A prompt of a session."""

    turn: int
    text: str
    at: int | None
    """When it was given: seconds since 1970; None where that was not written."""
    record: int
    """Which of the session's records it is."""


class Stored(Struct, kw_only=True):
    """What a session's file says."""

    path: Path
    opened: Opened
    """The first of them; `branch` and `model` are the last one's."""
    name: str | None = None
    records: list[Record] = msgspec.field(default_factory=list)
    messages: list[Message] = msgspec.field(default_factory=list)
    seen: dict[Path, bytes] = msgspec.field(default_factory=dict)
    prompts: list[Prompted] = msgspec.field(default_factory=list)
    """Those that can be gone back to: what was summed up since counts, what was taken back not."""
    listing: list[ToolUseBlock] = msgspec.field(default_factory=list)
    """The calls that have made the list of tasks what it is, in order."""
    mended: list[Line] = msgspec.field(default_factory=list)
    """Lines that a crash has kept from being written: their content is in the above."""

    @property
    def id(self) -> str:
        """What its file is called: that is what it is found by, also where it is a copy."""
        return self.path.stem

    @property
    def turn(self) -> int:
        """The number of the last message; -1 where there is none."""
        return max((getattr(record, "turn", -1) for record in _own(self.records)), default=-1)

    @property
    def first_prompt(self) -> str:
        """What was asked first; empty where nothing was."""
        return next((r.text for r in self.records if isinstance(r, UserPrompt)), "")

    @property
    def ending(self) -> list[Record]:
        """The last prompt that was not taken back, and what came of it."""
        if not self.prompts:
            return []
        after = self.records[self.prompts[-1].record :]
        later = (at for at, r in enumerate(after) if at and isinstance(r, UserPrompt))
        return list(_own(after[: next(later, len(after))]))


def _own(records: Iterable[Record]) -> Iterator[Record]:
    return (r for r in records if getattr(r, "parent_tool_use_id", None) is None)


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


def load(path: Path, *, before: int | None = None) -> Stored:
    """Read a session, with the history in a state in which it can go on.

    Calls that were never answered are answered: with the result that was recorded, or else by
    saying that the session ended.

    Args:
        path: its file.
        before: the turn of a prompt: then the session is read as it was before that.

    Raises:
        NothingStored: it holds nothing.
        SessionError: see `read_lines`; or it has no such prompt.
    """
    replay: _Replay | None = None
    for line in read_lines(path):
        if replay is None:
            if not isinstance(line, Opened):
                raise SessionError(f"{path}:1: a session's file does not begin like this")
            replay = _Replay(Stored(path=path, opened=line))
        elif before is not None and _asks(line, before):
            return replay.stored
        else:
            replay.take(line)
    if replay is None:
        raise NothingStored(path)
    if before is not None:
        raise SessionError(f"the session {path} has no prompt of turn {before}")
    replay.mend()
    return replay.stored


def _asks(line: Line, turn: int) -> bool:
    return (
        isinstance(line, Recorded)
        and isinstance(line.record, UserPrompt)
        and (line.record.turn == turn)
    )


class _Replay:
    """A session as it becomes what it is, line by line."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self._listed: dict[int, int] = {}
        """By the turn of a prompt: how many calls had changed the list of tasks before it."""
        self._asked: Prompted | None = None
        """A prompt that is no message yet: a hook may refuse it, `/compact` never is one."""
        self._unsaid: AssistantTurn | None = None
        """An answer that is on record and is no message yet."""

    def take(self, line: Line) -> None:
        """Take the next line into account."""
        stored = self.stored
        match line:
            case Recorded(record, at):
                self._record(record, at)
            case Said(message):
                if isinstance(message, UserMessage) and self._asked is not None:
                    stored.prompts.append(self._asked)
                    self._listed[self._asked.turn] = len(stored.listing)
                self._asked = self._unsaid = None
                stored.listing += _listing([*stored.messages[-1:], message])
                stored.messages.append(message)
            case Rewrote(messages, back_to):
                if not (stored.messages or stored.listing):  # a copy begins with what is known
                    stored.listing = list(_listing(messages))
                self._asked = self._unsaid = None
                stored.messages = list(messages)
                if back_to is not None:
                    del stored.listing[self._listed.get(back_to, 0) :]
                    stored.prompts = [one for one in stored.prompts if one.turn < back_to]
            case Seen(file, ""):
                stored.seen.pop(Path(file), None)
            case Seen(file, stamp):
                with contextlib.suppress(ValueError):
                    stored.seen[Path(file)] = bytes.fromhex(stamp)
            case Named(name):
                stored.name = name
            case Opened(model=model, branch=branch):
                stored.opened = msgspec.structs.replace(stored.opened, model=model, branch=branch)

    def _record(self, record: Record, at: int | None) -> None:
        stored = self.stored
        if isinstance(record, UserPrompt):
            self._asked = Prompted(
                turn=record.turn, text=record.text, at=at, record=len(stored.records)
            )
        elif isinstance(record, AssistantTurn) and record.parent_tool_use_id is None:
            self._unsaid = record
        stored.records.append(record)

    def mend(self) -> None:
        """Bring the history to where it can go on: the session ended here, in order or not."""
        stored = self.stored
        if self._unsaid is not None:
            self._add(Said(AssistantMessage(tuple(self._unsaid.blocks))))
        last = stored.messages[-1] if stored.messages else None
        calls = (
            [b for b in last.blocks if isinstance(b, ToolUseBlock)]
            if isinstance(last, AssistantMessage)
            else []
        )
        if not calls:
            return
        turn, results = _results(stored.records)
        for call in calls:
            if call.id not in results:
                results[call.id] = ToolResult(
                    v=1, turn=turn, tool_use_id=call.id, ok=False, content=_UNDONE
                )
                self._add(Recorded(results[call.id]))
        answers = tuple(
            ToolAnswer(call.id, call.name, results[call.id].content, results[call.id].ok)
            for call in calls
        )
        self._add(Said(ToolMessage(answers)))

    def _add(self, line: Line) -> None:
        self.take(line)
        self.stored.mended.append(line)


def _listing(messages: Iterable[Message]) -> Iterator[ToolUseBlock]:
    """Yield the calls that have changed the list of tasks."""
    for asked, told in itertools.pairwise(messages):
        if isinstance(asked, AssistantMessage) and isinstance(told, ToolMessage):
            done = {answer.tool_use_id for answer in told.answers if answer.ok}
            calls = (block for block in asked.blocks if isinstance(block, ToolUseBlock))
            yield from (call for call in calls if call.name in CHANGING and call.id in done)


def _results(records: Sequence[Record]) -> tuple[int, dict[str, ToolResult]]:
    """Return the turn of the results of the last answer, and those that were recorded."""
    results: dict[str, ToolResult] = {}
    for record in reversed(records):
        if getattr(record, "parent_tool_use_id", None) is not None:
            continue
        if isinstance(record, ToolResult):
            results[record.tool_use_id] = record
        elif isinstance(record, AssistantTurn):
            return record.turn + 1, results
    return _FIRST_RESULTS, results  # a copy of another session has that one's messages only
