import json
from pathlib import Path
from typing import Any

import pytest

from ccpa.cli.main import main
from ccpa.errors import CcpaError
from ccpa.fixtures import read_trace
from ccpa.trace import (
    AssistantTurn,
    SessionStart,
    ToolResult,
    ToolUseBlock,
    UserPrompt,
)
from tests.ccpa.importers.reading import EXAMPLES, only, read, read_all

FORM = "atif"
FIXTURES = Path(__file__).parents[3] / "fixtures" / "canonical"
HELLO = {"step_id": 1, "source": "user", "message": "Hello."}


def trajectory(*steps: dict[str, Any], **fields: Any) -> bytes:
    agent = {"name": "terminus-2", "version": "2"}
    top = {"schema_version": "ATIF-v1.6", "agent": agent, "steps": steps}
    return json.dumps(top | fields).encode()


def test_steps_are_prompts_answers_and_results() -> None:
    records, _ = read(FORM, EXAMPLES / "trajectory.json")
    start = only(records, SessionStart)[0]
    assert (start.actor, start.model, start.cwd) == ("codex", "gpt-5.3-codex", "/work/shop")
    assert [one.text for one in only(records, UserPrompt)] == ["What does tea cost?"]
    assert [one.turn for one in only(records, AssistantTurn)] == [1, 1, 3]


def test_tools_of_an_agent_that_is_known_have_the_traces_names() -> None:
    turn = only(read(FORM, EXAMPLES / "trajectory.json")[0], AssistantTurn)[0]
    uses = [block for block in turn.blocks if isinstance(block, ToolUseBlock)]
    assert [use.name for use in uses] == ["Bash", "spawn_agent"]


def test_tools_of_other_agents_keep_theirs() -> None:
    call = {
        "tool_call_id": "k",
        "function_name": "bash_command",
        "arguments": {"keystrokes": "ls\n"},
    }
    step = {"step_id": 2, "source": "agent", "message": "", "tool_calls": [call]}
    use = only(read(FORM, trajectory(HELLO, step))[0], AssistantTurn)[0].blocks[0]
    assert isinstance(use, ToolUseBlock)
    assert use.name == "bash_command"


def test_an_embedded_subagent_belongs_to_the_call_that_refers_to_it() -> None:
    turns = only(read(FORM, EXAMPLES / "trajectory.json")[0], AssistantTurn)
    assert [turn.parent_tool_use_id for turn in turns] == [None, "x2", None]


def test_a_result_without_an_id_is_that_of_the_only_call() -> None:
    call = {"tool_call_id": "k", "function_name": "run", "arguments": {}}
    seen = {"results": [{"content": "a.py"}]}
    step = {"source": "agent", "message": "", "tool_calls": [call], "observation": seen}
    assert only(read(FORM, trajectory(HELLO, step))[0], ToolResult)[0].content == "a.py"


def test_steps_that_no_model_call_stands_behind_are_left_out() -> None:
    copied = {"source": "agent", "message": "Old.", "is_copied_context": True}
    program = {"source": "agent", "message": "Tick.", "llm_call_count": 0}
    said = {"source": "agent", "message": "New."}
    records, notes = read(FORM, trajectory(HELLO, copied, program, said))
    assert len(only(records, AssistantTurn)) == 1
    assert sum(notes.skipped.values()) == 2


@pytest.mark.parametrize("data", [b"[]", b'{"schema_version": "ATIF-v1.6"}', b'{"steps": [{}]}'])
def test_what_is_no_trajectory_is_an_error(data: bytes) -> None:
    with pytest.raises(CcpaError, match="test: no ATIF trajectory"):
        read_all(FORM, data)


def test_what_was_exported_comes_back_as_it_was(tmp_path: Path) -> None:
    traces = sorted(FIXTURES.glob("*/teacher.ccpa-trace.jsonl"))
    exported, back = tmp_path / "all.jsonl", tmp_path / "back"
    assert main(["export", "atif", *map(str, traces), "-o", str(exported)]) == 0
    assert main(["import", "atif", str(exported), "-o", str(back), "--no-redact"]) == 0
    names = {path.name.removesuffix(".ccpa-trace.jsonl"): path for path in back.iterdir()}
    assert len(names) == len(traces) > 20
    for trace in traces:
        records = read_trace(trace)
        assert isinstance(records[0], SessionStart)
        assert read_trace(names[records[0].session_id]) == records
