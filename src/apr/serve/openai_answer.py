"""What a model says -> a chat completion, whole or in chunks."""

import secrets
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from apr.agent.events import TextDelta, ThinkingDelta
from apr.providers.base import Completion, ModelEvent
from ccpa.trace import TextBlock, ThinkingBlock, ToolUseBlock

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}


class Writer:
    """Writes one answer. With `parallel` False no more than one call is in it."""

    def __init__(self, model: str, *, parallel: bool) -> None:
        self._head = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model,
        }
        self._parallel = parallel

    def whole(self, completion: Completion) -> dict[str, Any]:
        """Return the answer in one piece."""
        text = "".join(b.text for b in completion.blocks if isinstance(b, TextBlock))
        thinking = "".join(b.thinking for b in completion.blocks if isinstance(b, ThinkingBlock))
        calls = [_call(block) for block in self._uses(completion)]
        message: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
        if thinking:
            message["reasoning_content"] = thinking
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "finish_reason": _finish(completion)}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": _usage(completion),
        }

    def begin(self) -> dict[str, Any]:
        """Return the first chunk."""
        return self._chunk({"role": "assistant", "content": ""})

    def chunks(self, event: ModelEvent, *, usage: bool) -> Iterator[dict[str, Any]]:
        """Yield the chunks that an event comes to; `usage` where the token counts are wanted."""
        match event:
            case TextDelta(text):
                yield self._chunk({"content": text})
            case ThinkingDelta(text):
                yield self._chunk({"reasoning_content": text})
            case Completion():
                for index, block in enumerate(self._uses(event)):
                    yield self._chunk({"tool_calls": [{"index": index, **_call(block)}]})
                yield self._chunk({}, _finish(event))
                if usage:
                    yield {**self._chunk({}), "choices": [], "usage": _usage(event)}

    def _uses(self, completion: Completion) -> list[ToolUseBlock]:
        uses = [block for block in completion.blocks if isinstance(block, ToolUseBlock)]
        return uses if self._parallel else uses[:1]

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}


def _call(block: ToolUseBlock) -> dict[str, Any]:
    arguments = msgspec.json.encode(block.input).decode()
    return {
        "id": block.id,
        "type": "function",
        "function": {"name": block.name, "arguments": arguments},
    }


def _finish(completion: Completion) -> str:
    return _FINISH[completion.stop_reason]


def _usage(completion: Completion) -> dict[str, Any]:
    usage = completion.usage
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
    }
