"""The body of a chat completions request -> the `Request` that it means.

Bodies in which tools play a part are read in full, because calls are read from the model's own text
here. Any other body is the engine's to read: it is only looked at (`Asked`).
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from apr.providers.base import (
    AssistantMessage,
    Forced,
    Image,
    Message,
    Request,
    ToolAnswer,
    ToolChoice,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from apr.providers.toolcalls.repair import NotJSON, loads
from apr.serve.openai_refusal import Refusal
from ccpa.trace import Block, TextBlock, ToolUseBlock

_DATA_URL = re.compile(r"data:(image/[a-z0-9.+-]+);base64,(.+)", re.DOTALL)

# What a request's own fields say; every other field goes to the engine as it is.
_READ = frozenset(
    {
        "max_completion_tokens", "max_tokens", "messages", "model", "n", "parallel_tool_calls",
        "stop", "stream", "stream_options", "temperature", "tool_choice", "tools", "user",
    }
)  # fmt: skip
# What only the server itself may say to the engine.
_OURS = frozenset(
    {"id_slot", "parse_tool_calls", "reasoning_format", "response_fields", "return_progress",
     "verbose", "cache_prompt"}
)  # fmt: skip
# What cannot be had together with calls that are read from the model's text.
_NOT_WITH_TOOLS = ("logprobs", "top_logprobs", "response_format", "functions", "grammar")


class _Function(Struct):
    name: str
    description: str = ""
    parameters: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "object"})


class _Tool(Struct):
    function: _Function
    type: str = "function"


class _CalledFunction(Struct):
    name: str
    arguments: str | dict[str, Any] = ""


class _Call(Struct):
    function: _CalledFunction
    id: str = ""


class _ImageURL(Struct):
    url: str


class _Part(Struct):
    type: str
    text: str = ""
    refusal: str = ""
    image_url: _ImageURL | str | None = None


class _Message(Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str = ""


class _StreamOptions(Struct):
    include_usage: bool = False


class Asked(Struct):
    """A chat completions body as far as it is read whatever it is about."""

    messages: list[_Message]
    model: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    @property
    def concerns_tools(self) -> bool:
        """Whether tools are offered, or were used before."""
        return bool(self.tools) or any(m.tool_calls or m.role == "tool" for m in self.messages)


def read(body: Any, *, vision: bool) -> Asked:
    """Read a body that is JSON; `vision` says whether images can be shown.

    Raises:
        Refusal: something in it is not as it must be.
    """
    try:
        asked = msgspec.convert(body, Asked)
    except msgspec.ValidationError as error:
        raise Refusal(str(error), param=_param(str(error))) from None
    if not asked.messages:
        raise Refusal("messages: there must be at least one", param="messages")
    for number, message in enumerate(asked.messages):
        for part in message.content if isinstance(message.content, list) else ():
            if part.type == "image_url":
                _check_image(part, f"messages[{number}].content", vision=vision)
    return asked


def request_of(asked: Asked, body: dict[str, Any]) -> Request:
    """Return what a body in which tools play a part asks the model.

    Raises:
        Refusal: it asks for what cannot be had.
    """
    for name in _NOT_WITH_TOOLS:
        if body.get(name):
            raise Refusal(f"{name} cannot be used together with tools here", param=name)
    if asked.n not in (None, 1):
        raise Refusal("n must be 1 where tools are used", param="n")
    tools = tuple(
        ToolSpec(tool.function.name, tool.function.description, tool.function.parameters)
        for tool in asked.tools or ()
    )
    fronts, rest = _split_front(asked.messages)
    stop = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
    limit = asked.max_completion_tokens
    return Request(
        system="\n\n".join(fronts),
        messages=tuple(_messages(rest)),
        tools=tools,
        tool_choice=_choice(asked.tool_choice, tools),
        max_tokens=asked.max_tokens if limit is None else limit,
        temperature=asked.temperature,
        stop=tuple(text for text in stop if text),
        options=passed_on(body, _READ),
    )


def passed_on(body: dict[str, Any], read: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the fields that go to the engine as they are."""
    return {
        name: value
        for name, value in body.items()
        if name not in read and name not in _OURS and value is not None
    }


