"""OpenAI chat completions, listened to."""

from collections.abc import Sequence
from typing import Any

from ccpa.importers import openai_chat
from ccpa.importers.notes import Notes
from ccpa.importers.values import JsonObject, obj, objects, rendered, text
from ccpa.record.heard import Heard, Told


def results(body: JsonObject) -> list[Told]:
    """Return the results in a request. This wire has no word for a failure."""
    return [
        Told(text(message.get("tool_call_id")) or "", rendered(message.get("content")))
        for message in objects(body.get("messages"))
        if message.get("role") == "tool"
    ]


def ends(event: JsonObject | None) -> bool:
    """Say whether a stream is over: after `[DONE]`. The usage comes behind the finish reason."""
    return event is None


def whole(events: Sequence[JsonObject]) -> JsonObject | None:
    """Put the deltas of a stream's first choice together to a `chat.completion`."""
    answer: JsonObject = {}
    message: dict[str, Any] = {}
    calls: dict[object, JsonObject] = {}
    finish = None
    for event in events:
        answer["model"] = text(event.get("model")) or answer.get("model")
        answer["usage"] = event.get("usage") or answer.get("usage")
        for choice in objects(event.get("choices")):
            if choice.get("index", 0) != 0:
                continue
            finish = text(choice.get("finish_reason")) or finish
            delta = obj(choice.get("delta"))
            for name in ("content", "reasoning_content", "reasoning", "refusal"):
                if isinstance(delta.get(name), str):
                    message[name] = message.get(name, "") + delta[name]
            for call in objects(delta.get("tool_calls")):
                _add(calls.setdefault(call.get("index", len(calls)), {"arguments": ""}), call)
    if finish is None:
        return None
    message["tool_calls"] = [
        {"id": call.get("id"), "function": {**call, "id": None}} for call in calls.values()
    ]
    return {**answer, "choices": [{"message": message, "finish_reason": finish}]}


def _add(call: JsonObject, delta: JsonObject) -> None:
    """Add a piece of a call: its id and name come whole, its arguments bit by bit."""
    function = obj(delta.get("function"))
    call["id"] = text(delta.get("id")) or call.get("id")
    call["name"] = text(function.get("name")) or call.get("name")
    call["arguments"] += rendered(function.get("arguments"))


def heard(answer: JsonObject, notes: Notes) -> Heard | None:
    """Read a `chat.completion`: its first choice."""
    choices = objects(answer.get("choices"))
    if not choices:
        return None
    if len(choices) > 1:
        notes.skip("choice besides the first of an answer")
    return Heard(
        blocks=openai_chat.blocks(obj(choices[0].get("message"))),
        stop=text(choices[0].get("finish_reason")),
        usage=openai_chat.usage(answer.get("usage")),
        model=text(answer.get("model")),
    )
