"""A recorded session, as the conversation that a model would have had of it.

`histories` gives what stood before each recorded answer, for a model to answer in its place;
`Recorded` says recorded answers before a model goes on. Both retell other agents' sessions the way
apr's own run:

- The first prompt has our surroundings before it, with the session's own directory and date.
- Paths below that directory are relative to it where our own tools take and show them so: in the
  inputs that name a path, and in the answers of tools that answer with paths. Commands and their
  output stay, for a shell may be elsewhere by then, and so does what files hold. The directory's
  own name is known to the model from its surroundings.
- What a Stop hook that blocked has said is the next prompt, as it was for the recorded model.
- A history that was summarised is retold in full: a trace does not hold the summary.
"""

import re
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from apr.agent.prompt import Environment, first_prompt
from apr.errors import AprError
from apr.providers.base import (
    AssistantMessage,
    Completion,
    Message,
    ModelEvent,
    Provider,
    Request,
    ToolAnswer,
    ToolMessage,
    UserMessage,
)
from ccpa.trace import (
    AssistantTurn,
    Block,
    HookEvent,
    Record,
    SessionStart,
    ToolResult,
    ToolUseBlock,
    Usage,
    UserPrompt,
    read,
)

DIRECTORY = "/workspace"
"""Where a session is taken to have run if it does not say."""
PATHS = frozenset({"file_path", "path", "notebook_path"})
"""Inputs that name a path."""
ANSWER_WITH_PATHS = frozenset({"Edit", "Glob", "Grep", "NotebookEdit", "Write"})
RECORDING = "recording"
"""The model's name in answers that are said again."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_UNKNOWN_DATE = "2026-01-01"
_NO_RESULT = "No result was recorded."


class _Conversation(Struct):
    """The main one, or a subagent's."""

    messages: list[Message]
    calls: tuple[ToolUseBlock, ...] = ()
    """Those of the last answer, while their results come in."""
    results: dict[str, ToolResult] = msgspec.field(default_factory=dict)

    def close_turn(self, tell: "Retelling") -> None:
        """Put the results of the last answer's calls into the history, in order of the calls."""
        if self.calls:
            answers = tuple(tell.answer(call, self.results.get(call.id)) for call in self.calls)
            self.messages.append(ToolMessage(answers))
        self.calls, self.results = (), {}


