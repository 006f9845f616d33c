import json
from typing import Any

import pytest

from ccpa.errors import CcpaError
from ccpa.trace import AssistantTurn, SessionEnd, SessionStart, ToolResult, ToolUseBlock, UserPrompt
from tests.ccpa.importers.reading import EXAMPLES, only, read, read_all

FORM = "mini-swe-agent"


def trajectory(*messages: dict[str, Any], **info: Any) -> bytes:
    return json.dumps({"info": info, "messages": messages}).encode()


def test_a_trajectory_with_tool_calls() -> None:
    records, notes = read(FORM, EXAMPLES / "mini.traj.json")
    start = only(records, SessionStart)[0]
    assert (start.actor, start.agent_version) == ("mini-swe-agent", "2.4.6")
    assert (start.model, start.cwd) == ("qwen3-coder", "/work/shop")
    uses = [
        b for t in only(records, AssistantTurn) for b in t.blocks if isinstance(b, ToolUseBlock)
    ]
    assert [(use.name, use.id) for use in uses] == [("Bash", "m1"), ("Bash", "m2")]
    end = only(records, SessionEnd)[0]
    assert (end.stop_reason, end.cost_usd) == ("end_turn", 0.02)
    assert notes.marked == {"tool use without a result": 1}  # the one that submitted


def test_commands_that_the_model_wrote_as_text_are_tool_uses() -> None:
    said = "THOUGHT: look.\n\n```bash\nls -la\n```"
    told = "<returncode>2</returncode>\n<output>\nno such directory\n</output>"
    data = trajectory(
        {"role": "system", "content": "…"},
        {"role": "user", "content": "List it."},
        {"role": "assistant", "content": said},
        {"role": "user", "content": told},
        exit_status="LimitsExceeded",
    )
    records, _ = read(FORM, data)
    use = only(records, AssistantTurn)[0].blocks[1]
    assert isinstance(use, ToolUseBlock)
    assert (use.name, use.input) == ("Bash", {"command": "ls -la"})
    result = only(records, ToolResult)[0]
    assert result.side_effects is not None
    assert (result.ok, result.side_effects.exit_code) == (False, 2)
    assert only(records, SessionEnd)[0].error == "LimitsExceeded"


def test_an_answer_with_two_blocks_of_commands_ran_none() -> None:
    said = "```bash\nls\n```\n```bash\npwd\n```"
    data = trajectory(
        {"role": "user", "content": "List it."},
        {"role": "assistant", "content": said},
        {"role": "user", "content": "Write exactly one block."},
    )
    records, _ = read(FORM, data)
    assert only(records, ToolResult) == []
    assert len(only(records, UserPrompt)) == 2


def test_several_actions_are_answered_in_order() -> None:
    actions = [{"command": "ls"}, {"command": "pwd"}]
    data = trajectory(
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": "Both.", "extra": {"actions": actions}},
        {"role": "user", "content": "a.py", "extra": {"returncode": 0}},
        {"role": "user", "content": "/work", "extra": {"returncode": 0}},
    )
    assert [one.content for one in only(read(FORM, data)[0], ToolResult)] == ["a.py", "/work"]


def test_turns_of_the_responses_api_are_read_too() -> None:
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "function_call", "name": "bash", "call_id": "c", "arguments": '{"command":"ls"}'},
    ]
    data = trajectory(
        {"role": "user", "content": "Look."},
        {"object": "response", "output": output, "usage": {"input_tokens": 9, "output_tokens": 2}},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": "a.py",
            "extra": {"returncode": 0},
        },
    )
    records, _ = read(FORM, data)
    assert only(records, ToolResult)[0].content == "a.py"
    assert only(records, AssistantTurn)[0].usage is not None


def test_the_messages_alone_are_a_trajectory_too() -> None:
    data = json.dumps([{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Ho."}])
    assert len(read(FORM, data.encode())[0]) == 3


def test_a_session_that_was_still_running_has_no_end() -> None:
    data = trajectory({"role": "user", "content": "Look."}, {"role": "assistant", "content": "?"})
    assert only(read(FORM, data)[0], SessionEnd) == []


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"messages": 3}'])
def test_what_is_no_trajectory_is_an_error(data: bytes) -> None:
    with pytest.raises(CcpaError, match=r"^test: "):
        read_all(FORM, data)
