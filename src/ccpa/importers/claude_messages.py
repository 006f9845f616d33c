"""What Claude Code's transcripts and its stream-json output share: messages of the Messages API."""

from typing import Any

from ccpa.importers.notes import Notes
from ccpa.importers.values import JsonObject, count, items, obj, objects, rendered, text
from ccpa.trace import Block, TextBlock, ThinkingBlock, ToolUseBlock, Usage

SYNTHETIC = "<synthetic>"
"""The model of messages that Claude Code wrote itself: no model said them."""


def blocks(content: Any, notes: Notes) -> list[Block]:
    """Return the blocks of an assistant message. What the provider's own servers did is left out.

    A block of encrypted reasoning has no text: it becomes a marker.
    """
    if isinstance(content, str):
        return [TextBlock(content)]
    made: list[Block] = []
    for block in items(content):
        match obj(block):
            case {"type": "text", "text": str(words)}:
                made.append(TextBlock(words))
            case {"type": "thinking", "thinking": str(words)}:
                made.append(ThinkingBlock(words, text(block.get("signature"))))
            case {"type": "redacted_thinking"}:
                made.append(ThinkingBlock("«encrypted reasoning»"))
            case {"type": "tool_use", "id": str(use), "name": str(name)}:
                made.append(ToolUseBlock(use, name, obj(block.get("input"))))
            case {"type": kind}:
                notes.meet("assistant block", kind)
            case _:
                notes.meet("assistant block", block)
    return made


def usage(value: Any) -> Usage | None:
    """Return token counts. A trace's `input_tokens` hold what was cached; Claude's do not."""
    counts = obj(value)
    fresh, written = count(counts.get("output_tokens")), count(counts.get("input_tokens"))
    if fresh is None or written is None:
        return None
    read = count(counts.get("cache_read_input_tokens")) or 0
    stored = count(counts.get("cache_creation_input_tokens")) or 0
    whole = count(written + stored + read)
    if whole is None:
        return None
    return Usage(input_tokens=whole, output_tokens=fresh, cache_read_tokens=read)


def joined(lines: list[JsonObject]) -> list[JsonObject]:
    """Join the lines of each assistant message, which has one line a block, at its first line.

    Lines belong together that share `message.id`, and are of one agent. The last usage and stop
    reason are the message's. Other lines stay where they are.
    """
    made: list[JsonObject] = []
    known: dict[tuple[str, str | None], JsonObject] = {}
    for line in lines:
        message = obj(line.get("message"))
        name = text(message.get("id"))
        if line.get("type") != "assistant" or name is None:
            made.append(line)
            continue
        key = name, text(line.get("parent_tool_use_id"))
        content = message.get("content")
        parts = [content] if isinstance(content, str) else items(content)
        parts = [{"type": "text", "text": one} if isinstance(one, str) else one for one in parts]
        first = known.get(key)
        if first is None:
            known[key] = joint = {**line, "message": {**message, "content": parts}}
            made.append(joint)
            continue
        first["message"]["content"] += parts
        for field in ("usage", "stop_reason"):
            if message.get(field) is not None:
                first["message"][field] = message[field]
    return made


def tool_results(content: Any) -> list[JsonObject]:
    """Return the results in a user message."""
    found = (block for block in objects(content) if block.get("type") == "tool_result")
    return [block for block in found if isinstance(block.get("tool_use_id"), str)]


def said(content: Any) -> str | None:
    """Return what a user message says besides tool results, or None where that is nothing."""
    if isinstance(content, str):
        return text(content)
    parts = [one for one in items(content) if obj(one).get("type") != "tool_result"]
    return text(rendered(parts))
