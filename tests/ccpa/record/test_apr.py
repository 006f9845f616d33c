"""`apr code` is recorded: what is read off its wire is what it says of itself."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from ccpa.actions import decode_views
from ccpa.agents.apr import _options
from ccpa.compare import compare
from ccpa.fixtures import load_fixture, materialise, read_trace
from ccpa.scripted.adapt import Adaptation
from ccpa.scripted.script import Script
from ccpa.scripted.server import ScriptedModel
from ccpa.trace import AssistantTurn, Record, SessionStart, ToolResult, ToolUseBlock, UserPrompt
from tests.apr.program import APR
from tests.ccpa.record.recording import recorded

CANONICAL = Path("fixtures/canonical")
FIXTURES = (
    "denied-by-rule",
    "edits-that-fail-first",
    "executable-bit-and-link",
    "fix-failing-test-python",
    "large-output-is-cut",
    "parallel-calls-one-fails",
    "shell-script-with-spaces",
    "write-module-and-tests",
)

_OWN = {
    "session_start": ("session_id", "ts", "actor", "agent_version", "permission_mode"),
    "assistant_turn": ("latency_ms",),
    "tool_result": ("duration_ms", "denied_by", "content_sha256", "truncated"),
    "session_end": ("elapsed_ms", "error"),
}
"""What only the agent itself knows, and what is another one every time."""


@pytest.mark.parametrize("name", FIXTURES)
def test_the_trace_from_the_wire_is_the_one_that_the_agent_writes(
    name: str, tmp_path: Path
) -> None:
    fixture = load_fixture(CANONICAL / name)
    project = tmp_path / "project"
    materialise(fixture, project)
    teacher = read_trace(fixture.teacher_trace)
    model = ScriptedModel(
        Script.from_trace(teacher), adaptation=Adaptation(paths={"/workspace": str(project)})
    )
    prompt = next(record.text for record in teacher if isinstance(record, UserPrompt))
    own = tmp_path / "own.ccpa-trace.jsonl"
    options = [*_options(fixture.settings), "--model", "m", "--emit-trace", str(own)]
    words = [APR, "code", "--base-url", "{base_url}", *options, "--", prompt]

    _, from_wire = recorded(model, words, project)

    assert model.findings() == []
    written_by_agent = read_trace(own)
    assert normal(from_wire) == normal(written_by_agent)
    assert compare(views(written_by_agent), views(from_wire)).drifts == []


def normal(records: list[Record]) -> list[dict[str, Any]]:
    """Return records without what the wire does not show, or the agent does not say."""
    tools = {block.id: block.name for turn in turns(records) for block in uses(turn)}
    values = []
    for record in records:
        value = msgspec.to_builtins(record)
        for field in _OWN.get(value["kind"], ()):
            value.pop(field, None)
        if isinstance(record, ToolResult):
            # The wire shows no reading; apr does not look at what a shell has written.
            effects = value.pop("side_effects", {})
            is_shell = tools[record.tool_use_id] == "Bash"
            value["exit_code"] = effects.get("exit_code") or None
            value["written"] = [] if is_shell else effects.get("files_written", [])
        values.append(value)
    return values


def turns(records: list[Record]) -> list[AssistantTurn]:
    return [record for record in records if isinstance(record, AssistantTurn)]


def uses(turn: AssistantTurn) -> list[ToolUseBlock]:
    return [block for block in turn.blocks if isinstance(block, ToolUseBlock)]


def views(records: list[Record]) -> Any:
    """Return records as the meter reads them, less who denied a tool use, and a shell's effects."""
    shells = {b.id for turn in turns(records) for b in uses(turn) if b.name == "Bash"}
    lines = []
    for record in records:
        if isinstance(record, ToolResult):
            effects = None if record.tool_use_id in shells else record.side_effects
            record = msgspec.structs.replace(record, denied_by=None, side_effects=effects)
        lines.append(msgspec.json.encode(record))
    return decode_views(b"\n".join(lines))


def test_the_trace_says_where_the_session_ran(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.txt").write_text("a")
    words = [APR, "code", "--base-url", "{base_url}", "say nothing"]
    done, records = recorded(ScriptedModel([]), words, project)
    start = records[0]
    assert isinstance(start, SessionStart)
    assert (start.actor, start.cwd) == ("an-agent", str(project))
    assert done.status == 1
