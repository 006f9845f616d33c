"""Spans of the OpenTelemetry conventions for generative AI, out of a trace.

`invoke_agent` for the session and for each subagent, `chat` for each answer of the model,
`execute_tool` for each tool use; hooks, skills, prompts and compactions are events on them.
Attribute names are those of the conventions where they have one, else they begin with `ccpa.`.

A trace holds one time, its start, and durations where the agent measured them. So a span starts as
early as it can have: when all that must have come before it had taken its known time. A span whose
own duration is not known is as long as what is in it, and says `ccpa.duration.known: false`.
`docs/export.md` has all of it. `ccpa.exporters.otlp` puts spans on the wire.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from msgspec import Struct, field

from ccpa.console import one_line
from ccpa.errors import CcpaError
from ccpa.exporters.sessions import Answer, Conversation, Line, Result, Session
from ccpa.trace import (
    Block,
    Compaction,
    HookEvent,
    SkillInvocation,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    UserPrompt,
)

Attribute = str | bool | int | float | list[str]
Attributes = dict[str, Attribute]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = 1_000_000
_LATEST = 2**63 - 1
"""The last nanosecond that backends can tell, in the year 2262; nothing ends after it."""
_KNOWN = "ccpa.duration.known"
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_call",
}
"""In the conventions' words."""


class Event(Struct):
    """Something that happened at a moment: nanoseconds since 1970."""

    name: str
    time: int
    attributes: Attributes


class Span(Struct):
    """Something that took time.

    Args:
        key: tells it from the other spans of its session.
        parent: key of the span that it is part of.
        name: operation and subject, as the conventions have it.
        kind: `client` for a call of the model, which may be elsewhere; else `internal`.
        start: nanoseconds since 1970.
        end: the same.
        attributes: what is known of it.
        events: what happened in it.
        error: what kind of error it ended in; None for none.
    """

    key: str
    parent: str | None
    name: str
    kind: Literal["internal", "client"]
    start: int
    end: int
    attributes: Attributes
    events: list[Event] = field(default_factory=list)
    error: str | None = None


class Options(Struct, frozen=True):
    """What spans tell.

    Args:
        content: whether prompts, answers, inputs, outputs and file names are in them.
        provider: whose interface the model was reached by (`anthropic`, `openai`), which the
            conventions require and a trace does not hold.
    """

    content: bool = False
    provider: str = "unknown"


def spans(session: Session, options: Options) -> list[Span]:
    """Return the spans of a session, a parent before its children.

    Raises:
        CcpaError: the session's time cannot be read.
    """
    walk = _Walk(session, options)
    root = walk.agent(session.main, "session", None, _nanoseconds(session))
    _finish_root(root, session, options)
    return walk.spans


def _nanoseconds(session: Session) -> int:
    text = session.start.ts
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        name = one_line(session.name)
        what = f"the session's time must be RFC 3339 to make spans of it; it is {one_line(text)!r}"
        raise CcpaError(f"{name}:1: $.ts: {what}") from None
    time = time.replace(tzinfo=time.tzinfo or UTC)
    since = (time - _EPOCH) // timedelta(microseconds=1) * 1000
    return min(max(since, 0), _LATEST)


def _finish_root(root: Span, session: Session, options: Options) -> None:
    start, end, told = session.start, session.end, root.attributes
    told["ccpa.tree.before"] = start.cwd_sha256
    if start.permission_mode is not None:
        told["ccpa.permission_mode"] = start.permission_mode
    if end is None:
        return
    told["ccpa.stop_reason"] = end.stop_reason
    known: dict[str, Attribute | None] = {
        "gen_ai.usage.input_tokens": end.tokens_in,
        "gen_ai.usage.output_tokens": end.tokens_out,
        "ccpa.tree.after": end.cwd_sha256_after,
        "ccpa.cost_usd": end.cost_usd,
        "ccpa.error": end.error if options.content else None,
    }
    told.update({name: value for name, value in known.items() if value is not None})
    if end.stop_reason == "error":
        root.error = "_OTHER"
    _last(root, end.elapsed_ms)


def _last(span: Span, milliseconds: int | None) -> None:
    if milliseconds is not None:
        span.end = min(span.start + milliseconds * _MILLISECOND, _LATEST)
        span.attributes[_KNOWN] = True


