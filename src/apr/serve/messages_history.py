"""The messages of a Messages request -> the history that a model is shown.

Neighbouring messages of one role are one turn. Every `tool_use` must be answered by a
`tool_result` in the turn behind it, and every result must answer one. Text that stands before
results in a turn comes behind them: a model's template has no other place for it.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec
from msgspec import Struct

from apr.providers.base import (
    AssistantMessage,
    Image,
    Message,
    ToolAnswer,
    ToolMessage,
    UserMessage,
)
from apr.serve import messages_schema as schema
from apr.serve.messages_content import document, image, result, search_result, server_result
from apr.serve.messages_errors import Invalid, items, read, read_tagged, shown
from apr.serve.messages_malformed import given_back, told_to_model
from ccpa.trace import Block, TextBlock, ThinkingBlock, ToolUseBlock

_SERVER_RESULTS = (
    "web_search", "web_fetch", "code_execution", "bash_code_execution",
    "text_editor_code_execution", "tool_search", "advisor",
)  # fmt: skip
_ANYWHERE: dict[str, Any] = {
    "text": schema.Text,
    "image": schema.Image,
    "document": schema.Document,
    "search_result": schema.SearchResult,
    "thinking": schema.Thinking,
    "redacted_thinking": schema.RedactedThinking,
    "tool_use": schema.ToolUse,
    "tool_result": schema.ToolResult,
    "server_tool_use": schema.ServerToolUse,
    "mcp_tool_use": schema.ServerToolUse,
    "mcp_tool_result": schema.ServerToolResult,
    "mcp_tool_listing": schema.Unread,
    "compaction": schema.Compaction,
    "container_upload": schema.Unread,
    "fallback": schema.Unread,
    "tool_addition": schema.Unread,
    "tool_removal": schema.Unread,
} | {f"{name}_tool_result": schema.ServerToolResult for name in _SERVER_RESULTS}
_USERS_ONLY = ("image", "document", "search_result", "tool_result")
_MODELS_ONLY = ("thinking", "redacted_thinking", "tool_use", "server_tool_use", "mcp_tool_use")


class _Part(Struct, frozen=True):
    """A block of a turn, and where it stands."""

    block: Any
    path: str


def read_messages(messages: Sequence[Any], *, vision: bool) -> tuple[Message, ...]:
    """Return the history.

    Raises:
        Invalid: a message is not as it must be, or not where it must be.
    """
    walked = [(read(m, schema.Message, path), path) for m, path in items(messages, "messages")]
    if walked[0][0].role == "assistant":
        raise Invalid("messages.0.role", "The first message must be the user's")
    history: list[Message] = []
    calls: list[ToolUseBlock] = []
    used: set[str] = set()
    last = "messages.0"
    for assistant, group in groupby(walked, lambda each: each[0].role == "assistant"):
        turn = list(group)
        parts = [part for message, path in turn for part in _parts(message, path)]
        if assistant:
            blocks = [block for part in parts for block in _said(part)]
            calls = [block for block in blocks if isinstance(block, ToolUseBlock)]
            _check_ids(parts, used)
            history.append(AssistantMessage(tuple(given_back(block) for block in blocks)))
        else:
            history += _users_turn(parts, turn[0][1], calls, vision=vision)
            calls = []
        last = turn[-1][1]
    if calls:
        raise _unanswered(last, calls)
    _check_prefill(history, last)
    return tuple(history)


def _parts(message: schema.Message, path: str) -> Iterator[_Part]:
    if isinstance(message.content, str):
        yield _Part(_voiced(schema.Text(message.content), message.role), f"{path}.content")
        return
    if message.role == "system":
        for value, place in items(message.content, f"{path}.content"):
            text = read_tagged(value, {"text": schema.Text}, place)
            yield _Part(_voiced(text, message.role), place)
        return
    for value, place in items(message.content, f"{path}.content"):
        block = read_tagged(value, _ANYWHERE, place)
        kind, role = value["type"], message.role
        if kind in (_USERS_ONLY if role == "assistant" else _MODELS_ONLY):
            raise Invalid(f"{place}.type", f"A {kind} block cannot be in a message of the {role}")
        yield _Part(block, place)


def _voiced(text: schema.Text, role: str) -> schema.Text:
    """Return a text, marked where the system says it: templates have no place for it but first."""
    if role != "system" or not text.text:
        return text
    return schema.Text(f"<system>\n{text.text}\n</system>")


def _said(part: _Part) -> Iterator[Block]:
    """Yield what a model said. What the vendor's service has run for it becomes text."""
    match part.block:
        case schema.Text(text) if text:
            yield TextBlock(text)
        case schema.Thinking(thinking, signature):
            yield ThinkingBlock(thinking, signature or None)
        case schema.ToolUse(id_, name, given):
            yield ToolUseBlock(id_, name, given)
        case schema.ServerToolUse(_, name, given):
            yield TextBlock(f"[{name}: {msgspec.json.encode(given).decode()}]")
        case schema.ServerToolResult() as came_to:
            yield TextBlock(f"[result: {server_result(came_to)}]")
        case schema.Compaction(content) if content:
            yield TextBlock(content)


