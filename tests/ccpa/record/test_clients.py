"""Agents on the public clients of the wires, recorded from start to end."""

import sys
from pathlib import Path

import pytest

from ccpa.scripted.script import Script
from ccpa.scripted.server import ScriptedModel
from ccpa.trace import (
    AssistantTurn,
    SessionEnd,
    SessionStart,
    SideEffects,
    TextBlock,
    ToolResult,
    ToolUseBlock,
    Usage,
    UserPrompt,
)
from ccpa.workspace import tree_id
from tests.ccpa.record.recording import recorded

PROMPT = "Make it so"
MAKE = ToolUseBlock("t1", "Write", {"file_path": "made.txt", "content": "so\n"})
FAIL = ToolUseBlock("t2", "Bash", {"command": "echo bad; exit 1"})
WORK = ToolUseBlock("t3", "Bash", {"command": "cat made.txt; rm old.txt; mkdir d; touch d/new"})
USAGE = Usage(input_tokens=70, output_tokens=9, cache_read_tokens=60)
SAID = [
    AssistantTurn(
        v=1, turn=1, blocks=[TextBlock("I make it."), MAKE], stop_reason="tool_use", usage=USAGE
    ),
    AssistantTurn(v=1, turn=3, blocks=[FAIL], stop_reason="tool_use", usage=USAGE),
    AssistantTurn(v=1, turn=5, blocks=[WORK], stop_reason="tool_use", usage=USAGE),
    AssistantTurn(v=1, turn=7, blocks=[TextBlock("So.")], stop_reason="end_turn", usage=USAGE),
]


@pytest.mark.parametrize(
    "words",
    [
        ("messages_agent", PROMPT),
        ("responses_agent", PROMPT),
        ("responses_agent", PROMPT, "--whole", "--stored"),
    ],
    ids=" ".join,
)
def test_an_agent_is_recorded_from_start_to_end(words: tuple[str, ...], tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "old.txt").write_text("old")
    before = tree_id(project)
    model = ScriptedModel(Script.from_trace([UserPrompt(v=1, turn=0, text=PROMPT), *SAID]))
    agent = f"import sys; sys.path.insert(0, {str(Path.cwd())!r}); sys.argv = {list(words)}\n"
    agent += f"from tests.ccpa.record.{words[0]} import main; main()"

    done, records = recorded(model, [sys.executable, "-c", agent, PROMPT], project)

    assert (done.status, model.findings()) == (0, [])
    start, prompt, *middle, end = records
    assert isinstance(start, SessionStart)
    assert (start.model, start.cwd_sha256) == ("m", before)
    assert prompt == UserPrompt(v=1, turn=0, text=PROMPT)
    assert isinstance(end, SessionEnd)
    assert (end.stop_reason, end.tokens_in, end.tokens_out) == ("end_turn", 280, 36)
    assert end.cwd_sha256_after == tree_id(project) != before
    turns = [record for record in middle if isinstance(record, AssistantTurn)]
    assert [(t.turn, t.blocks, t.stop_reason, t.usage) for t in turns] == [
        (t.turn, t.blocks, t.stop_reason, t.usage) for t in SAID
    ]
    made, failed, worked = (record for record in middle if isinstance(record, ToolResult))
    assert (made.ok, made.side_effects) == (True, SideEffects(files_written=["made.txt"]))
    assert not failed.ok
    assert "bad" in failed.content
    assert (worked.ok, worked.content) == (True, "so\n")
    assert worked.side_effects == SideEffects(files_written=["d/new", "old.txt"])
