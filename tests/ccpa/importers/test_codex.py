import json
from typing import Any

import pytest

from ccpa.importers.codex_tools import translated
from ccpa.trace import (
    AssistantTurn,
    Compaction,
    SessionStart,
    TextBlock,
    ThinkingBlock,
    ToolResult,
    ToolUseBlock,
    Usage,
    UserPrompt,
)
from tests.ccpa.importers.reading import EXAMPLES, jsonl, only, read

ROLLOUT = EXAMPLES / "rollout.jsonl"


def item(**payload: Any) -> dict[str, Any]:
    return {"timestamp": "2026-03-02T10:00:00Z", "type": "response_item", "payload": payload}


def call(name: str, use: str = "c", **arguments: Any) -> dict[str, Any]:
    return item(type="function_call", name=name, arguments=json.dumps(arguments), call_id=use)


def came_to(output: Any, use: str = "c") -> dict[str, Any]:
    return item(type="function_call_output", call_id=use, output=output)


def prompt(words: str) -> dict[str, Any]:
    return item(type="message", role="user", content=[{"type": "input_text", "text": words}])


def test_the_session_keeps_its_id_and_setting() -> None:
    start = only(read("codex", ROLLOUT)[0], SessionStart)[0]
    assert start.session_id == "019caa3c-9c1f-7d42-8a55-3f6a2b1c0d9e"
    assert (start.actor, start.agent_version) == ("codex", "0.110.0")
    assert (start.model, start.cwd) == ("gpt-5.3-codex", "/work/shop")
    assert start.permission_mode == "never"


def test_what_stands_between_outputs_is_one_answer() -> None:
    turns = only(read("codex", ROLLOUT)[0], AssistantTurn)
    shapes = [[type(block) for block in turn.blocks] for turn in turns]
    assert shapes == [
        [ThinkingBlock, ToolUseBlock, ToolUseBlock],
        [ToolUseBlock],
        [ToolUseBlock],
        [TextBlock],
    ]
    assert turns[0].usage == Usage(input_tokens=4100, output_tokens=60, cache_read_tokens=3900)


def test_text_that_the_program_injected_is_no_prompt() -> None:
    records, _ = read("codex", ROLLOUT)
    assert [one.text for one in only(records, UserPrompt)] == ["Raise the price of tea to 4 euros."]


def counted(total: int) -> dict[str, Any]:
    last = {"input_tokens": total, "cached_input_tokens": 0, "output_tokens": 1}
    info = {"total_token_usage": {"input_tokens": total}, "last_token_usage": last}
    return {"type": "event_msg", "payload": {"type": "token_count", "info": info}}


def thought(words: str) -> dict[str, Any]:
    return item(type="reasoning", summary=[{"type": "summary_text", "text": words}])


def test_counts_may_stand_before_their_answers_and_calls_beside_their_outputs() -> None:
    lines = [
        prompt("Go."),
        counted(1),
        thought("Both."),
        call("shell", "a", command=["ls"]),
        came_to("x", "a"),
        call("shell", "b", command=["pwd"]),
        came_to("y", "b"),
        counted(1),  # again, with other rate limits
        counted(2),
        thought("More."),
        call("shell", "c", command=["date"]),
        came_to("z", "c"),
    ]
    turns = only(read("codex", jsonl(*lines))[0], AssistantTurn)
    assert [len(turn.blocks) for turn in turns] == [3, 2]
    assert [turn.usage and turn.usage.input_tokens for turn in turns] == [1, 2]


def test_counts_may_stand_after_their_answers_and_outputs_after_the_count() -> None:
    lines = [
        prompt("Go."),
        call("shell", "a", command=["ls"]),
        counted(1),
        came_to("x", "a"),
        call("shell", "b", command=["pwd"]),
        counted(2),
        came_to("y", "b"),
    ]
    records, _ = read("codex", jsonl(*lines))
    turns = only(records, AssistantTurn)
    assert [turn.turn for turn in turns] == [1, 3]
    assert [turn.usage and turn.usage.input_tokens for turn in turns] == [1, 2]
    assert [one.content for one in only(records, ToolResult)] == ["x", "y"]