def _users_turn(
    parts: list[_Part], path: str, calls: list[ToolUseBlock], *, vision: bool
) -> Iterator[Message]:
    """Yield the results of the calls before, then what the user says."""
    texts: list[str] = []
    images: list[Image] = []
    answers: dict[str, ToolAnswer] = {}
    called = {call.id: call for call in calls}
    for part in parts:
        block, place = part.block, part.path
        if isinstance(block, schema.ToolResult):
            call = called.get(block.tool_use_id)
            if call is None:
                raise Invalid(
                    f"{place}.tool_use_id",
                    f"No tool_use of the message before has the id {shown(block.tool_use_id)}",
                )
            if call.id in answers:
                raise Invalid(f"{place}.tool_use_id", "This tool_use has a result already")
            text, shown_by_tool = result(block, place, vision=vision)
            answers[call.id] = told_to_model(call, text, ok=not block.is_error)
            images += shown_by_tool
        elif isinstance(block, schema.Image):
            images.append(image(block, place, vision=vision))
        else:
            texts.append(_users_text(block, place))
    if missing := [call for call in calls if call.id not in answers]:
        raise _unanswered(path, missing)
    if answers:
        yield ToolMessage(tuple(answers[call.id] for call in calls))
    text = "\n\n".join(text for text in texts if text)
    if text or images:
        yield UserMessage(text, tuple(images))
    elif not answers:
        raise Invalid(f"{path}.content", "A message of the user must hold something")


def _users_text(block: Any, path: str) -> str:
    match block:
        case schema.Text(text):
            return text
        case schema.Document():
            return document(block, path)
        case schema.SearchResult():
            return search_result(block, path)
        case schema.ServerToolResult():
            return server_result(block)
        case schema.Compaction(content):
            return content or ""
        case _:
            return ""


def _check_ids(parts: list[_Part], used: set[str]) -> None:
    """Add the ids of a turn's calls to those that are used.

    Raises:
        Invalid: one is used twice.
    """
    for part in parts:
        if isinstance(part.block, schema.ToolUse):
            if part.block.id in used:
                raise Invalid(f"{part.path}.id", "The ids of tool_use blocks must be unique")
            used.add(part.block.id)


def _unanswered(path: str, calls: list[ToolUseBlock]) -> Invalid:
    ids = ", ".join(call.id for call in calls)
    return Invalid(path, f"tool_use ids without a tool_result block immediately after: {ids}")


def _check_prefill(history: list[Message], path: str) -> None:
    """Raise `Invalid` where the answer is to go on from a text that ends in white space.

    A model's tokens begin with the white space before a word: such a text cannot be gone on from.
    """
    last = history[-1]
    if isinstance(last, AssistantMessage) and last.blocks:
        block = last.blocks[-1]
        if isinstance(block, TextBlock) and block.text != block.text.rstrip():
            raise Invalid(f"{path}.content", "The last message must not end in white space")
