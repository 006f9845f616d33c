"""From the events of a run to what an editor is told of it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from acp import helpers, schema
from acp.helpers import (
    start_tool_call,
    update_agent_message_text,
    update_agent_thought_text,
    update_plan,
    update_tool_call,
    update_user_message_text,
)

from apr.acp.folders import Folders
from apr.agent.events import (
    Event,
    Notice,
    Retracted,
    TextDelta,
    ThinkingDelta,
    ToolProgress,
    ToolStarted,
)
from apr.tools.errors import ToolError
from apr.tools.paths import resolve
from apr.ui.terminal import line
from apr.ui.text import summary
from ccpa.trace import (
    AssistantTurn,
    Record,
    TextBlock,
    ThinkingBlock,
    ToolResult,
    ToolUseBlock,
    UserPrompt,
)

Kind = Literal["read", "edit", "delete", "move", "search", "execute", "think", "fetch", "other"]

_KINDS: dict[str, Kind] = {
    "Read": "read",
    "Write": "edit",
    "Edit": "edit",
    "NotebookEdit": "edit",
    "Glob": "search",
    "Grep": "search",
    "Bash": "execute",
    "BashOutput": "execute",
    "KillShell": "execute",
    "Monitor": "execute",
    "WebFetch": "fetch",
    "WebSearch": "search",
    "Agent": "think",
    "TodoWrite": "think",
}
_PATHS = ("file_path", "notebook_path", "path")
_STATUS: dict[str, Literal["pending", "in_progress", "completed"]] = {
    "pending": "pending",
    "in_progress": "in_progress",
    "completed": "completed",
}
_LARGEST = 1_000_000
"""Bytes of a file that a new one is compared with, or searched for the line of a change."""
_SHOWN = 16_000
"""Characters of a running tool's output that are shown, the last ones."""
_AGAIN = "\n\n[The answer broke off here. It comes again from its start.]\n\n"


class Telling:
    """What is told of one session. It remembers what later updates depend on.

    Args:
        folders: as what the editor knows the files.
    """

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._compared: set[str] = set()
        """Tool uses of which a difference is shown, that their result must not take away."""
        self._output: dict[str, str] = {}
        """Of tools that run, what they have put out so far."""

    def updates(self, event: Event) -> Iterator[Any]:
        """Yield what an editor is told of an event, as session updates."""
        match event:
            case TextDelta(text):
                yield update_agent_message_text(text)
            case Retracted():
                yield update_agent_message_text(_AGAIN)
            case ThinkingDelta(text):
                yield update_agent_thought_text(text)
            case Notice(text):
                yield update_agent_thought_text(f"{text}\n")
            case AssistantTurn(blocks=blocks):
                for block in blocks:
                    if isinstance(block, ToolUseBlock):
                        yield self.called(block)
                        yield from _plan(block)
            case ToolStarted(call):
                yield update_tool_call(call.id, status="in_progress")
            case ToolProgress(call_id, text):
                shown = (self._output.get(call_id, "") + text)[-_SHOWN:]
                self._output[call_id] = shown
                yield update_tool_call(call_id, content=[_text(shown)])
            case ToolResult():
                yield self.answered(event)
            case _:
                pass

    def history(self, records: Iterable[Record]) -> Iterator[Any]:
        """Yield a stored session as updates, for an editor that loads it."""
        for record in records:
            match record:
                case UserPrompt(text=text):
                    yield update_user_message_text(text)
                case AssistantTurn(blocks=blocks, parent_tool_use_id=None):
                    for block in blocks:
                        if isinstance(block, TextBlock) and block.text:
                            yield update_agent_message_text(block.text)
                        elif isinstance(block, ThinkingBlock) and block.thinking:
                            yield update_agent_thought_text(block.thinking)
                    yield from self.updates(record)
                case ToolResult(parent_tool_use_id=None):
                    yield self.answered(record)
                case _:
                    pass

    def called(self, block: ToolUseBlock) -> schema.ToolCallStart:
        """Return how a tool use is announced: with its place, and of an edit, the difference."""
        content = list(self._difference(block))
        if content:
            self._compared.add(block.id)
        return start_tool_call(
            block.id,
            line(summary(block)),
            kind=_KINDS.get(block.name, "other"),
            status="pending",
            content=content,
            locations=list(self._places(block)),
            raw_input=block.input,
        )

    def asked(self, block: ToolUseBlock, reason: str) -> schema.ToolCallUpdate:
        """Return how a tool use is shown where a person is asked about it, and why they are."""
        told = self.called(block).model_dump(exclude={"session_update"})
        if block.name == "ExitPlanMode":
            told["content"] = [_text(str(block.input.get("plan", "")))]
        elif not told["content"]:
            told["content"] = [_text(reason)]
        return schema.ToolCallUpdate(**told)

    def answered(self, result: ToolResult) -> schema.ToolCallProgress:
        """Return how the result of a tool use is told."""
        call = result.tool_use_id
        self._output.pop(call, None)
        kept = result.ok and call in self._compared
        self._compared.discard(call)
        return update_tool_call(
            call,
            status="completed" if result.ok else "failed",
            content=None if kept else [_text(result.content)],
            raw_output={"content": result.content},
        )

    def _places(self, block: ToolUseBlock) -> Iterator[schema.ToolCallLocation]:
        """Yield the files that a tool use names, and the line that it is about."""
        for key in _PATHS:
            if (path := self._meant(block.input.get(key))) is not None:
                shown = self._folders.place(path)
                yield schema.ToolCallLocation(path=shown, line=self._line(block, path))

    def _meant(self, name: object) -> Path | None:
        """Return the file that a model names, as the tools take it: a person consents to that."""
        try:
            return resolve(name, self._folders.root) if isinstance(name, str) else None
        except ToolError:
            return None

    def _line(self, block: ToolUseBlock, path: Path) -> int | None:
        offset, old = block.input.get("offset"), block.input.get("old_string")
        if block.name == "Read" and type(offset) is int and offset > 0:
            return offset
        if block.name == "Edit" and isinstance(old, str) and old:
            before, found, _ = (_before(path) or "").partition(old)
            return before.count("\n") + 1 if found else None
        return None

    def _difference(self, block: ToolUseBlock) -> Iterator[Any]:
        """Yield what an edit would change, as an editor shows it."""
        given = block.input
        path = self._meant(given.get("file_path"))
        if path is None:
            return
        old, new, content = given.get("old_string"), given.get("new_string"), given.get("content")
        shown = self._folders.place(path)
        if block.name == "Edit" and isinstance(old, str) and isinstance(new, str):
            yield helpers.tool_diff_content(shown, new, old or None)
        elif block.name == "Write" and isinstance(content, str):
            yield helpers.tool_diff_content(shown, content, _before(path))


def _text(text: str) -> Any:
    return helpers.tool_content(helpers.text_block(text))


def _before(path: Path) -> str | None:
    """Return what stands in a regular file now, as far as that is a text that can be shown."""
    try:
        small = path.is_file() and path.stat().st_size < _LARGEST
        return path.read_text(encoding="utf-8") if small else None
    except (OSError, ValueError):
        return None


def _plan(block: ToolUseBlock) -> Iterator[Any]:
    """Yield the list of tasks that a model has written, as the plan that editors show."""
    todos = block.input.get("todos")
    if block.name != "TodoWrite" or not isinstance(todos, list):
        return
    entries = [
        helpers.plan_entry(
            str(todo["content"]), status=_STATUS.get(str(todo.get("status")), "pending")
        )
        for todo in todos
        if isinstance(todo, dict) and "content" in todo
    ]
    yield update_plan(entries)
