"""One tool use, from what the model asked for to what it is told: checked, executed, reported."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from apr.legible import legible
from apr.tools.base import Access, Context, Outcome, Tool, ToolError
from apr.tools.inputs import parse
from apr.tools.registry import find
from ccpa.trace import DeniedBy, SideEffects, ToolResult, ToolUseBlock

Tools = Mapping[str, Tool[Any]]


class Checked(Struct, frozen=True):
    """A call of a tool that there is, with an input that it takes, and what that would touch."""

    call: ToolUseBlock
    tool: Tool[Any]
    input: Struct
    access: Access


class Ready(Struct, frozen=True):
    """A call that may run."""

    call: ToolUseBlock
    tool: Tool[Any]
    input: Struct


class Refused(Struct, frozen=True):
    """A call that never ran, and what the model is told of it."""

    content: str
    denied_by: DeniedBy | None = None


class Ran(Struct, frozen=True):
    """A call that ran."""

    outcome: Outcome
    duration_ms: int


def batches(calls: list[ToolUseBlock], tools: Tools) -> Iterator[list[ToolUseBlock]]:
    """Cut a turn's calls into batches that may run at once: neighbours that do not interfere."""
    batch: list[ToolUseBlock] = []
    for call in calls:
        tool = find(call.name, tools)
        if tool is not None and tool.read_only:
            batch.append(call)
            continue
        if batch:
            yield batch
            batch = []
        yield [call]
    if batch:
        yield batch


def check(
    call: ToolUseBlock, malformed: Mapping[str, str], tools: Tools, context: Context
) -> Checked | Refused:
    """Check a call: could it be read, is there such a tool, is its input right."""
    if reason := malformed.get(call.id):
        return _not_usable(reason)
    tool = find(call.name, tools)
    if tool is None:
        return _not_usable(
            f"There is no tool named {call.name!r}. The tools are: {', '.join(tools)}."
        )
    try:
        parsed = parse(tool, call.input)
        return Checked(call, tool, parsed, tool.access(parsed, context))
    except ToolError as error:
        return _not_usable(str(error))


async def execute(ready: Ready, context: Context) -> Ran:
    """Run the tool. Whatever goes wrong in it is an error result: a tool never ends the session."""
    began = time.monotonic()
    try:
        outcome = await ready.tool.run(ready.input, context)
    except ToolError as error:
        outcome = Outcome(content=_not_usable(str(error)).content, ok=False)
    except OSError as error:
        outcome = Outcome(content=f"{ready.tool.name} failed: {error}", ok=False)
    except Exception as error:
        kind = type(error).__name__
        outcome = Outcome(content=f"{ready.tool.name} broke ({kind}: {error})", ok=False)
    return Ran(outcome, int((time.monotonic() - began) * 1000))


def report(turn: int, call: ToolUseBlock, came_to: Ran | Refused, root: Path) -> ToolResult:
    """Return the record of what a call came to. Paths in the project are told relative to it."""
    if isinstance(came_to, Refused):
        return ToolResult(
            v=1,
            turn=turn,
            tool_use_id=call.id,
            ok=False,
            content=legible(came_to.content),
            denied_by=came_to.denied_by,
        )
    outcome = came_to.outcome
    effects = SideEffects(
        files_read=[_relative(path, root) for path in outcome.files_read],
        files_written=[_relative(path, root) for path in outcome.files_written],
        exit_code=outcome.exit_code,
    )
    return ToolResult(
        v=1,
        turn=turn,
        tool_use_id=call.id,
        ok=outcome.ok,
        content=legible(outcome.content),
        side_effects=effects if effects != SideEffects() else None,
        duration_ms=came_to.duration_ms,
        content_sha256=outcome.full_sha256 if outcome.truncated else None,
        truncated=True if outcome.truncated else None,
    )


def _not_usable(reason: str) -> Refused:
    return Refused(f"<tool_use_error>{reason}</tool_use_error>")


def _relative(path: Path, root: Path) -> str:
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return legible(shown.as_posix())