def _split_front(messages: list[_Message]) -> tuple[list[str], list[_Message]]:
    """Divide the messages into the system prompts at their front, and the rest."""
    count = 0
    while count < len(messages) and messages[count].role in ("system", "developer"):
        count += 1
    return [_text(message) for message in messages[:count]], messages[count:]


def _messages(messages: list[_Message]) -> Iterator[Message]:
    names: dict[str, str] = {}
    answers: list[ToolAnswer] = []
    for number, message in enumerate(messages):
        if message.role == "tool":
            id_ = message.tool_call_id
            answers.append(ToolAnswer(id_, names.get(id_, ""), _text(message)))
            continue
        if answers:
            yield ToolMessage(tuple(answers))
            answers = []
        if message.role == "assistant":
            blocks = tuple(_blocks(message, f"messages[{number}]"))
            names |= {block.id: block.name for block in blocks if isinstance(block, ToolUseBlock)}
            yield AssistantMessage(blocks)
        elif message.role in ("user", "system", "developer"):  # a later word of the system's
            yield UserMessage(_text(message), tuple(_images(message)))
        else:
            raise Refusal(f"messages: there is no role {message.role!r}", param="messages")
    if answers:
        yield ToolMessage(tuple(answers))


def _blocks(message: _Message, path: str) -> Iterator[Block]:
    if text := _text(message):
        yield TextBlock(text)
    for call in message.tool_calls or ():
        given = call.function.arguments
        try:
            arguments = loads(given or "{}") if isinstance(given, str) else given
        except NotJSON:
            arguments = None
        if not isinstance(arguments, dict):
            where = f"{path}.tool_calls: the arguments of {call.function.name}"
            raise Refusal(f"{where} are no JSON object", param="messages")
        yield ToolUseBlock(call.id, call.function.name, arguments)


def _text(message: _Message) -> str:
    if isinstance(message.content, list):
        return "\n".join(p.text or p.refusal for p in message.content if p.type != "image_url")
    return message.content or ""


def _images(message: _Message) -> Iterator[Image]:
    for part in message.content if isinstance(message.content, list) else ():
        if part.type == "image_url" and (match := _DATA_URL.fullmatch(_url(part))):
            yield Image(match[1], match[2])


def _url(part: _Part) -> str:
    if isinstance(part.image_url, _ImageURL):
        return part.image_url.url
    return part.image_url or ""


def _check_image(part: _Part, path: str, *, vision: bool) -> None:
    """Refuse an image that cannot be shown, or that would have to be fetched."""
    if not vision:
        raise Refusal(f"{path}: this model cannot be shown images", param="messages")
    if not _DATA_URL.fullmatch(_url(part)):
        raise Refusal(
            f"{path}: nothing is fetched from elsewhere: give the image itself, as "
            "data:image/...;base64,...",
            param="messages",
        )


def _choice(given: str | dict[str, Any] | None, tools: tuple[ToolSpec, ...]) -> ToolChoice:
    if given in (None, "auto"):
        return "auto"
    if given == "none":
        return "none"
    if given == "required" and tools:
        return Forced()
    name = given.get("function", {}).get("name") if isinstance(given, dict) else None
    if any(tool.name == name for tool in tools):
        return Forced(name)
    raise Refusal(
        'tool_choice must be "auto", "none", "required", or name a tool that is offered',
        param="tool_choice",
    )


def _param(problem: str) -> str | None:
    """Return the field that msgspec's message is about."""
    match = re.search(r"at `\$\.(\w+)|field `(\w+)`", problem)
    return (match[1] or match[2]) if match else None