def test_without_counts_an_output_ends_the_answer() -> None:
    lines = [prompt("Go."), call("shell", "a", command=["ls"]), came_to("x", "a")]
    lines += [call("shell", "b", command=["pwd"]), came_to("y", "b")]
    turns = only(read("codex", jsonl(*lines))[0], AssistantTurn)
    assert [turn.turn for turn in turns] == [1, 3]


def test_without_events_messages_of_the_user_are_prompts() -> None:
    lines = [
        prompt("<environment_context>\n</environment_context>"),
        prompt("# AGENTS.md instructions for /work/shop\n\nBe brief."),
        prompt("Hello."),
        item(type="message", role="assistant", content=[{"type": "output_text", "text": "Hi."}]),
    ]
    records, _ = read("codex", jsonl(*lines))
    assert [one.text for one in only(records, UserPrompt)] == ["Hello."]


def test_lines_of_older_versions_are_items_themselves() -> None:
    lines = [
        {"id": "5f3c", "timestamp": "2025-06-01T10:00:00Z", "instructions": None, "git": {}},
        {"record_type": "state"},
        prompt("Hello.")["payload"],
        {
            "type": "function_call",
            "name": "shell",
            "call_id": "c",
            "arguments": '{"command":["ls"]}',
        },
        {"type": "function_call_output", "call_id": "c", "output": "a.py"},
    ]
    records, notes = read("codex", jsonl(*lines))
    assert [type(one).__name__ for one in records] == [
        "SessionStart",
        "UserPrompt",
        "AssistantTurn",
        "ToolResult",
    ]
    assert not notes.unknown


@pytest.mark.parametrize(
    ("output", "code", "took"),
    [
        ('{"output":"x","metadata":{"exit_code":3,"duration_seconds":1.5}}', 3, 1500),
        ("Exit code: 4\nWall time: 0.2 seconds\nOutput:\nx", 4, 200),
        ("Wall time: 1.0 seconds\nProcess exited with code 5\nOutput:\nx", 5, 1000),
        ("Wall time: 1.0 seconds\nOutput:\nProcess exited with code 5", None, 1000),
        ([{"type": "input_text", "text": "Exit code: 6\nOutput:\n"}], 6, None),
    ],
)
def test_exit_code_and_time_are_where_each_version_put_them(
    output: Any, code: int | None, took: int | None
) -> None:
    records, _ = read("codex", jsonl(prompt("Go."), call("shell", command=["ls"]), came_to(output)))
    result = only(records, ToolResult)[0]
    assert (result.side_effects.exit_code if result.side_effects else None) == code
    assert result.duration_ms == took
    assert result.ok is (code is None)


def test_an_event_may_know_the_exit_code() -> None:
    ended = {"type": "exec_command_end", "call_id": "c", "exit_code": 9}
    event = {"timestamp": None, "type": "event_msg", "payload": ended}
    lines = [prompt("Go."), call("shell", command=["ls"]), event, came_to("no words")]
    effects = only(read("codex", jsonl(*lines))[0], ToolResult)[0].side_effects
    assert effects is not None
    assert effects.exit_code == 9


@pytest.mark.parametrize(
    ("output", "who"),
    [
        ("exec command rejected by user", "user"),
        ("patch rejected by user", "user"),
        ("approval policy is Never; reject command", "mode"),
        ("`rm` rejected: blocked by policy", "rule"),
    ],
)
def test_a_refusal_says_who_refused(output: str, who: str) -> None:
    lines = [prompt("Go."), call("shell", command=["rm", "x"]), came_to(output)]
    result = only(read("codex", jsonl(*lines))[0], ToolResult)[0]
    assert (result.ok, result.denied_by) == (False, who)


