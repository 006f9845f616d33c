from typing import Any

from ccpa.importers.session import NO_PROMPT
from ccpa.trace import (
    AssistantTurn,
    Compaction,
    HookEvent,
    SessionEnd,
    SessionStart,
    ToolResult,
    UserPrompt,
)
from tests.ccpa.importers.reading import EXAMPLES, jsonl, only, read

STREAM = EXAMPLES / "stream.jsonl"
FORM = "claude-stream-json"


def answer(words: str, **fields: Any) -> dict[str, Any]:
    message = {"id": words, "role": "assistant", "content": [{"type": "text", "text": words}]}
    return {"type": "assistant", "message": message, "parent_tool_use_id": None} | fields


def test_the_start_is_what_init_says() -> None:
    start = only(read(FORM, STREAM)[0], SessionStart)[0]
    assert (start.model, start.cwd) == ("claude-sonnet-4-6", "/work/shop")
    assert (start.agent_version, start.permission_mode) == ("2.1.80", "default")
    assert start.ts == "1970-01-01T00:00:00Z"  # the stream does not say when it was


def test_the_end_is_what_result_says() -> None:
    end = only(read(FORM, STREAM)[0], SessionEnd)[0]
    assert (end.stop_reason, end.elapsed_ms, end.cost_usd) == ("end_turn", 5200, 0.0123)
    assert (end.tokens_in, end.tokens_out) == (3620, 80)


def test_a_stream_that_stopped_has_no_end() -> None:
    records, _ = read(FORM, jsonl(answer("Hello.")))
    assert only(records, SessionEnd) == []


def test_an_error_ends_the_session_in_error() -> None:
    outcome = {"type": "result", "subtype": "error_max_turns", "is_error": True}
    end = only(read(FORM, jsonl(answer("Hello."), outcome))[0], SessionEnd)[0]
    assert (end.stop_reason, end.error) == ("error", "error_max_turns")


def test_a_prompt_that_the_stream_does_not_repeat_is_marked() -> None:
    outcome = {"type": "result", "subtype": "success"}
    records, notes = read(FORM, jsonl(answer("One."), outcome, answer("Two."), outcome))
    assert [one.text for one in only(records, UserPrompt)] == [NO_PROMPT, NO_PROMPT]
    assert notes.marked["answer to no prompt"] == 2


def test_a_permission_denial_without_a_known_text_was_the_modes() -> None:
    denied = {"tool_name": "Bash", "tool_use_id": "t", "tool_input": {}}
    call = {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "ls"}}
    block = {"type": "tool_result", "tool_use_id": "t", "content": "No.", "is_error": True}
    records, _ = read(
        FORM,
        jsonl(
            {"type": "assistant", "message": {"id": "m", "content": [call]}},
            {"type": "user", "message": {"role": "user", "content": [block]}},
            {"type": "result", "subtype": "success", "permission_denials": [denied]},
        ),
    )
    assert only(records, ToolResult)[0].denied_by == "mode"


def test_subagents_hooks_and_denials_are_where_they_happened() -> None:
    records, _ = read(FORM, STREAM)
    subagent = [one for one in only(records, AssistantTurn) if one.parent_tool_use_id == "t1"]
    assert [one.turn for one in subagent] == [1, 3]
    assert [one.event for one in only(records, HookEvent)] == ["PreToolUse"]
    assert {one.tool_use_id: one.denied_by for one in only(records, ToolResult)} == {
        "ts": None,
        "t1": None,
        "t2": "mode",
    }


def test_a_compaction_of_unknown_size_is_marked() -> None:
    boundary = {
        "type": "system",
        "subtype": "compact_boundary",
        "compact_metadata": {"trigger": "auto", "pre_tokens": 150_000},
    }
    records, notes = read(FORM, jsonl(answer("One."), boundary, answer("Two.")))
    found = only(records, Compaction)[0]
    assert (found.trigger, found.tokens_before, found.tokens_after) == ("auto", 150_000, 0)
    assert notes.marked["compaction of unknown size"] == 1
