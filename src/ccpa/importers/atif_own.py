"""Trajectories that `ccpa export atif` wrote: the trace's records, just as they were.

`ccpa.exporters.atif` says what stands where. Somebody may have changed the trajectory since: what
no longer makes a valid trace is read like anybody's trajectory.
"""

import io
from collections.abc import Iterator
from typing import Any

import msgspec

from ccpa import trace
from ccpa.importers.values import JsonObject, obj, objects
from ccpa.trace import Record
from ccpa.validate import check

OWN = "ccpa"


def restored(top: JsonObject) -> list[Record] | None:
    """Return the records of a trajectory in their order, or None where it does not hold them."""
    start, own = obj(top.get("agent")), obj(obj(top.get("extra")).get(OWN))
    named = {"session_id": top.get("session_id"), "actor": start.get("name")}
    first = {"kind": "session_start", **named, "model": start.get("model_name"), **own}
    values = list(_trajectory(top, None))
    for one in objects(top.get("subagent_trajectories")):
        values += _trajectory(one, one.get("trajectory_id"))
    if any(not isinstance(value.get("line"), int) for value in values):
        return None
    values.sort(key=lambda value: value.pop("line"))
    try:
        records = [msgspec.convert({"v": 1, **value}, Record) for value in (first, *values)]
        lines = b"".join(map(trace.encode, records))
    except (msgspec.ValidationError, UnicodeEncodeError, RecursionError):
        return None
    return records if check(io.BytesIO(lines), prefix=True).valid else None


def _trajectory(trajectory: JsonObject, parent: Any) -> Iterator[JsonObject]:
    of = {} if parent is None else {"parent_tool_use_id": parent}
    for step in objects(trajectory.get("steps")):
        own = obj(obj(step.get("extra")).get(OWN))
        match step.get("source"):
            case "user" if own or parent is None:  # a subagent's prompt is no record
                yield {"kind": "user_prompt", "text": step.get("message"), **own}
            case "agent":
                yield _answer(step, own) | of
                for result in objects(obj(step.get("observation")).get("results")):
                    if "content" in result:  # else it is but a reference to a subagent
                        yield _result(result) | of
            case "system":
                yield own | of


def _answer(step: JsonObject, own: JsonObject) -> JsonObject:
    calls = [
        {
            "type": "tool_use",
            "id": call.get("tool_call_id"),
            "name": call.get("function_name"),
            "input": call.get("arguments"),
        }
        for call in objects(step.get("tool_calls"))
    ]
    made: JsonObject = {"kind": "assistant_turn", "model": step.get("model_name"), **own}
    made["blocks"] = list(_blocks(step, own, calls))
    if isinstance(metrics := step.get("metrics"), dict):
        made["usage"] = {
            "input_tokens": metrics.get("prompt_tokens"),
            "output_tokens": metrics.get("completion_tokens"),
            "cache_read_tokens": metrics.get("cached_tokens"),
        }
    return made


def _blocks(step: JsonObject, own: JsonObject, calls: list[JsonObject]) -> Iterator[JsonObject]:
    """Yield blocks in the order that `extra` gives, where there is another one than the usual."""
    if "blocks" in own:
        waiting = iter(calls)
        for block in objects(own["blocks"]):
            yield next(waiting, block) if block.get("type") == "tool_use" else block
        return
    if thinking := step.get("reasoning_content"):
        yield {"type": "thinking", "thinking": thinking}
    if words := step.get("message"):
        yield {"type": "text", "text": words}
    yield from calls


def _result(result: JsonObject) -> JsonObject:
    return {
        "kind": "tool_result",
        "tool_use_id": result.get("source_call_id"),
        "content": result.get("content"),
        **obj(obj(result.get("extra")).get(OWN)),
    }
