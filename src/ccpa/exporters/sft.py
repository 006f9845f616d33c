"""Chat messages and tools for supervised fine-tuning: one row for each conversation.

The columns are those that trainers such as TRL read (`messages`, `tools`), and the messages are
what chat templates are written for: roles `user`, `assistant` and `tool`, a call's arguments as an
object. `docs/export.md` says what is left out, and why.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from ccpa.errors import CcpaError
from ccpa.exporters.sessions import Answer, Conversation, Line, Session
from ccpa.trace import Compaction, TextBlock, ThinkingBlock, ToolUseBlock, UserPrompt

JsonObject = dict[str, Any]
Thinking = Literal["keep", "drop"]

_TYPES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}


class Options(Struct, frozen=True):
    """What goes into a row.

    Args:
        thinking: whether reasoning is kept, as `reasoning_content`.
        max_chars: longest conversation to take, in characters of all its texts and arguments.
        unfinished: take conversations that did not end well, too.
        tools: what the model was offered; None to infer the tools from their uses.
    """

    thinking: Thinking = "keep"
    max_chars: int | None = None
    unfinished: bool = False
    tools: list[JsonObject] | None = None


class Count(Struct):
    """How many rows were made, and how many conversations were left out or cut, by reason."""

    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def rows(session: Session, options: Options, count: Count) -> Iterator[JsonObject]:
    """Yield a row for the main conversation, and one for each subagent's."""
    for conversation in session.conversations:
        row = _row(session, conversation, options)
        if isinstance(row, str):
            count.left_out[row] += 1
        else:
            count.rows += 1
            yield row


def read_tools(data: bytes) -> list[JsonObject]:
    """Read tool definitions as chat completions has them: a JSON array.

    Raises:
        CcpaError: it is no such array.
    """
    try:
        msgspec.json.decode(data, type=list[_Tool])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        example = '[{"type": "function", "function": {"name": ..., "parameters": {...}}}]'
        raise CcpaError(f"no list of tools: {error}; it must look like {example}") from None
    tools: list[JsonObject] = msgspec.json.decode(
        data
    )  # as given, with members that we do not know
    return tools


class _Function(Struct):
    name: str
    parameters: JsonObject
    description: str = ""


class _Tool(Struct):
    type: Literal["function"]
    function: _Function


def _row(session: Session, conversation: Conversation, options: Options) -> JsonObject | str:
    """Return a row, or why there is none."""
    if not options.unfinished:
        if not _ended_well(session, conversation):
            return "did not end well"
        if not _is_whole(conversation):
            return "the trace lacks what the model saw: compacted, or a result was cut"
    messages = list(_messages(conversation, options.thinking))
    if len(messages) < 2 or messages[0]["role"] != "user":
        return "no prompt, or no answer"
    if options.max_chars is not None and _length(messages) > options.max_chars:
        return "longer than --max-chars"
    use = conversation.started_by
    return {
        "id": session.start.session_id + (f"/{use.id}" if use else ""),
        "messages": messages,
        "tools": _inferred(conversation) if options.tools is None else options.tools,
    }


def _ended_well(session: Session, conversation: Conversation) -> bool:
    ended = session.end is not None and session.end.stop_reason == "end_turn"
    answers = conversation.answers
    return ended and bool(answers) and answers[-1].record.stop_reason == "end_turn"


def _is_whole(conversation: Conversation) -> bool:
    results = (one.record for answer in conversation.answers for one in answer.results.values())
    return not any(map(_is_compaction, conversation.steps)) and not any(
        result.truncated for result in results
    )


def _is_compaction(step: Answer | Line) -> bool:
    return isinstance(step, Line) and isinstance(step.record, Compaction)


def _messages(conversation: Conversation, thinking: Thinking) -> Iterator[JsonObject]:
    """Yield the messages, up to a compaction: after it the model saw what no trace holds."""
    if conversation.prompt is not None:
        yield {"role": "user", "content": conversation.prompt}
    for step in conversation.steps:
        if isinstance(step, Answer):
            yield from _exchange(step, thinking)
        elif isinstance(step.record, UserPrompt):
            yield {"role": "user", "content": step.record.text}
        elif _is_compaction(step):
            return


def _exchange(answer: Answer, thinking: Thinking) -> Iterator[JsonObject]:
    """Yield an answer, and its tools' results in the order of the calls.

    Templates that do not show ids pair calls and results by their order.
    """
    blocks = answer.record.blocks
    said = [block.text for block in blocks if isinstance(block, TextBlock)]
    thought = [block.thinking for block in blocks if isinstance(block, ThinkingBlock)]
    message: JsonObject = {"role": "assistant", "content": "\n\n".join(said)}
    if thought and thinking == "keep":
        message["reasoning_content"] = "\n\n".join(thought)
    if answer.uses:
        message["tool_calls"] = [_call(use) for use in answer.uses]
    yield message
    for use in answer.uses:
        if (result := answer.results.get(use.id)) is not None:
            yield {
                "role": "tool",
                "tool_call_id": use.id,
                "name": use.name,
                "content": result.record.content,
            }


def _call(use: ToolUseBlock) -> JsonObject:
    return {
        "id": use.id,
        "type": "function",
        "function": {"name": use.name, "arguments": use.input},
    }


def _length(messages: list[JsonObject]) -> int:
    total = 0
    for message in messages:
        total += len(message["content"]) + len(message.get("reasoning_content", ""))
        for call in message.get("tool_calls", ()):
            total += len(msgspec.json.encode(call["function"]["arguments"]).decode())
    return total


def _inferred(conversation: Conversation) -> list[JsonObject]:
    """Describe the tools by how they were used: their names, and the types of their inputs.

    That is all a trace knows of them. Whether an input is required, or what it is for, no use says.
    """
    seen: dict[str, dict[str, set[str]]] = {}
    for answer in conversation.answers:
        for use in answer.uses:
            inputs = seen.setdefault(use.name, {})
            for name, value in use.input.items():
                inputs.setdefault(name, set()).add(_TYPES[type(value)])
    return [_tool(name, inputs) for name, inputs in sorted(seen.items())]


def _tool(name: str, inputs: dict[str, set[str]]) -> JsonObject:
    properties = {
        one: {"type": next(iter(types)) if len(types) == 1 else sorted(types)}
        for one, types in sorted(inputs.items())
    }
    parameters = {"type": "object", "properties": properties}
    return {
        "type": "function",
        "function": {"name": name, "description": "", "parameters": parameters},
    }
