"""OpenAI chat completions: a recorded turn as that wire's answer, whole or streamed."""

from collections.abc import Iterator
from typing import Any

import msgspec

from ccpa.trace import AssistantTurn, TextBlock, ThinkingBlock, ToolUseBlock, Usage

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}
_PIECE = 16  # characters a delta: small enough that clients must put things together


def whole(turn: AssistantTurn, model: str) -> bytes:
    """Return the turn as one `chat.completion` object."""
    text = "".join(block.text for block in turn.blocks if isinstance(block, TextBlock))
    thinking = "".join(b.thinking for b in turn.blocks if isinstance(b, ThinkingBlock))
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if thinking:
        message["reasoning_content"] = thinking
    if calls := [_call(b, b.input) for b in turn.blocks if isinstance(b, ToolUseBlock)]:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "finish_reason": _FINISH[turn.stop_reason]}
    return msgspec.json.encode(
        {
            "id": f"chatcmpl-{turn.turn}",
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [choice],
            "usage": _usage(turn.usage),
        }
    )


def streamed(turn: AssistantTurn, model: str) -> Iterator[bytes]:
    """Yield the turn as server-sent events, `[DONE]` last."""
    yield _event(turn, model, {"role": "assistant", "content": ""})
    index = 0
    for block in turn.blocks:
        match block:
            case TextBlock(text):
                for piece in _pieces(text):
                    yield _event(turn, model, {"content": piece})
            case ThinkingBlock(thinking):
                for piece in _pieces(thinking):
                    yield _event(turn, model, {"reasoning_content": piece})
            case ToolUseBlock():
                opening = {"index": index, **_call(block, None)}
                yield _event(turn, model, {"tool_calls": [opening]})
                for piece in _pieces(msgspec.json.encode(block.input).decode()):
                    part = {"index": index, "function": {"arguments": piece}}
                    yield _event(turn, model, {"tool_calls": [part]})
                index += 1
    yield _event(turn, model, {}, finish=_FINISH[turn.stop_reason])
    yield _data({**_head(turn, model), "choices": [], "usage": _usage(turn.usage)})
    yield b"data: [DONE]\n\n"


def _call(block: ToolUseBlock, arguments: dict[str, Any] | None) -> dict[str, Any]:
    text = "" if arguments is None else msgspec.json.encode(arguments).decode()
    return {
        "id": block.id,
        "type": "function",
        "function": {"name": block.name, "arguments": text},
    }


def _event(
    turn: AssistantTurn, model: str, delta: dict[str, Any], finish: str | None = None
) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _data({**_head(turn, model), "choices": [choice]})


def _head(turn: AssistantTurn, model: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{turn.turn}",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": model,
    }


def _data(chunk: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _pieces(text: str) -> Iterator[str]:
    return (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))


def _usage(usage: Usage | None) -> dict[str, Any]:
    usage = usage or Usage(input_tokens=0, output_tokens=0)
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
    }
