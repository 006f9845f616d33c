"""A trace as what an exporter walks: conversations, and answers with their tools' results.

A trace mixes the records of the main conversation with those of its subagents, and a tool's result
may stand far from the call. Here each is where it belongs, and still knows its line.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct, field

from ccpa import trace
from ccpa.console import one_line
from ccpa.errors import CcpaError
from ccpa.importers.values import is_deep
from ccpa.trace import (
    MAX_LINE_BYTES,
    AssistantTurn,
    Record,
    SessionEnd,
    SessionStart,
    ToolResult,
    ToolUseBlock,
    UserPrompt,
)
from ccpa.validate.lines import blocks

STDIN = "-"
_MAX_DEPTH = 500
"""Of a tool's input: well below what writers of JSON refuse in the middle of their work."""


class Line(Struct, frozen=True):
    """A record, and the line it stands on; lines count from 1."""

    number: int
    record: Record


class Result(Struct, frozen=True):
    """A tool's result, and its line."""

    number: int
    record: ToolResult


class Answer(Struct):
    """One answer of the model. `results` has those of its tool uses that came, by their ids."""

    number: int
    record: AssistantTurn
    results: dict[str, Result] = field(default_factory=dict)

    @property
    def uses(self) -> list[ToolUseBlock]:
        """The tool uses it asked for, in order."""
        return [block for block in self.record.blocks if isinstance(block, ToolUseBlock)]


class Conversation(Struct):
    """The main conversation, or a subagent's, which `started_by` a tool use.

    Everything that happened in it, in order; results are with their answers.
    """

    started_by: ToolUseBlock | None
    steps: list[Answer | Line] = field(default_factory=list)

    @property
    def prompt(self) -> str | None:
        """What a subagent was asked: the input of the tool use that started it says so."""
        asked = None if self.started_by is None else self.started_by.input.get("prompt")
        return asked if isinstance(asked, str) else None

    @property
    def answers(self) -> list[Answer]:
        """The model's answers, in order."""
        return [step for step in self.steps if isinstance(step, Answer)]


class Session(Struct):
    """One trace.

    Args:
        name: of the file.
        start: the first record.
        main: the main conversation; the session's end is its last step.
        subagents: conversations of subagents, by the id of the tool use that started each.
        end: how the session ended; None where the trace was cut short.
        cut: line that was cut short, and left out.
    """

    name: str
    start: SessionStart
    main: Conversation = field(default_factory=lambda: Conversation(None))
    subagents: dict[str, Conversation] = field(default_factory=dict)
    end: SessionEnd | None = None
    cut: int | None = None

    @property
    def conversations(self) -> list[Conversation]:
        """The main conversation, then those of the subagents as they began."""
        return [self.main, *self.subagents.values()]


def read_session(name: str) -> Session:
    """Read a trace file, or stdin where the name is `-`.

    Raises:
        CcpaError: it cannot be read, or is no trace; the message names the file and the line.
    """
    try:
        with contextlib.ExitStack() as closing:
            stdin = name == STDIN
            stream = sys.stdin.buffer if stdin else closing.enter_context(Path(name).open("rb"))
            return session_of(name, stream)
    except OSError as error:
        reason = error.strerror or error
        raise CcpaError(f"cannot read the trace {one_line(name)}: {reason}") from None


def session_of(name: str, stream: BinaryIO) -> Session:
    """Read a trace from a stream. A last line that was cut short is left out, and told.

    Raises:
        CcpaError: it is no trace; the message names the file and the line.
        OSError: the stream could not be read.
    """
    building: _Building | None = None
    cut = None
    for number, line, ended in _lines(stream, name):
        try:
            record = trace.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if building is not None and not ended:
                cut = number
                break
            deep = isinstance(error, RecursionError)
            raise _fault(name, number, "nested too deep" if deep else str(error)) from None
        if building is not None:
            building.add(number, record)
        elif isinstance(record, SessionStart):
            building = _Building(Session(name, record))
        else:
            raise _fault(name, number, "the first record must be a session_start")
    if building is None:
        raise CcpaError(f"{one_line(name)}: holds no record")
    building.session.cut = cut
    return building.session


def _lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, bytes, bool]]:
    """Yield lines that are not blank, with their numbers, and whether they were ended."""
    number = 0
    for block in blocks(stream):
        if block is None:
            raise _fault(name, number + 1, f"longer than {MAX_LINE_BYTES >> 20} MiB")
        *ended, rest = block.split(b"\n")
        for line in ended:
            number += 1
            if line.strip():
                yield number, line, True
        if rest.strip():
            yield number + 1, rest, False


def _fault(name: str, number: int, what: str) -> CcpaError:
    shown = one_line(name)
    hint = "" if name == STDIN else f"\n`ccpa validate {shown}` lists all that is wrong with it"
    return CcpaError(f"{shown}:{number}: {one_line(what)}{hint}")


class _Building:
    """Puts records where they belong."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.uses: dict[str, ToolUseBlock] = {}
        self.waiting: dict[tuple[str | None, str], Answer] = {}

    def add(self, number: int, record: Record) -> None:
        session = self.session
        if session.end is not None or isinstance(record, SessionStart):
            what = "a second session_start" if session.end is None else "a record after session_end"
            raise _fault(session.name, number, what)
        parent: Any = getattr(record, "parent_tool_use_id", None)
        conversation = self._conversation(number, parent)
        if isinstance(record, AssistantTurn):
            answer = Answer(number, record)
            conversation.steps.append(answer)
            for use in answer.uses:
                if is_deep(use.input, _MAX_DEPTH):
                    raise _fault(session.name, number, "a tool's input is nested too deep")
                self.uses[use.id] = use
                self.waiting[parent, use.id] = answer
        elif isinstance(record, ToolResult):
            asked = self.waiting.pop((parent, record.tool_use_id), None)
            if asked is None:
                raise _fault(session.name, number, "the result of no tool use that is open")
            asked.results[record.tool_use_id] = Result(number, record)
        else:
            conversation.steps.append(Line(number, record))
            if isinstance(record, SessionEnd):
                session.end = record
            elif isinstance(record, UserPrompt):
                self.waiting = {key: one for key, one in self.waiting.items() if key[0] is not None}

    def _conversation(self, number: int, parent: str | None) -> Conversation:
        if parent is None:
            return self.session.main
        if parent not in self.session.subagents:
            started_by = self.uses.get(parent)
            if started_by is None:
                raise _fault(self.session.name, number, "of a subagent that no tool use started")
            self.session.subagents[parent] = Conversation(started_by)
        return self.session.subagents[parent]
