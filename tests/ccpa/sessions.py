"""Short ways to say what happened in two sessions, for tests of the meter."""

import json
from typing import Any

from ccpa.actions import View, decode_views

PROJECT = "/home/dev/shop"

Step = dict[str, Any]


def use(tool: str, **tool_input: Any) -> Step:
    """A model call that uses one tool, which succeeds. `raw=` gives the input as it stands."""
    return {"uses": [(tool, tool_input.pop("raw", tool_input))]}


def uses(*steps: Step) -> Step:
    """One model call that uses several tools."""
    return {"uses": [one for step in steps for one in step["uses"]]}


def bash(command: str, **more: Any) -> Step:
    """A shell command."""
    return use("Bash", command=command, **more)


def came_out(step: Step, **result: Any) -> Step:
    """The same step with another result, as `ok=False`."""
    return {**step, "result": result}


def say(stop: str = "end_turn") -> Step:
    """A model call that only says something."""
    return {"uses": [], "stop": stop}


def hook(event: str = "PreToolUse", decision: str = "allow", **more: Any) -> Step:
    """A hook that ran."""
    code = {"allow": 0, "warn": 1, "block": 2}[decision]
    return {
        "record": {"kind": "hook_event", "event": event, "decision": decision, "exit_code": code}
        | more
    }


def skill(name: str, source: str = "user_invoked", **more: Any) -> Step:
    """A skill put to use."""
    return {"record": {"kind": "skill_invocation", "name": name, "source": source} | more}


def trace(
    *steps: Step, cwd: str | None = PROJECT, end: str | None = "end_turn", **more: Any
) -> list[View]:
    """Return the records of a session of these steps, as the meter reads them.

    `more` goes into the last record, and `schema_version` into the first.
    """
    return decode_views(trace_bytes(*steps, cwd=cwd, end=end, **more))


def trace_bytes(
    *steps: Step, cwd: str | None = PROJECT, end: str | None = "end_turn", **more: Any
) -> bytes:
    """Return the same as a trace file."""
    start = {"kind": "session_start", "session_id": "s", "ts": "t", "actor": "a", "model": "m"}
    start |= {"cwd_sha256": "", "schema_version": more.pop("schema_version", 3)}
    records: list[dict[str, Any]] = [start | ({"cwd": cwd} if cwd else {})]
    records.append({"kind": "user_prompt", "turn": 0, "text": "go"})
    turn = 0
    for step in steps:
        if "record" in step:
            records.append(step["record"] | {"turn": turn})
            continue
        turn += 1
        ids = [f"call-{turn}-{number}" for number in range(len(step["uses"]))]
        blocks: list[dict[str, Any]] = [{"type": "text", "text": "well"}]
        for name, (tool, tool_input) in zip(ids, step["uses"], strict=True):
            blocks.append({"type": "tool_use", "id": name, "name": tool, "input": tool_input})
        stop = step.get("stop", "tool_use")
        parent = {"parent_tool_use_id": step["parent"]} if "parent" in step else {}
        records.append(
            {"kind": "assistant_turn", "turn": turn, "blocks": blocks, "stop_reason": stop} | parent
        )
        turn += bool(ids)
        result = {"ok": True, "content": "fine"} | step.get("result", {})
        records += [
            {"kind": "tool_result", "turn": turn, "tool_use_id": name} | result for name in ids
        ]
    if end is not None:
        records.append({"kind": "session_end", "turn": turn, "stop_reason": end} | more)
    return b"".join(json.dumps({"v": 1} | record).encode() + b"\n" for record in records)
