"""Anthropic Messages, listened to."""

from collections.abc import Sequence

from ccpa.importers import claude_messages
from ccpa.importers.notes import Notes
from ccpa.importers.reading import parsed
from ccpa.importers.values import JsonObject, items, obj, objects, rendered, text
from ccpa.record.heard import Heard, Told

_TEXTS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


def results(body: JsonObject) -> list[Told]:
    """Return the results in a request. A result that does not say `is_error` is none."""
    return [
        Told(block["tool_use_id"], rendered(block.get("content")), block.get("is_error") is True)
        for message in objects(body.get("messages"))
        if message.get("role") == "user"
        for block in claude_messages.tool_results(message.get("content"))
    ]


def ends(event: JsonObject | None) -> bool:
    """Say whether this is a stream's last event."""
    return event is not None and event.get("type") == "message_stop"


def whole(events: Sequence[JsonObject]) -> JsonObject | None:
    """Put a stream together: its `message_start`, its blocks, and its `message_delta`."""
    message: JsonObject = {}
    blocks: dict[object, JsonObject] = {}
    inputs: dict[object, str] = {}
    for event in events:
        index = event.get("index")
        match event.get("type"):
            case "message_start":
                message = dict(obj(event.get("message")))
            case "content_block_start" if isinstance(index, int):
                blocks[index] = dict(obj(event.get("content_block")))
            case "content_block_delta" if index in blocks:
                delta = obj(event.get("delta"))
                kind = text(delta.get("type")) or ""
                if name := _TEXTS.get(kind):
                    before = text(blocks[index].get(name)) or ""
                    blocks[index][name] = before + rendered(delta.get(name))
                elif kind == "input_json_delta":
                    more = rendered(delta.get("partial_json"))
                    inputs[index] = inputs.get(index, "") + more
            case "message_delta":
                message |= obj(event.get("delta"))
                message["usage"] = obj(message.get("usage")) | obj(event.get("usage"))
    for index, said in inputs.items():
        if said:
            blocks[index]["input"] = parsed(said)
    message["content"] = list(blocks.values())
    return message if text(message.get("stop_reason")) else None


def heard(answer: JsonObject, notes: Notes) -> Heard | None:
    """Read a `message`."""
    if not isinstance(answer.get("content"), list):
        return None
    return Heard(
        blocks=claude_messages.blocks(items(answer["content"]), notes),
        stop=text(answer.get("stop_reason")),
        usage=claude_messages.usage(answer.get("usage")),
        model=text(answer.get("model")),
    )
