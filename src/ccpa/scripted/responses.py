"""OpenAI Responses: `/v1/responses`, whole or streamed.

As https://developers.openai.com/api/reference/resources/responses describes it. Each block is an
output
item: a text a `message`, a tool use a `function_call`, thinking a `reasoning` item whose signature
is its `encrypted_content`.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec
from msgspec import Struct

from ccpa.scripted import chat
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

error = chat.error


class _Item(Struct):
    type: str = "message"
    role: str | None = None
    content: str | list[dict[str, Any]] | None = None
    call_id: str | None = None


class _Tool(Struct):
    type: str
    name: str | None = None


class _Format(Struct):
    schema: dict[str, Any] | None = None


class _Text(Struct):
    format: _Format | None = None


class _Body(Struct):
    input: str | list[_Item]
    model: str = "scripted"
    instructions: str | None = None
    max_output_tokens: int | None = None
    tools: list[_Tool] | None = None
    stream: bool | None = False
    text: _Text | None = None
    previous_response_id: str | None = None


def read(body: dict[str, Any]) -> Asked:
    """Read a request."""
    form = msgspec.convert(body, _Body)
    items = [_Item(role="user", content=form.input)] if isinstance(form.input, str) else form.input
    system = [form.instructions or ""]
    system += [t for item in items if item.role in {"system", "developer"} for t in _texts(item)]
    return Asked(
        model=form.model,
        stream=bool(form.stream),
        system="\n\n".join(text for text in system if text),
        tools=tuple(tool.name or tool.type for tool in form.tools or ()),
        history=joined(entry for item in items for entry in _entries(item)),
        max_tokens=form.max_output_tokens,
        schema=form.text.format.schema if form.text and form.text.format else None,
        previous=form.previous_response_id,
    )


def _texts(item: _Item) -> tuple[str, ...]:
    return texts(item.content)


def _entries(item: _Item) -> Iterator[Entry]:
    """Yield what an item adds. The kinds of calls differ; all end in `_call` and `_call_output`."""
    if item.type == "message" and item.role == "user":
        yield Prompt(_texts(item))
    elif item.type == "message" and item.role == "assistant":
        yield Said(())
    elif item.type.endswith("_call") and item.call_id is not None:
        yield Said((item.call_id,))
    elif item.type.endswith("_call_output") and item.call_id is not None:
        yield Results((item.call_id,))


def whole(answer: Answer) -> bytes:
    """Return the answer as one `response`."""
    return msgspec.json.encode(_final(answer))


def streamed(answer: Answer) -> Iterator[bytes]:
    """Yield the answer from `response.created` to `response.completed`, or `.incomplete`."""
    numbers = count()
    for data in _events(answer):
        kind = data.pop("type")
        yield event({"type": kind, "sequence_number": next(numbers), **data})


def _events(answer: Answer) -> Iterator[dict[str, Any]]:
    begun = _response(answer, "in_progress", [])
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, block in enumerate(answer.turn.blocks):
        item = _item(answer, index, block)
        opening = {**item, "status": "in_progress", **_emptied(block)}
        yield {"type": "response.output_item.added", "output_index": index, "item": opening}
        for data in _parts(block, item):
            yield {**data, "item_id": item["id"], "output_index": index}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    final = _final(answer)
    yield {"type": f"response.{final['status']}", "response": final}


def _emptied(block: Block) -> dict[str, Any]:
    return {"arguments": ""} if isinstance(block, ToolUseBlock) else {"content": []}


def _parts(block: Block, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events within an item, without what places them."""
    if isinstance(block, ToolUseBlock):
        said = item["arguments"]
        for piece in pieces(said):
            yield {"type": "response.function_call_arguments.delta", "delta": piece}
        done = {"name": block.name, "arguments": said}
        yield {"type": "response.function_call_arguments.done", **done}
        return
    more: dict[str, Any]
    if isinstance(block, TextBlock):
        kind, said, more = "output_text", block.text, {"logprobs": []}
    else:
        kind, said, more = "reasoning_text", block.thinking, {}
    part = item["content"][0]
    place = {"content_index": 0}
    yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
    for piece in pieces(said):
        yield {"type": f"response.{kind}.delta", **place, "delta": piece, **more}
    yield {"type": f"response.{kind}.done", **place, "text": said, **more}
    yield {"type": "response.content_part.done", **place, "part": part}


def _final(answer: Answer) -> dict[str, Any]:
    cut = answer.turn.stop_reason == "max_tokens"
    items = [_item(answer, index, block) for index, block in enumerate(answer.turn.blocks)]
    final = _response(answer, "incomplete" if cut else "completed", items)
    if cut:
        final["incomplete_details"] = {"reason": "max_output_tokens"}
    usage = answer.usage
    final["usage"] = {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": 0,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    return final


def _response(answer: Answer, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": response_id(answer.key),
        "object": "response",
        "created_at": 0,  # no clock: two runs give the same bytes
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": answer.asked.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": answer.asked.previous,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": None,
    }


def response_id(key: str) -> str:
    """Return the id that `previous_response_id` names an answer by."""
    return f"resp_{key}"


def _item(answer: Answer, index: int, block: Block) -> dict[str, Any]:
    cut = answer.turn.stop_reason == "max_tokens" and index == len(answer.turn.blocks) - 1
    status = "incomplete" if cut else "completed"
    place = f"{answer.key}_{index}"
    match block:
        case TextBlock(text):
            part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
            return {
                "id": f"msg_{place}",
                "type": "message",
                "role": "assistant",
                "status": status,
                "content": [part],
            }
        case ThinkingBlock(thinking, signature):
            return {
                "id": f"rs_{place}",
                "type": "reasoning",
                "status": status,
                "summary": [],
                "content": [{"type": "reasoning_text", "text": thinking}],
                "encrypted_content": signature,
            }
        case ToolUseBlock(id_, name, given):
            return {
                "id": f"fc_{place}",
                "type": "function_call",
                "status": status,
                "call_id": id_,
                "name": name,
                "arguments": encoded(given),
            }
