"""Traces for the tests: one that holds every kind, and ways to change it."""

from typing import Any

import msgspec

Value = dict[str, Any]


def session(**fields: Any) -> Value:
    return {
        "v": 1,
        "kind": "session_start",
        "session_id": "01980f3a-5c9e-7b21-9d3c-0242ac120002",
        "ts": "2026-01-31T12:00:00.250Z",
        "actor": "apr-code",
        "model": "demo",
        "cwd_sha256": "0" * 64,
    } | fields


def prompt(turn: int, text: str = "Fix it.") -> Value:
    return {"v": 1, "kind": "user_prompt", "turn": turn, "text": text}


def said(turn: int, text: str = "Done.", **fields: Any) -> Value:
    blocks = [{"type": "text", "text": text}]
    stop = {"stop_reason": "end_turn"}
    return {"v": 1, "kind": "assistant_turn", "turn": turn, "blocks": blocks} | stop | fields


def asked(turn: int, *ids: str, **fields: Any) -> Value:
    """Return an assistant turn that uses a tool once for each id."""
    blocks = [
        {"type": "tool_use", "id": use, "name": "Bash", "input": {"command": "ls"}} for use in ids
    ]
    stop = {"stop_reason": "tool_use"}
    return {"v": 1, "kind": "assistant_turn", "turn": turn, "blocks": blocks} | stop | fields


def result(turn: int, use: str, **fields: Any) -> Value:
    answer = {"turn": turn, "tool_use_id": use, "ok": True, "content": "README.md\n"}
    return {"v": 1, "kind": "tool_result"} | answer | fields


def hook(turn: int, decision: str = "allow", exit_code: int = 0, **fields: Any) -> Value:
    event = {"turn": turn, "event": "PreToolUse", "decision": decision, "exit_code": exit_code}
    return {"v": 1, "kind": "hook_event"} | event | fields


def end(turn: int, stop_reason: str = "end_turn", **fields: Any) -> Value:
    return {"v": 1, "kind": "session_end", "turn": turn, "stop_reason": stop_reason} | fields


def whole() -> list[Value]:
    """Return a valid trace with every kind of record, every field, and a subagent."""
    parent = {"parent_tool_use_id": "agent-1"}
    digest = "a" * 64
    return [
        session(
            agent_version="1.0",
            schema_version=3,
            cwd="/work",
            permission_mode="default",
            parent_session_id=None,
        ),
        hook(0, event="SessionStart", output="Be kind.", duration_ms=3, matcher="startup"),
        prompt(0),
        {
            "v": 1,
            "kind": "skill_invocation",
            "turn": 0,
            "name": "review",
            "source": "user_invoked",
            "instructions_injected": True,
        },
        asked(
            1,
            "bash-1",
            "agent-1",
            usage={"input_tokens": 9, "output_tokens": 2, "cache_read_tokens": 4},
            model="demo",
            latency_ms=12,
        ),
        hook(1, "warn", 1, tool_use_id="bash-1"),
        result(
            2,
            "bash-1",
            side_effects={"files_read": ["a"], "files_written": [], "exit_code": 0},
            duration_ms=1,
            content_sha256=digest,
            truncated=True,
        ),
        asked(1, "bash-2", **parent),
        hook(1, "block", 2, tool_use_id="bash-2", **parent),
        result(2, "bash-2", ok=False, denied_by="hook", **parent),
        said(3, **parent),
        result(2, "agent-1"),
        {
            "v": 1,
            "kind": "compaction",
            "turn": 3,
            "trigger": "auto",
            "tokens_before": 900,
            "tokens_after": 90,
            "summary_sha256": digest,
        },
        {
            "v": 1,
            "kind": "assistant_turn",
            "turn": 3,
            "blocks": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "text", "text": "Done: naïve → \u2028 \"quoted\": 'x'."},
            ],
            "stop_reason": "end_turn",
        },
        prompt(4, "And now?"),
        said(5),
        end(
            5,
            elapsed_ms=100,
            tokens_in=9,
            tokens_out=2,
            cwd_sha256_after=digest,
            error=None,
            cost_usd=0.5,
        ),
    ]


def lines(records: list[Value]) -> bytes:
    """Return the records as a trace file's bytes."""
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)
