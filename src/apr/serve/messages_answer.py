"""A model's events -> an answer as the Messages API tells it, whole or event by event.

As https://platform.claude.com/docs/en/build-with-claude/streaming describes it. Text and thinking
are told as they come. A tool use is told when the answer is complete: until then its arguments are
not certain, and what must not run must not have been told.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterator
from typing import Any

import msgspec

from apr.agent.events import PrefillProgress, TextDelta, ThinkingDelta
from apr.providers.base import Completion, ModelEvent
from apr.serve.messages_malformed import told_to_client
from apr.serve.messages_request import Asked
from ccpa.trace import Block, TextBlock, ThinkingBlock, ToolUseBlock, Usage

PIECE = 64
"""Characters of JSON in one delta."""

PING: dict[str, Any] = {"type": "ping"}


def new_message_id() -> str:
    """Return an id for an answer."""
    return f"msg_{secrets.token_hex(12)}"


def whole(completion: Completion, asked: Asked, *, model: str, id_: str) -> dict[str, Any]:
    """Return an answer as one `message`."""
    blocks = [_block(block) for block in told(completion, asked)]
    usage = _usage(completion.usage, asked)
    return _message(model, id_, usage) | {"content": blocks, **_stop(completion, asked)}


class Stream:
    """Tells one answer as events, from `message_start` to `message_stop`."""

    def __init__(self, asked: Asked, *, model: str, id_: str) -> None:
        self._asked = asked
        self._model = model
        self._id = id_
        self._started = False
        self._index = 0
        self._open: str | None = None
        self._thinking: list[str] = []

    def take(self, event: ModelEvent) -> Iterator[dict[str, Any]]:
        """Yield what an event of the model comes to."""
        if not self._started:
            self._started = True
            message = _message(self._model, self._id, _usage(_so_far(event), self._asked))
            yield {"type": "message_start", "message": message}
            yield PING
        match event:
            case PrefillProgress():
                yield PING
            case TextDelta() | ThinkingDelta() if self._asked.request.max_tokens == 0:
                pass
            case TextDelta(text):
                yield from self._more("text", {"type": "text_delta", "text": text})
            case ThinkingDelta(text) if self._asked.reasoning != "hidden":
                shown = "" if self._asked.reasoning == "omitted" else text
                yield from self._more("thinking", {"type": "thinking_delta", "thinking": shown})
                self._thinking.append(text)
            case Completion():
                yield from self._end(event)

    def _more(self, kind: str, delta: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield a piece of text or thinking, in the block that is open or a new one."""
        if self._open != kind:
            yield from self._close()
            self._open = kind
            empty: Block = TextBlock("") if kind == "text" else ThinkingBlock("")
            yield self._event("start", content_block=_opening(empty))
        yield self._event("delta", delta=delta)

    def _close(self) -> Iterator[dict[str, Any]]:
        if self._open == "thinking":
            signature = _signature("".join(self._thinking))
            yield self._event("delta", delta={"type": "signature_delta", "signature": signature})
        if self._open:
            yield self._event("stop")
            self._index += 1
        self._open, self._thinking = None, []

    def _end(self, completion: Completion) -> Iterator[dict[str, Any]]:
        yield from self._close()
        for block in told(completion, self._asked):
            if isinstance(block, ToolUseBlock):
                yield self._event("start", content_block=_opening(block))
                for piece in ("", *_pieces(msgspec.json.encode(block.input).decode())):
                    delta = {"type": "input_json_delta", "partial_json": piece}
                    yield self._event("delta", delta=delta)
                yield self._event("stop")
                self._index += 1
        usage = _usage(completion.usage, self._asked)
        yield {"type": "message_delta", "delta": _stop(completion, self._asked), "usage": usage}
        yield {"type": "message_stop"}

    def _event(self, part: str, **fields: Any) -> dict[str, Any]:
        return {"type": f"content_block_{part}", "index": self._index, **fields}


def told(completion: Completion, asked: Asked) -> list[Block]:
    """Return those blocks of an answer that the client is told, as it is told them.

    Calls that cannot run go by another name (`messages_malformed`). Where only one tool use is
    wanted, what comes after the first is left out. With `max_tokens` 0 there is nothing: the client
    only wants the prompt to be evaluated.
    """
    blocks: list[Block] = []
    for block in completion.blocks if asked.request.max_tokens != 0 else ():
        match block:
            case ThinkingBlock():
                if asked.reasoning != "hidden":
                    blocks.append(_signed(block, asked))
            case ToolUseBlock(id_):
                reason = completion.malformed.get(id_)
                blocks.append(told_to_client(block, reason) if reason else block)
                if asked.one_call:
                    break
            case TextBlock():
                blocks.append(block)
    return blocks


def _signed(block: ThinkingBlock, asked: Asked) -> ThinkingBlock:
    text = "" if asked.reasoning == "omitted" else block.thinking
    return ThinkingBlock(text, _signature(block.thinking))


def _signature(thinking: str) -> str:
    """Return what stands where the vendor signs: clients want something, and send it back."""
    digest = hashlib.sha256(thinking.encode("utf-8", "surrogatepass")).digest()
    return base64.b64encode(digest).decode()


def _message(model: str, id_: str, usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": id_,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _stop(completion: Completion, asked: Asked) -> dict[str, Any]:
    """Say why the answer ended.

    The model's window can end before `max_tokens` are there, and a stop sequence can cut off the
    only call, which is then not among the blocks.
    """
    reason: str = completion.stop_reason
    limit = asked.request.max_tokens
    if reason == "max_tokens" and limit is not None and completion.usage.output_tokens < limit:
        reason = "model_context_window_exceeded"
    if reason == "tool_use" and not any(isinstance(b, ToolUseBlock) for b in completion.blocks):
        reason = "stop_sequence" if completion.stop_sequence else "end_turn"
    met = completion.stop_sequence if reason == "stop_sequence" else None
    return {"stop_reason": reason, "stop_sequence": met}


def _so_far(event: ModelEvent) -> Usage:
    """Return the usage as far as it is known when the first event has come."""
    match event:
        case PrefillProgress(_, total, cached):
            return Usage(input_tokens=total, output_tokens=0, cache_read_tokens=cached)
        case Completion():
            return event.usage
    return Usage(input_tokens=0, output_tokens=0)


def _usage(usage: Usage, asked: Asked) -> dict[str, Any]:
    """Return a usage: here, unlike in ours, `input_tokens` are only those that were evaluated."""
    output = 0 if asked.request.max_tokens == 0 else usage.output_tokens
    return {
        "input_tokens": max(usage.input_tokens - usage.cache_read_tokens, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": output,
    }


def _block(block: Block) -> dict[str, Any]:
    match block:
        case TextBlock(text):
            return {"type": "text", "text": text}
        case ThinkingBlock(thinking, signature):
            return {"type": "thinking", "thinking": thinking, "signature": signature}
        case ToolUseBlock(id_, name, given):
            return {"type": "tool_use", "id": id_, "name": name, "input": given}


def _opening(block: Block) -> dict[str, Any]:
    match block:
        case ThinkingBlock():
            return _block(ThinkingBlock("", ""))
        case ToolUseBlock(id_, name):
            return _block(ToolUseBlock(id_, name, {}))
        case _:
            return _block(block)


def _pieces(text: str) -> Iterator[str]:
    yield from (text[at : at + PIECE] for at in range(0, len(text), PIECE))