def test_a_search_by_the_provider_has_no_result_to_show() -> None:
    search = item(
        type="web_search_call", status="completed", action={"type": "search", "query": "tea"}
    )
    records, _ = read("codex", jsonl(prompt("Go."), search))
    block = only(records, AssistantTurn)[0].blocks[0]
    assert isinstance(block, ToolUseBlock)
    assert (block.name, block.input) == ("WebSearch", {"query": "tea"})
    assert only(records, ToolResult)[0].content == "«no result in the transcript»"


def test_a_compaction_is_known_by_its_summary_alone() -> None:
    compacted = {"type": "compacted", "payload": {"message": "So far: tea."}}
    records, notes = read("codex", jsonl(prompt("Go."), call("shell", command=["ls"]), compacted))
    assert only(records, Compaction)[0].summary_sha256 is not None
    assert notes.marked["compaction of unknown size"] == 1


CWD = "/work/shop"


@pytest.mark.parametrize(
    ("name", "given", "tool", "expected"),
    [
        ("shell", {"command": ["bash", "-lc", "ls | wc"]}, "Bash", {"command": "ls | wc"}),
        ("shell", {"command": ["ls", "a b"], "workdir": CWD}, "Bash", {"command": "ls 'a b'"}),
        (
            "shell_command",
            {"command": "ls", "workdir": "/tmp", "timeout_ms": 5},
            "Bash",
            {"command": "ls", "workdir": "/tmp", "timeout": 5},
        ),
        ("exec_command", {"cmd": "ls"}, "Bash", {"command": "ls"}),
        ("view_image", {"path": "a.png"}, "Read", {"file_path": "a.png"}),
        (
            "grep_files",
            {"pattern": "TEA", "include": "*.py"},
            "Grep",
            {"pattern": "TEA", "glob": "*.py"},
        ),
        (
            "update_plan",
            {"plan": [{"step": "Look", "status": "pending"}]},
            "TodoWrite",
            {"todos": [{"content": "Look", "status": "pending"}]},
        ),
        ("mcp__tracker__list", {"open": True}, "mcp__tracker__list", {"open": True}),
        ("shell", {"command": 7}, "shell", {"command": 7}),
    ],
)
def test_tools_have_the_traces_names(
    name: str, given: dict[str, Any], tool: str, expected: dict[str, Any]
) -> None:
    assert translated(name, given, CWD) == (tool, expected)


def patch(*lines: str) -> dict[str, Any]:
    return {"input": "\n".join(["*** Begin Patch", *lines, "*** End Patch"])}


def test_a_patch_that_adds_a_file_is_a_write() -> None:
    given = patch("*** Add File: a.py", "+x = 1", "+", "+y = 2")
    expected = {"file_path": "a.py", "content": "x = 1\n\ny = 2\n"}
    assert translated("apply_patch", given, CWD) == ("Write", expected)


def test_a_patch_of_one_place_is_an_edit() -> None:
    given = patch("*** Update File: a.py", "@@", " x = 1", "-y = 2", "+y = 3")
    expected = {"file_path": "a.py", "old_string": "x = 1\ny = 2", "new_string": "x = 1\ny = 3"}
    assert translated("apply_patch", given, CWD) == ("Edit", expected)


@pytest.mark.parametrize(
    "given",
    [
        patch("*** Update File: a.py", "@@", "-x", "+y", "@@", "-v", "+w"),
        patch("*** Update File: a.py", "@@ def f():", "-x", "+y"),
        patch("*** Update File: a.py", "*** Move to: b.py", "@@", "-x", "+y"),
        patch("*** Update File: a.py", "@@", "+only new"),
        patch("*** Delete File: a.py"),
        patch("*** Add File: a.py", "+x", "*** Add File: b.py", "+y"),
        {"input": "no patch"},
        {},
    ],
)
def test_a_patch_that_is_no_single_edit_stays_what_it_is(given: dict[str, Any]) -> None:
    assert translated("apply_patch", given, CWD) == ("apply_patch", given)