class Retelling(Struct, frozen=True):
    """How one session is retold. `directory` is where it ran."""

    directory: str = DIRECTORY
    date: str = _UNKNOWN_DATE

    @classmethod
    def of(cls, start: SessionStart) -> "Retelling":
        """Return how to retell the session that started so."""
        date = _DATE.match(start.ts)
        directory = (start.cwd or DIRECTORY).rstrip("/") or "/"
        return cls(directory, date[0] if date else _UNKNOWN_DATE)

    def prompt(self, text: str) -> UserMessage:
        """Return a conversation's first message."""
        environment = Environment(directory=self.directory, date=self.date, platform="linux")
        return UserMessage(first_prompt(environment, text))

    def blocks(self, blocks: Iterable[Block]) -> tuple[Block, ...]:
        """Return an answer with its paths relative."""
        return tuple(
            ToolUseBlock(block.id, block.name, self._input(block.name, block.input))
            if isinstance(block, ToolUseBlock)
            else block
            for block in blocks
        )

    def answer(self, call: ToolUseBlock, result: ToolResult | None) -> ToolAnswer:
        """Return what the model reads of a call's result."""
        if result is None:
            return ToolAnswer(call.id, call.name, _NO_RESULT, ok=False)
        # Read answers with what a file holds, unless it fails.
        names_paths = call.name in ANSWER_WITH_PATHS or (call.name == "Read" and not result.ok)
        content = self.text(result.content) if names_paths else result.content
        return ToolAnswer(call.id, call.name, content, result.ok)

    def text(self, text: str) -> str:
        """Return the text with paths below the directory relative to it."""
        below = self.directory.rstrip("/") + "/"
        if below == "/" or below not in text:
            return text
        return re.sub(rf"(?<![\w./~-]){re.escape(below)}(?=[\w.@+~*-])", "", text)

    def _input(self, tool: str, given: dict[str, Any]) -> dict[str, Any]:
        keys = PATHS | {"pattern"} if tool == "Glob" else PATHS
        return {key: self._path(value) if key in keys else value for key, value in given.items()}

    def _path(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return "." if value.rstrip("/") == self.directory else self.text(value)


def histories(
    records: Iterable[Record], wanted: Collection[int]
) -> Iterator[tuple[int, tuple[Message, ...]]]:
    """Yield, for each answer at a wanted index of `records`, what stood before it.

    Histories of one conversation come in order, each the beginning of the next. A subagent's
    begins with the prompt that its tool use gave it.
    """
    tell = Retelling()
    main = _Conversation([])
    subagents: dict[str, _Conversation] = {}
    asked_by: dict[str, tuple[_Conversation, ToolUseBlock]] = {}
    for index, record in enumerate(records):
        match record:
            case SessionStart():
                tell = Retelling.of(record)
            case UserPrompt(text=text):
                main.close_turn(tell)
                main.messages.append(UserMessage(text) if main.messages else tell.prompt(text))
            case AssistantTurn(parent_tool_use_id=parent):
                here = main
                if parent is not None:
                    if parent not in subagents:
                        subagents[parent] = _Conversation([tell.prompt(_task(asked_by, parent))])
                    here = subagents[parent]
                here.close_turn(tell)
                if index in wanted:
                    yield index, tuple(here.messages)
                blocks = tell.blocks(record.blocks)
                here.messages.append(AssistantMessage(blocks))
                here.calls = tuple(b for b in blocks if isinstance(b, ToolUseBlock))
                asked_by |= {call.id: (here, call) for call in here.calls}
            case ToolResult(tool_use_id=id_) if id_ in asked_by:
                asked_by[id_][0].results[id_] = record
            case HookEvent(event="Stop", decision="block", output=str(said)):
                main.close_turn(tell)
                main.messages.append(UserMessage(said))
            case _:
                pass


def _task(asked_by: dict[str, tuple[_Conversation, ToolUseBlock]], parent: str) -> str:
    """Return what a subagent was asked; nothing, where the recording does not hold it."""
    given = asked_by[parent][1].input.get("prompt") if parent in asked_by else None
    return given if isinstance(given, str) else ""


class Recorded:
    """A provider that gives the first answers of a recording, and then asks a model.

    Args:
        turns: the recorded answers, of the main conversation.
        start: how the recorded session started.
        live: the model that goes on.
    """

    def __init__(self, turns: Iterable[AssistantTurn], start: SessionStart, live: Provider) -> None:
        tell = Retelling.of(start)
        self._turns = [
            msgspec.structs.replace(turn, blocks=list(tell.blocks(turn.blocks))) for turn in turns
        ]
        self._live = live

    @property
    def context(self) -> int | None:
        """As the live model has it."""
        return self._live.context

    async def stream(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """Answer; see `Provider.stream`. What is said again costs no tokens."""
        if not self._turns:
            async for event in self._live.stream(request):
                yield event
            return
        turn = self._turns.pop(0)
        yield Completion(
            blocks=tuple(turn.blocks),
            stop_reason=turn.stop_reason,
            usage=Usage(input_tokens=0, output_tokens=0),
            model=RECORDING,
        )

    async def close(self) -> None:
        """Give back the live model's connections."""
        await self._live.close()


def fork(path: Path, at: int | None, live: Provider) -> Recorded:
    """Return a provider that gives the first `at` answers of a trace file before `live` goes on.

    Raises:
        AprError: `at` is missing, or the file is no trace or has fewer answers.
    """
    if at is None:
        raise AprError("--fork-trace goes with --fork-at N, the number of recorded answers")
    try:
        records = list(read(path.read_bytes().splitlines()))
    except OSError as error:
        raise AprError(f"--fork-trace: {path}: {error.strerror}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise AprError(f"--fork-trace: {path}: no trace: {error}") from None
    turns = [r for r in records if isinstance(r, AssistantTurn) and not r.parent_tool_use_id]
    start = records[0] if records else None
    if not isinstance(start, SessionStart):
        raise AprError(f"--fork-trace: {path}: a trace begins with session_start")
    if len(turns) < at:
        raise AprError(f"--fork-at {at}: {path} has only {len(turns)} answers")
    return Recorded(turns[:at], start, live)
