"""Message lists of OpenAI chat completions.

A JSON array of messages, an object with `messages` (a request, a dataset's row), or one such value
a line, where each line is a session. Lines that are messages themselves are one session.
"""

from typing import Any

import msgspec

from ccpa.errors import CcpaError
from ccpa.importers.notes import Notes
from ccpa.importers.reading import Source, documents, parsed
from ccpa.importers.session import About, Imported, Session
from ccpa.importers.values import (
    UNKNOWN_ACTOR,
    JsonObject,
    actor,
    count,
    items,
    obj,
    objects,
    rendered,
    text,
    utc_time,
)
from ccpa.trace import Block, TextBlock, ThinkingBlock, ToolUseBlock, Usage

UNREADABLE_INPUT = "«arguments that are no JSON object»"
_INSTRUCTIONS = frozenset({"system", "developer"})


def read(source: Source, notes: Notes) -> list[Imported]:
    """Read the sessions of a file.

    Raises:
        CcpaError: there is no message list in it.
        OSError: it could not be read.
    """
    found = documents(source, notes)
    if found and all("role" in obj(value) for value in found):
        found = [found]
    sessions = [_session(value, notes) for value in found if _messages(value)]
    for _ in range(len(found) - len(sessions)):
        notes.skip("value that holds no messages")
    if not sessions:
        raise CcpaError(f"{source.name}: no list of messages in it")
    return sessions


def _messages(value: Any) -> list[JsonObject]:
    listed = objects(obj(value).get("messages") if isinstance(value, dict) else value)
    return listed if any("role" in message for message in listed) else []


def _session(value: Any, notes: Notes) -> Imported:
    top = obj(value)
    about = About(
        actor=UNKNOWN_ACTOR if top.get("agent") is None else actor(top["agent"]),
        original_id=text(top.get("id")) or text(top.get("session_id")),
        ts=utc_time(top.get("created")),
        model=text(top.get("model")),
    )
    session = Session(about, notes)
    for message in _messages(value):
        tell(message, session, notes)
    return session.finish()


def tell(message: JsonObject, session: Session, notes: Notes) -> None:
    """Tell a session one message. The system prompt is no part of a trace."""
    role = text(message.get("role"))
    if role == "user":
        session.prompt(rendered(message.get("content")))
    elif role == "assistant":
        session.answer(
            blocks(message), usage=usage(message.get("usage")), model=text(message.get("model"))
        )
    elif role in ("tool", "function"):
        use = text(message.get("tool_call_id")) or text(message.get("name")) or ""
        session.result(use, rendered(message.get("content")))
    elif role not in _INSTRUCTIONS:
        notes.meet("role", role)


def blocks(message: JsonObject) -> list[Block]:
    """Return the blocks of an assistant message, the older `function_call` included.

    A refusal is what the model said. A call without an id gets its function's name, which is what
    the message that answers it names.
    """
    made: list[Block] = []
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(reasoning, str):
        made.append(ThinkingBlock(reasoning))
    words = rendered(message.get("content")) or text(message.get("refusal"))
    if words:
        made.append(TextBlock(words))
    calls = items(message.get("tool_calls"))
    if not calls and isinstance(message.get("function_call"), dict):
        calls = [{"function": message["function_call"]}]
    for call in objects(calls):
        function = obj(call.get("function")) or obj(call.get("custom")) or call
        name = text(function.get("name")) or ""
        arguments = function.get("arguments", function.get("input"))
        made.append(ToolUseBlock(text(call.get("id")) or name, name, tool_input(arguments)))
    return made


def tool_input(arguments: Any) -> JsonObject:
    """Return a call's arguments, which are an object, or its JSON.

    What is neither is kept as it was written, under a name that no tool has.
    """
    value = parsed(arguments) if isinstance(arguments, str) else arguments
    if isinstance(value, dict):
        return value
    if arguments in (None, ""):
        return {}
    shown = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return {UNREADABLE_INPUT: shown}


def usage(value: Any) -> Usage | None:
    """Return token counts, of chat completions or of the Responses API."""
    counts = obj(value)
    asked = count(counts.get("prompt_tokens", counts.get("input_tokens")))
    said = count(counts.get("completion_tokens", counts.get("output_tokens")))
    if asked is None or said is None:
        return None
    details = obj(counts.get("prompt_tokens_details")) or obj(counts.get("input_tokens_details"))
    cached = count(details.get("cached_tokens", counts.get("cached_input_tokens"))) or 0
    return Usage(input_tokens=asked, output_tokens=said, cache_read_tokens=min(cached, asked))