class _Walk:
    """Makes spans of conversations, and places them in time."""

    def __init__(self, session: Session, options: Options) -> None:
        self.session = session
        self.options = options
        self.spans: list[Span] = []

    def agent(self, conversation: Conversation, key: str, parent: str | None, start: int) -> Span:
        """Make the span of an agent's run, and all that are in it."""
        use = conversation.started_by
        kind = None if use is None else use.input.get("subagent_type")
        name = kind if isinstance(kind, str) else self.session.start.actor
        span = self._open(key, parent, "invoke_agent", name, start)
        span.attributes["gen_ai.agent.name"] = name
        span.attributes["gen_ai.request.model"] = self.session.start.model
        if use is None and self.session.start.agent_version is not None:
            span.attributes["gen_ai.agent.version"] = self.session.start.agent_version
        asked = [] if conversation.prompt is None else [_message("user", conversation.prompt)]
        now, compacted, tools = start, False, dict[str, Span]()
        for step in conversation.steps:
            if isinstance(step, Answer):
                chat = self._chat(step, key, now, asked, compacted=compacted)
                tools = {use.id: self._tool(step, use, key, chat.end) for use in step.uses}
                now = max([chat.end, *(tool.end for tool in tools.values())])
                asked = list(_responses(step))
                continue
            if isinstance(step.record, UserPrompt):
                asked.append(_message("user", step.record.text))
            compacted = compacted or isinstance(step.record, Compaction)
            self._event(step, span, tools, now)
        span.end = now
        return span

    def _open(self, key: str, parent: str | None, operation: str, subject: str, start: int) -> Span:
        told: Attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": self.options.provider,
            "gen_ai.conversation.id": self.session.start.session_id,
            _KNOWN: False,
        }
        kind: Literal["internal", "client"] = "client" if operation == "chat" else "internal"
        span = Span(key, parent, f"{operation} {subject}", kind, start, start, told)
        self.spans.append(span)
        return span

    def _chat(
        self, answer: Answer, parent: str, start: int, asked: list[Any], *, compacted: bool
    ) -> Span:
        record, model = answer.record, answer.record.model or self.session.start.model
        span = self._open(f"line {answer.number}", parent, "chat", model, start)
        _last(span, record.latency_ms)
        told = span.attributes
        told["gen_ai.request.model"] = model
        if record.model is not None:
            told["gen_ai.response.model"] = record.model
        told["gen_ai.response.finish_reasons"] = [record.stop_reason]
        if record.usage is not None:
            told["gen_ai.usage.input_tokens"] = record.usage.input_tokens
            told["gen_ai.usage.output_tokens"] = record.usage.output_tokens
            told["gen_ai.usage.cache_read.input_tokens"] = record.usage.cache_read_tokens
        if compacted:
            told["gen_ai.conversation.compacted"] = True
        if self.options.content:
            told["gen_ai.input.messages"] = _json(asked)
            parts = [_part(block) for block in record.blocks]
            reason = _FINISH_REASONS[record.stop_reason]
            said = {"role": "assistant", "parts": parts, "finish_reason": reason}
            told["gen_ai.output.messages"] = _json([said])
        return span

    def _tool(self, answer: Answer, use: ToolUseBlock, parent: str, start: int) -> Span:
        key = f"line {answer.number} {use.id}"
        span = self._open(key, parent, "execute_tool", use.name, start)
        told = span.attributes
        told["gen_ai.tool.name"] = use.name
        told["gen_ai.tool.call.id"] = use.id
        told["gen_ai.tool.type"] = "function"
        subagent = self.session.subagents.get(use.id)
        if subagent is not None and subagent.started_by is use:
            span.end = self.agent(subagent, f"{key} subagent", key, start).end
        result = answer.results.get(use.id)
        if self.options.content:
            told["gen_ai.tool.call.arguments"] = _json(use.input)
        if result is None:
            told["ccpa.tool.answered"] = False
        else:
            self._outcome(span, result)
        return span

    def _outcome(self, span: Span, result: Result) -> None:
        record, told = result.record, span.attributes
        _last(span, record.duration_ms)
        told["ccpa.tool.ok"] = record.ok
        if record.denied_by is not None:
            told["ccpa.tool.denied_by"] = record.denied_by
        if not record.ok:
            span.error = "tool_error" if record.denied_by is None else "denied"
        effects = record.side_effects
        if effects is not None and effects.exit_code is not None:
            told["process.exit.code"] = effects.exit_code
        if self.options.content:
            told["gen_ai.tool.call.result"] = record.content
            if effects is not None:
                told["ccpa.tool.files_read"] = effects.files_read
                told["ccpa.tool.files_written"] = effects.files_written

    def _event(self, line: Line, agent: Span, tools: dict[str, Span], now: int) -> None:
        event = _event(line, now, content=self.options.content)
        if event is None:
            return
        record = line.record
        about = tools.get(record.tool_use_id or "") if isinstance(record, HookEvent) else None
        if about is not None:
            before = isinstance(record, HookEvent) and record.event in _BEFORE_THE_TOOL
            event.time = about.start if before else about.end
        (about or agent).events.append(event)


_BEFORE_THE_TOOL = frozenset({"PreToolUse", "PermissionRequest"})


def _event(line: Line, now: int, *, content: bool) -> Event | None:
    """Return what happened at one moment, if it is that; the session's end is no moment."""
    told: dict[str, Attribute | None]
    match line.record:
        case UserPrompt() as prompt:
            name, told = "ccpa.user_prompt", {"ccpa.turn": prompt.turn}
        case HookEvent() as hook:
            name = "ccpa.hook"
            told = {
                "ccpa.hook.event": hook.event,
                "ccpa.hook.decision": hook.decision,
                "ccpa.hook.matcher": hook.matcher,
                "ccpa.hook.duration_ms": hook.duration_ms,
                "process.exit.code": hook.exit_code,
                "ccpa.hook.output": hook.output if content else None,
            }
        case SkillInvocation() as skill:
            name = "ccpa.skill"
            told = {
                "ccpa.skill.name": skill.name,
                "ccpa.skill.source": skill.source,
                "ccpa.skill.instructions_injected": skill.instructions_injected,
            }
        case Compaction() as compaction:
            name = "ccpa.compaction"
            told = {
                "ccpa.compaction.trigger": compaction.trigger,
                "ccpa.compaction.tokens_before": compaction.tokens_before,
                "ccpa.compaction.tokens_after": compaction.tokens_after,
            }
        case _:
            return None
    return Event(name, now, {key: value for key, value in told.items() if value is not None})


def _message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def _responses(answer: Answer) -> Iterator[dict[str, Any]]:
    for use in answer.uses:
        if (result := answer.results.get(use.id)) is not None:
            content = result.record.content
            part = {"type": "tool_call_response", "id": use.id, "response": content}
            yield {"role": "tool", "parts": [part]}


def _part(block: Block) -> dict[str, Any]:
    match block:
        case TextBlock():
            return {"type": "text", "content": block.text}
        case ThinkingBlock():
            return {"type": "reasoning", "content": block.thinking}
        case ToolUseBlock():
            return {
                "type": "tool_call",
                "id": block.id,
                "name": block.name,
                "arguments": block.input,
            }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
