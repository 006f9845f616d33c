"""The Agent Trajectory Interchange Format of Harbor, version 1.7.

`docs/export.md` says what becomes of what. What ATIF has no place for stands under `extra.ccpa`,
as the trace's record has it, so that `ccpa import atif` makes the same records of it:

- on the trajectory: the session's start;
- on a step or a result: the rest of its record, and `line`, its place in the trace;
- a hook, a skill, a compaction and the session's end are system steps that carry their record.

A subagent's trajectory is embedded in the root, under the id of the tool use that started it.
"""

from typing import Any

import msgspec

from ccpa.console import one_line
from ccpa.errors import CcpaError
from ccpa.exporters.sessions import Answer, Conversation, Line, Result, Session
from ccpa.trace import (
    AssistantTurn,
    Block,
    Compaction,
    HookEvent,
    Record,
    SessionEnd,
    SkillInvocation,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    Usage,
    UserPrompt,
)

JsonObject = dict[str, Any]

SCHEMA_VERSION = "ATIF-v1.7"
"""The oldest version with all that is used here: results with `extra`, embedded subagents."""
OWN = "ccpa"
UNKNOWN_VERSION = "unknown"
"""ATIF insists on an agent's version."""

# What ATIF has a place for, by kind: the rest of a record goes under `extra`.
_PLACED = {
    "session_start": ("session_id", "actor", "model", "kind"),
    "user_prompt": ("text", "kind"),
    "assistant_turn": ("blocks", "usage", "model", "kind"),
    "tool_result": ("tool_use_id", "content", "kind"),
}
_IN_ALL = ("v", "parent_tool_use_id")


def trajectory(session: Session) -> JsonObject:
    """Return a session as an ATIF trajectory, with those of its subagents in it.

    Raises:
        CcpaError: nothing happened in it, and a trajectory needs a step.
    """
    if not session.main.steps:
        name = one_line(session.name)
        raise CcpaError(f"{name}: nothing happened in this session; a trajectory needs a step")
    made = _trajectory(session, session.main)
    made["extra"] = _extra(session.start)
    if session.end is not None and session.end.cost_usd is not None:
        made["final_metrics"]["total_cost_usd"] = session.end.cost_usd
    if session.subagents:
        made["subagent_trajectories"] = [
            {"trajectory_id": use} | _trajectory(session, conversation)
            for use, conversation in session.subagents.items()
        ]
    return made


def _trajectory(session: Session, conversation: Conversation) -> JsonObject:
    steps = [_step(step, session.subagents) for step in conversation.steps]
    if conversation.prompt is not None:
        steps.insert(0, {"source": "user", "message": conversation.prompt})
    start, use = session.start, conversation.started_by
    kind = None if use is None else use.input.get("subagent_type")
    return {
        "schema_version": SCHEMA_VERSION,
        "session_id": start.session_id,
        "agent": {
            "name": kind if isinstance(kind, str) else start.actor,
            "version": start.agent_version or UNKNOWN_VERSION,
            "model_name": start.model,
        },
        "steps": [{"step_id": number} | step for number, step in enumerate(steps, 1)],
        "final_metrics": _totals(conversation) | {"total_steps": len(steps)},
    }


def _step(step: Answer | Line, subagents: dict[str, Conversation]) -> JsonObject:
    if isinstance(step, Answer):
        return _agent_step(step, subagents)
    extra = _extra(step.record, step.number)
    if isinstance(step.record, UserPrompt):
        return {"source": "user", "message": step.record.text, "extra": extra}
    return {"source": "system", "message": _told(step.record), "extra": extra}


