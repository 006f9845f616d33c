"""Anthropic Messages: `/v1/messages`, whole or streamed, and `/v1/messages/count_tokens`.

As https://platform.claude.com/docs/en/api/messages, .../build-with-claude/streaming and
.../api/errors describe it.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from ccpa.scripted.wire import (
    Answer,
    Asked,
    Entry,
    Prompt,
    Results,
    Said,
    encoded,
    event,
    joined,
    pieces,
    texts,
)
from ccpa.trace import Block, TextBlock, ThinkingBlock, ToolUseBlock

_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_BYTES_A_TOKEN = 4

_Content = str | list[dict[str, Any]]


class _Message(Struct):
    role: str
    content: _Content


class _Tool(Struct):
    name: str


class _Format(Struct):
    schema: dict[str, Any] | None = None


class _OutputConfig(Struct):
    format: _Format | None = None


class _Body(Struct):
    model: str
    messages: list[_Message]
    max_tokens: int | None = None
    system: _Content = ""
    tools: list[_Tool] = []
    stop_sequences: list[str] | None = None
    stream: bool = False
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None


def read(body: dict[str, Any]) -> Asked:
    """Read a request. `max_tokens` may be absent: counting tokens does without it."""
    form = msgspec.convert(body, _Body)
    formats = (form.output_config and form.output_config.format) or form.output_format
    system = [*texts(form.system)]
    entries: list[Entry] = []
    for message in form.messages:
        if message.role == "system":
            system += texts(message.content)
        else:
            entries += _entries(message)
    return Asked(
        model=form.model,
        stream=form.stream,
        system="\n\n".join(system),
        tools=tuple(tool.name for tool in form.tools),
        history=joined(entries),
        max_tokens=form.max_tokens,
        stop=tuple(form.stop_sequences or ()),
        schema=formats.schema if formats else None,
    )


def _entries(message: _Message) -> Iterator[Entry]:
    parts = message.content if isinstance(message.content, list) else []
    if message.role == "assistant":
        yield Said(tuple(str(part.get("id")) for part in parts if part.get("type") == "tool_use"))
        return
    results = [part for part in parts if part.get("type") == "tool_result"]
    if results:
        yield Results(tuple(str(part.get("tool_use_id")) for part in results))
    yield Prompt(texts(message.content))


def count_tokens(body: dict[str, Any]) -> bytes:
    """Answer how many tokens a request has: an estimate, a token for every four bytes of JSON."""
    counted = {key: body[key] for key in ("system", "messages", "tools") if key in body}
    size = len(msgspec.json.encode(counted))
    return msgspec.json.encode({"input_tokens": -(-size // _BYTES_A_TOKEN)})


def whole(answer: Answer) -> bytes:
    """Return the answer as one `message`."""
    return msgspec.json.encode(
        {
            **_message(answer, [_block(block) for block in answer.turn.blocks]),
            **_stop(answer),
            "usage": _usage(answer, answer.usage.output_tokens),
        }
    )


def streamed(answer: Answer) -> Iterator[bytes]:
    """Yield the answer from `message_start` to `message_stop`, with a `ping` in between."""
    start = {
        **_message(answer, []),
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(answer, 0),
    }
    yield event({"type": "message_start", "message": start})
    yield event({"type": "ping"})
    for index, block in enumerate(answer.turn.blocks):
        opening = {"index": index, "content_block": _opening(block)}
        yield event({"type": "content_block_start", **opening})
        for delta in _deltas(block):
            yield event({"type": "content_block_delta", "index": index, "delta": delta})
        yield event({"type": "content_block_stop", "index": index})
    usage = {"output_tokens": answer.usage.output_tokens}
    yield event({"type": "message_delta", "delta": _stop(answer), "usage": usage})
    yield event({"type": "message_stop"})


def error(status: int, message: str) -> bytes:
    """Return an error as this wire tells it."""
    kind = _ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return msgspec.json.encode(
        {"type": "error", "error": {"type": kind, "message": message}, "request_id": None}
    )


def _message(answer: Answer, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.key}",
        "type": "message",
        "role": "assistant",
        "model": answer.asked.model,
        "content": content,
    }


def _stop(answer: Answer) -> dict[str, Any]:
    """Say why it ended. A trace does not hold the stop sequence; the client's first stands in."""
    reason = answer.turn.stop_reason
    sequence = answer.asked.stop[0] if reason == "stop_sequence" and answer.asked.stop else None
    return {"stop_reason": reason, "stop_sequence": sequence}


def _usage(answer: Answer, output_tokens: int) -> dict[str, int]:
    """Say what was used: here, unlike in a trace, `input_tokens` are those that were not cached."""
    usage = answer.usage
    return {
        "input_tokens": max(usage.input_tokens - usage.cache_read_tokens, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": output_tokens,
    }


def _block(block: Block) -> dict[str, Any]:
    match block:
        case TextBlock(text):
            return {"type": "text", "text": text, "citations": None}
        case ThinkingBlock(thinking, signature):
            return {"type": "thinking", "thinking": thinking, "signature": signature or ""}
        case ToolUseBlock(id_, name, given):
            return {"type": "tool_use", "id": id_, "name": name, "input": given}


def _opening(block: Block) -> dict[str, Any]:
    match block:
        case TextBlock():
            return {"type": "text", "text": ""}
        case ThinkingBlock():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case ToolUseBlock(id_, name):
            return {"type": "tool_use", "id": id_, "name": name, "input": {}}


def _deltas(block: Block) -> Iterator[dict[str, Any]]:
    match block:
        case TextBlock(text):
            yield from ({"type": "text_delta", "text": piece} for piece in pieces(text))
        case ThinkingBlock(thinking, signature):
            for piece in pieces(thinking):
                yield {"type": "thinking_delta", "thinking": piece}
            if signature is not None:
                yield {"type": "signature_delta", "signature": signature}
        case ToolUseBlock(input=given):
            yield {"type": "input_json_delta", "partial_json": ""}
            for piece in pieces(encoded(given)):
                yield {"type": "input_json_delta", "partial_json": piece}
