"""A `Request` -> the body of an OpenAI chat completions request.

What grows from turn to turn (the messages) stands behind all that does not, so each body begins
with the bytes of the one before.
"""

import itertools
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from apr.providers.base import (
    AssistantMessage,
    Forced,
    Image,
    Message,
    Request,
    ToolAnswer,
    ToolChoice,
    ToolMessage,
    UserMessage,
)
from apr.providers.toolcalls import Family, render
from ccpa.trace import TextBlock, ThinkingBlock, ToolUseBlock

# llama.cpp's server. With tool_choice "auto" it forces a grammar on a call, which rewrites what the
# model says; with "none" the tools are in the prompt and the text comes back as it was generated.
_EXACT_TEXT: dict[str, Any] = {
    "tool_choice": "none",
    "parse_tool_calls": False,
    "reasoning_format": "none",
    "cache_prompt": True,
    "return_progress": True,
}

# Which of several texts to stop at was met is among what llama.cpp says only when it is asked.
_NAME_THE_STOP: dict[str, Any] = {"verbose": True, "response_fields": ["stopping_word"]}

# Families whose chat templates refuse a call's text, or a tool's answer without a call before it:
# they are sent calls as such. All others are sent their own words.
_BY_CALLS = frozenset({"harmony", "minimax_m2", "mistral", "mistral_json", "gemma4"})

_SOME_TOOL = "SOME_TOOL"
"""A name that no form of calls has in itself."""

_encoder = msgspec.json.Encoder()


class Written:
    """The messages of a conversation as they were written last: most stand in the next request."""

    def __init__(self) -> None:
        self._kept: list[tuple[Message, list[msgspec.Raw]]] = []

    def again(self, messages: Sequence[Message], family: Family | None) -> Iterator[msgspec.Raw]:
        """Yield the messages in JSON; those at the beginning that are the same are not new work."""
        pairs = zip(messages, self._kept, strict=False)
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] is pair[1][0], pairs))
        del self._kept[same:]
        for message in messages[same:]:
            parts = [msgspec.Raw(_encoder.encode(part)) for part in _message(message, family)]
            self._kept.append((message, parts))
        for _, parts in self._kept:
            yield from parts


def encode(
    request: Request, model: str, family: Family | None, written: Written | None = None
) -> bytes:
    """Return the request's JSON body. With a `family` it asks for the model's exact text.

    `written` is what was written of the conversation last.
    """
    return _encoder.encode(body_of(request, model, family, written))


def body_of(
    request: Request, model: str, family: Family | None, written: Written | None = None
) -> dict[str, Any]:
    """Return the request's body; see `encode`."""
    body: dict[str, Any] = {
        **request.options,
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if family:
        body |= _EXACT_TEXT
    elif request.tool_choice != "auto":
        body["tool_choice"] = _choice(request.tool_choice)
    if request.tools:
        body["tools"] = [{"type": "function", "function": tool} for tool in request.tools]
    begun = beginning(request, family)
    if written is None or begun:
        body["messages"] = list(_messages(request, family))
    else:
        body["messages"] = [*_system(request), *written.again(request.messages, family)]
    if begun:
        _begin(body, begun)
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.stop:
        body["stop"] = request.stop
        body |= _NAME_THE_STOP if family else {}
    return body


def beginning(request: Request, family: Family | None) -> str:
    """Return the text that an answer is made to begin with, for a model of the family.

    A call is forced by putting its start into the model's mouth: what follows is its own words.
    The server does not repeat it.
    """
    if family is None or not isinstance(request.tool_choice, Forced):
        return ""
    opener, _, rest = render(family, _SOME_TOOL, {}).partition(_SOME_TOOL)
    name = request.tool_choice.name
    return f"{opener}{name}{rest[:1]}" if name else opener


def _begin(body: dict[str, Any], begun: str) -> None:
    """Let the answer begin so. Reasoning would stand before it, so there is none."""
    messages = body["messages"]
    if messages and messages[-1]["role"] == "assistant" and "tool_calls" not in messages[-1]:
        begun = messages.pop()["content"] + begun
    messages.append({"role": "assistant", "content": begun})
    kwargs = body.get("chat_template_kwargs") or {}
    body["chat_template_kwargs"] = {**kwargs, "enable_thinking": False}


def _choice(choice: ToolChoice) -> Any:
    """Return a choice of tools as chat completions write it."""
    if not isinstance(choice, Forced):
        return choice
    return {"type": "function", "function": {"name": choice.name}} if choice.name else "required"


def _messages(request: Request, family: Family | None) -> Iterator[dict[str, Any]]:
    yield from _system(request)
    for message in request.messages:
        yield from _message(message, family)


def _system(request: Request) -> Iterator[dict[str, Any]]:
    if request.system:
        yield {"role": "system", "content": request.system}


def _message(message: Message, family: Family | None) -> Iterator[dict[str, Any]]:
    match message:
        case UserMessage(text, images):
            parts = [*map(_image, images), {"type": "text", "text": text}]
            yield {"role": "user", "content": parts if images else text}
        case AssistantMessage(blocks, raw) if family and family not in _BY_CALLS:
            text = raw if raw is not None else _as_written(blocks, family)
            yield {"role": "assistant", "content": text}
        case AssistantMessage(blocks):
            yield _structured(blocks, family)
        case ToolMessage(answers):
            for answer in answers:
                yield {
                    "role": "tool",
                    "tool_call_id": _id(answer.tool_use_id, family),
                    "content": answer.content,
                }
            if any(answer.images for answer in answers):
                yield _shown(answers)


def _shown(answers: tuple[ToolAnswer, ...]) -> dict[str, Any]:
    """Return the images of answers as a user's message: a tool's may hold text alone."""
    parts: list[dict[str, Any]] = []
    for answer in answers:
        if answer.images:
            text = f"[to see, from the result of {answer.name}: {answer.content}]"
            parts += [*map(_image, answer.images), {"type": "text", "text": text}]
    return {"role": "user", "content": parts}


def _image(image: Image) -> dict[str, Any]:
    url = f"data:{image.media_type};base64,{image.data}"
    return {"type": "image_url", "image_url": {"url": url}}


def _structured(blocks: tuple[Any, ...], family: Family | None) -> dict[str, Any]:
    """Return an answer with its calls as `tool_calls`.

    Reasoning goes back to a local model only: its template knows how much of it to show.
    """
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(block.text for block in blocks if isinstance(block, TextBlock)),
    }
    thinking = "".join(block.thinking for block in blocks if isinstance(block, ThinkingBlock))
    if family and thinking:
        message["reasoning_content"] = thinking
    calls = [
        {
            "id": _id(block.id, family),
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


def _id(tool_use_id: str, family: Family | None) -> str:
    """Return a call's id as the template takes it: Mistral's insist on nine letters and digits."""
    if family not in ("mistral", "mistral_json"):
        return tool_use_id
    return f"{zlib.crc32(tool_use_id.encode('utf-8', 'surrogatepass')):09x}"


def _as_written(blocks: tuple[Any, ...], family: Family) -> str:
    """Return an answer as a model of the family would have written it."""
    parts = []
    for block in blocks:
        if isinstance(block, TextBlock):
            parts.append(block.text)
        elif isinstance(block, ToolUseBlock):
            parts.append(render(family, block.name, block.input))
    return "\n".join(parts)
