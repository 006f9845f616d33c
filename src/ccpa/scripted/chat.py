"""OpenAI chat completions: `/v1/chat/completions`, whole or streamed.

As https://developers.openai.com/api/reference describes it; thinking goes into `reasoning_content`,
which llama.cpp, vLLM and DeepSeek added. The wire has one text and a list of calls: where a text
stood among the calls is lost.
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
    joined,
    pieces,
    texts,
)
from ccpa.trace import TextBlock, ThinkingBlock, ToolUseBlock

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}


class _Call(Struct):
    id: str


class _Message(Struct):
    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None


class _Function(Struct):
    name: str


class _Tool(Struct):
    function: _Function | None = None
    type: str = "function"


class _StreamOptions(Struct):
    include_usage: bool = False


class _JsonSchema(Struct):
    schema: dict[str, Any] | None = None


class _Format(Struct):
    json_schema: _JsonSchema | None = None


class _Body(Struct):
    messages: list[_Message]
    model: str = "scripted"
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[_Tool] | None = None
    stop: str | list[str] | None = None
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    response_format: _Format | None = None


def read(body: dict[str, Any]) -> Asked:
    """Read a request."""
    form = msgspec.convert(body, _Body)
    format_ = form.response_format and form.response_format.json_schema
    system = [m for m in form.messages if m.role in {"system", "developer"}]
    return Asked(
        model=form.model,
        stream=bool(form.stream),
        system="\n\n".join(text for message in system for text in texts(message.content)),
        tools=tuple(t.function.name if t.function else t.type for t in form.tools or ()),
        history=joined(entry for message in form.messages for entry in _entries(message)),
        max_tokens=form.max_completion_tokens or form.max_tokens,
        stop=(form.stop,) if isinstance(form.stop, str) else tuple(form.stop or ()),
        schema=format_.schema if format_ else None,
        usage_wanted=form.stream_options is not None and form.stream_options.include_usage,
    )


def _entries(message: _Message) -> Iterator[Entry]:
    match message.role:
        case "user":
            yield Prompt(texts(message.content))
        case "assistant":
            yield Said(tuple(call.id for call in message.tool_calls or ()))
        case "tool":
            yield Results((message.tool_call_id or "",))


def whole(answer: Answer) -> bytes:
    """Return the answer as one `chat.completion`."""
    blocks = answer.turn.blocks
    text = "".join(block.text for block in blocks if isinstance(block, TextBlock))
    thinking = "".join(block.thinking for block in blocks if isinstance(block, ThinkingBlock))
    calls = [_call(b, encoded(b.input)) for b in blocks if isinstance(b, ToolUseBlock)]
    content = text if text or not calls else None
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    if thinking:
        message["reasoning_content"] = thinking
    if calls:
        message["tool_calls"] = calls
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _FINISH[answer.turn.stop_reason],
    }
    head = _head(answer, "chat.completion")
    return msgspec.json.encode({**head, "choices": [choice], "usage": _usage(answer)})


def streamed(answer: Answer) -> Iterator[bytes]:
    """Yield the answer as `chat.completion.chunk`s; then the usage, if asked for, and `[DONE]`."""
    yield _delta(answer, {"role": "assistant", "content": ""})
    index = 0
    for block in answer.turn.blocks:
        match block:
            case TextBlock(text):
                for piece in pieces(text):
                    yield _delta(answer, {"content": piece})
            case ThinkingBlock(thinking):
                for piece in pieces(thinking):
                    yield _delta(answer, {"reasoning_content": piece})
            case ToolUseBlock():
                yield _delta(answer, {"tool_calls": [{"index": index, **_call(block, "")}]})
                for piece in pieces(encoded(block.input)):
                    part = {"index": index, "function": {"arguments": piece}}
                    yield _delta(answer, {"tool_calls": [part]})
                index += 1
    yield _delta(answer, {}, finish=_FINISH[answer.turn.stop_reason])
    if answer.asked.usage_wanted:
        head = _head(answer, "chat.completion.chunk")
        yield _data({**head, "choices": [], "usage": _usage(answer)})
    yield b"data: [DONE]\n\n"


def error(status: int, message: str) -> bytes:
    """Return an error as the wires of OpenAI tell it."""
    code: str | None = None
    kind = "server_error" if status >= 500 else "invalid_request_error"
    if status == 429:
        kind, code = "requests", "rate_limit_exceeded"
    return msgspec.json.encode(
        {"error": {"message": message, "type": kind, "param": None, "code": code}}
    )


def _call(block: ToolUseBlock, arguments: str) -> dict[str, Any]:
    function = {"name": block.name, "arguments": arguments}
    return {"id": block.id, "type": "function", "function": function}


def _delta(answer: Answer, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _data({**_head(answer, "chat.completion.chunk"), "choices": [choice]})


def _head(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer.key}",
        "object": kind,
        "created": 0,  # no clock: two runs give the same bytes
        "model": answer.asked.model,
    }


def _data(chunk: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _usage(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
    }