def _agent_step(answer: Answer, subagents: dict[str, Conversation]) -> JsonObject:
    record = answer.record
    made: JsonObject = {"source": "agent", "message": _words(record)}
    reasoning = [one.thinking for one in record.blocks if isinstance(one, ThinkingBlock)]
    if reasoning:
        made["reasoning_content"] = "\n\n".join(reasoning)
    if record.model is not None:
        made["model_name"] = record.model
    if answer.uses:
        made["tool_calls"] = [
            {"tool_call_id": use.id, "function_name": use.name, "arguments": use.input}
            for use in answer.uses
        ]
    results = [
        _result(use, answer.results[use.id], subagents)
        for use in answer.uses
        if use.id in answer.results
    ]
    results += [  # no result came, and yet its subagent's trajectory must be found
        {"source_call_id": use.id, "subagent_trajectory_ref": [{"trajectory_id": use.id}]}
        for use in answer.uses
        if use.id not in answer.results and _has_started(use, subagents)
    ]
    if results:
        made["observation"] = {"results": results}
    if record.usage is not None:
        made["metrics"] = _metrics(record.usage)
    extra = _extra(record, answer.number)
    if not _is_plain(record):
        extra[OWN]["blocks"] = [_outline(block) for block in record.blocks]
    return made | {"llm_call_count": 1, "extra": extra}


def _is_plain(record: AssistantTurn) -> bool:
    """Say whether an ATIF step shows the blocks as they are: a thought, a text, then tool uses."""
    kinds = [type(block) for block in record.blocks]
    order = [kind for kind in (ThinkingBlock, TextBlock) if kind in kinds]
    return kinds == order + [ToolUseBlock] * (len(kinds) - len(order)) and all(
        block.text if isinstance(block, TextBlock) else block.thinking and block.signature is None
        for block in record.blocks
        if not isinstance(block, ToolUseBlock)
    )


def _outline(block: Block) -> JsonObject:
    """Return a block as the trace has it; of a tool use, which stands elsewhere, its place."""
    if isinstance(block, ToolUseBlock):
        return {"type": "tool_use"}
    made: JsonObject = msgspec.to_builtins(block)
    return made


def _result(use: ToolUseBlock, result: Result, subagents: dict[str, Conversation]) -> JsonObject:
    made: JsonObject = {"source_call_id": use.id, "content": result.record.content}
    if _has_started(use, subagents):
        made["subagent_trajectory_ref"] = [{"trajectory_id": use.id}]
    return made | {"extra": _extra(result.record, result.number)}


def _has_started(use: ToolUseBlock, subagents: dict[str, Conversation]) -> bool:
    """Say whether it was this use; another turn's may have the same id."""
    return use.id in subagents and subagents[use.id].started_by is use


def _words(record: AssistantTurn) -> str:
    return "\n\n".join(block.text for block in record.blocks if isinstance(block, TextBlock))


def _metrics(usage: Usage) -> JsonObject:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "cached_tokens": usage.cache_read_tokens,
    }


def _totals(conversation: Conversation) -> JsonObject:
    """Add up the usage of the answers, where every one of them tells it."""
    usages = [answer.record.usage for answer in conversation.answers]
    known = [_metrics(usage) for usage in usages if usage is not None]
    if not known or len(known) < len(usages):
        return {}
    return {f"total_{name}": sum(one[name] for one in known) for name in known[0]}


def _told(record: Record) -> str:
    match record:
        case HookEvent():
            return f"Hook {record.event}: {record.decision} (exit code {record.exit_code})"
        case SkillInvocation():
            return f"Skill {record.name} ({record.source})"
        case Compaction():
            return f"Compaction: {record.tokens_before} tokens became {record.tokens_after}"
        case SessionEnd():
            return f"Session ended: {record.stop_reason}"
        case _:
            raise TypeError(f"no step of its own is made of {type(record).__name__}")


def _extra(record: Record, line: int | None = None) -> JsonObject:
    own: JsonObject = {} if line is None else {"line": line}
    own |= msgspec.to_builtins(record)
    for name in (*_IN_ALL, *_PLACED.get(own["kind"], ())):
        own.pop(name, None)
    return {OWN: own}
