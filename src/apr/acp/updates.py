"""From the events of a run to what an editor is told of it. Pure."""

from collections.abc import Iterator
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

from apr.agent.events import Event, Notice, TextDelta, ThinkingDelta, ToolProgress, ToolStarted
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


def kind_of(tool: str) -> Kind:
    """Return what an editor takes a tool for: it chooses the icon by it."""
    return _KINDS.get(tool, "other")


def updates(event: Event, root: Path) -> Iterator[Any]:
    """Yield what an editor is told of an event, as session updates."""
    match event:
        case TextDelta(text):
            yield update_agent_message_text(text)
        case ThinkingDelta(text):
            yield update_agent_thought_text(text)
        case Notice(text):
            yield update_agent_thought_text(f"{text}\n")
        case AssistantTurn(blocks=blocks):
            for block in blocks:
                if isinstance(block, ToolUseBlock):
                    yield called(block, root)
                    yield from _plan(block)
        case ToolStarted(call):
            yield update_tool_call(call.id, status="in_progress")
        case ToolProgress(call_id, text):
            yield update_tool_call(
                call_id, content=[helpers.tool_content(helpers.text_block(text))]
            )
        case ToolResult():
            yield answered(event)
        case _:
            pass


def history(records: list[Record], root: Path) -> Iterator[Any]:
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
                yield from updates(record, root)
            case ToolResult(parent_tool_use_id=None):
                yield answered(record)
            case _:
                pass


def called(block: ToolUseBlock, root: Path) -> schema.ToolCallStart:
    """Return how a tool use is announced: with its place, and of an edit, the difference."""
    return start_tool_call(
        block.id,
        summary(block),
        kind=kind_of(block.name),
        status="pending",
        content=list(difference(block, root)),
        locations=[schema.ToolCallLocation(path=str(path)) for path in places(block, root)],
        raw_input=block.input,
    )


def answered(result: ToolResult) -> schema.ToolCallProgress:
    """Return how the result of a tool use is told."""
    return update_tool_call(
        result.tool_use_id,
        status="completed" if result.ok else "failed",
        content=[helpers.tool_content(helpers.text_block(result.content))],
        raw_output={"content": result.content},
    )


def places(block: ToolUseBlock, root: Path) -> list[Path]:
    """Return the files that a tool use names, absolute."""
    names = [block.input[key] for key in _PATHS if isinstance(block.input.get(key), str)]
    return [root / name for name in names]


def difference(block: ToolUseBlock, root: Path) -> Iterator[Any]:
    """Yield what an edit would change, as an editor shows it."""
    given = block.input
    path = next(iter(places(block, root)), None)
    if path is None:
        return
    old, new, content = given.get("old_string"), given.get("new_string"), given.get("content")
    if block.name == "Edit" and isinstance(old, str) and isinstance(new, str):
        yield helpers.tool_diff_content(str(path), new, old)
    elif block.name == "Write" and isinstance(content, str):
        yield helpers.tool_diff_content(str(path), content, _before(path))


def _before(path: Path) -> str | None:
    try:
        return path.read_text() if path.stat().st_size < 1_000_000 else None
    except (OSError, UnicodeDecodeError):
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
