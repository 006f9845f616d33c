"""A `Request` -> the body of an OpenAI chat completions request.

What grows from turn to turn (the messages) stands behind all that does not, so each body begins
with the bytes of the one before.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from apr.providers.base import AssistantMessage, Message, Request, ToolMessage, UserMessage
from apr.providers.toolcalls import Family, render
from ccpa.trace import TextBlock, ToolUseBlock

# llama.cpp's server. With tool_choice "auto" it forces a grammar on a call, which rewrites what the
# model says; with "none" the tools are in the prompt and the text comes back as it was generated.
_EXACT_TEXT: dict[str, Any] = {
    "tool_choice": "none",
    "parse_tool_calls": False,
    "reasoning_format": "none",
    "cache_prompt": True,
    "return_progress": True,
}

_encoder = msgspec.json.Encoder()


def encode(request: Request, model: str, family: Family | None) -> bytes:
    """Return the request's JSON body. With a `family` it asks for the model's exact text."""
    body: dict[str, Any] = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if family:
        body |= _EXACT_TEXT
    if request.tools:
        body["tools"] = [{"type": "function", "function": tool} for tool in request.tools]
    body["messages"] = list(_messages(request, family))
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    return _encoder.encode(body)


def _messages(request: Request, family: Family | None) -> Iterator[dict[str, Any]]:
    if request.system:
        yield {"role": "system", "content": request.system}
    for message in request.messages:
        yield from _message(message, family)


def _message(message: Message, family: Family | None) -> Iterator[dict[str, Any]]:
    match message:
        case UserMessage(text):
            yield {"role": "user", "content": text}
        case AssistantMessage(blocks, raw) if family:
            text = raw if raw is not None else _as_written(blocks, family)
            yield {"role": "assistant", "content": text}
        case AssistantMessage(blocks):
            yield _structured(blocks)
        case ToolMessage(answers):
            for answer in answers:
                yield {
                    "role": "tool",
                    "tool_call_id": answer.tool_use_id,
                    "content": answer.content,
                }


def _structured(blocks: tuple[Any, ...]) -> dict[str, Any]:
    """Return an answer with its calls as `tool_calls`; reasoning is not sent back."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(block.text for block in blocks if isinstance(block, TextBlock)),
    }
    calls = [
        {
            "id": block.id,
            "type": "function",
            "function": {
                "name": block.name,
                "arguments": _encoder.encode(block.input).decode(),
            },
        }
        for block in blocks
        if isinstance(block, ToolUseBlock)
    ]
    return {**message, "tool_calls": calls} if calls else message


def _as_written(blocks: tuple[Any, ...], family: Family) -> str:
    """Return an answer as a model of the family would have written it."""
    parts = []
    for block in blocks:
        if isinstance(block, TextBlock):
            parts.append(block.text)
        elif isinstance(block, ToolUseBlock):
            parts.append(render(family, block.name, block.input))
    return "\n".join(parts)
