"""OpenAI Responses, listened to."""

from collections.abc import Iterator, Sequence

from ccpa.importers import openai_chat, openai_responses
from ccpa.importers.notes import Notes
from ccpa.importers.values import JsonObject, obj, objects, rendered, text
from ccpa.record.heard import Heard, Told
from ccpa.trace import Block, TextBlock, ThinkingBlock, ToolUseBlock

_LAST = frozenset({"response.completed", "response.incomplete"})


def results(body: JsonObject) -> list[Told]:
    """Return the results in a request: what ends in `_call_output`, of calls of any kind."""
    found = []
    for item in objects(body.get("input")):
        use = text(item.get("call_id"))
        if use is not None and str(item.get("type")).endswith("_call_output"):
            output = openai_responses.output(item.get("output"))
            failed = None if output.succeeded is None else not output.succeeded
            found.append(Told(use, output.content, failed, output.exit_code))
    return found


def ends(event: JsonObject | None) -> bool:
    """Say whether this is a stream's last event."""
    return event is not None and event.get("type") in _LAST


def whole(events: Sequence[JsonObject]) -> JsonObject | None:
    """Return the `response` of a stream's last event; servers may leave its items out of that."""
    last = next((event for event in events if event.get("type") in _LAST), None)
    if last is None:
        return None
    response = obj(last.get("response"))
    done = [event.get("item") for event in events if event.get("type") == _ITEM]
    return response if objects(response.get("output")) else {**response, "output": done}


_ITEM = "response.output_item.done"


def heard(answer: JsonObject, notes: Notes) -> Heard | None:
    """Read a `response`."""
    if answer.get("status") not in ("completed", "incomplete"):
        return None
    blocks = [b for item in objects(answer.get("output")) for b in _blocks(item, notes)]
    reason = text(obj(answer.get("incomplete_details")).get("reason"))
    return Heard(
        blocks=blocks,
        stop="length" if reason == "max_output_tokens" else "stop",
        usage=openai_chat.usage(answer.get("usage")),
        model=text(answer.get("model")),
    )


def _blocks(item: JsonObject, notes: Notes) -> Iterator[Block]:
    """Yield what an item of an answer says."""
    use = text(item.get("call_id"))
    name = text(item.get("name"))
    match text(item.get("type")):
        case "message":
            yield TextBlock(_said(item))
        case "reasoning":
            if words := openai_responses.reasoning(item):
                yield ThinkingBlock(words, text(item.get("encrypted_content")))
        case "function_call" if use and name:
            yield ToolUseBlock(use, name, openai_chat.tool_input(item.get("arguments")))
        case "custom_tool_call" if use and name:
            yield ToolUseBlock(use, name, {"input": rendered(item.get("input"))})
        case "local_shell_call" if use:
            yield ToolUseBlock(use, "local_shell", obj(item.get("action")))
        case kind:
            notes.meet("item of an answer", kind)


def _said(item: JsonObject) -> str:
    """Return the text of a message; a refusal is what the model said."""
    parts = objects(item.get("content"))
    return "".join(text(part.get("text")) or text(part.get("refusal")) or "" for part in parts)
