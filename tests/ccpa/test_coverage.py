from pathlib import Path

import msgspec
import pytest

from ccpa import trace
from ccpa.coverage import Matrix, default_matrix, load_matrix, measure
from ccpa.errors import CcpaError
from ccpa.fixtures import Fixture, load_corpus, load_fixture

ROWS = {
    "slash-commands",
    "claude-md-memory",
    "hooks",
    "skills",
    "subagent-spawn",
    "worktree-isolation",
    "custom-agents",
    "mcp-client",
    "permission-modes",
    "builtin-tools-rwegs",
    "builtin-tools-web",
    "builtin-tool-notebook",
    "builtin-tool-monitor",
    "session-management",
    "configuration-ladder",
    "plugins-marketplace",
    "ide-integrations",
    "non-interactive-mode",
    "keyboard-shortcuts",
    "status-line",
    "managed-org-policy",
}
CANONICAL = Path(__file__).parents[2] / "fixtures/canonical"


def matrix(text: str) -> Matrix:
    head = '[[capability]]\nid = "x"\ntitle = "X"\n'
    return msgspec.toml.decode(head + text, type=Matrix)


@pytest.fixture
def fixture(tmp_path: Path) -> Fixture:
    """A fixture that reads a file, fails to edit it, and lets a subagent write one."""
    (tmp_path / "a/workspace").mkdir(parents=True)
    (tmp_path / "a/workspace/CLAUDE.md").write_text("Run `make check` and `make lint`.\n")
    (tmp_path / "a/fixture.toml").write_text('id = "a"\ncovers = ["x"]\ndescription = "d"\n')
    agent = trace.ToolUseBlock(id="t3", name="Agent", input={"subagent_type": "Explore"})
    records: list[trace.Record] = [
        trace.UserPrompt(v=1, turn=0, text="please run make lint"),
        turn(1, trace.ToolUseBlock(id="t1", name="Read", input={"file_path": "/w/a", "limit": 5})),
        trace.ToolResult(v=1, turn=2, tool_use_id="t1", ok=True, content="1\tx"),
        turn(3, trace.ToolUseBlock(id="t2", name="Edit", input={"replace_all": True})),
        trace.ToolResult(v=1, turn=4, tool_use_id="t2", ok=False, content="no"),
        turn(5, agent),
        turn(1, trace.TextBlock(text="done"), parent="t3"),
        trace.ToolResult(v=1, turn=6, tool_use_id="t3", ok=True, content="done"),
        turn(7, trace.ToolUseBlock(id="t4", name="Bash", input={"command": "make check"})),
        trace.ToolResult(v=1, turn=8, tool_use_id="t4", ok=False, content="x", denied_by="mode"),
    ]
    lines = b"".join(trace.encode(record) for record in records)
    (tmp_path / "a/teacher.ccpa-trace.jsonl").write_bytes(lines)
    return load_fixture(tmp_path / "a")


def turn(number: int, block: trace.Block, *, parent: str | None = None) -> trace.AssistantTurn:
    return trace.AssistantTurn(
        v=1, turn=number, blocks=[block], stop_reason="tool_use", parent_tool_use_id=parent
    )


@pytest.mark.parametrize(
    ("case", "shown"),
    [
        ('use = { tool = "Read" }', True),
        ('use = { tool = "Rea" }', False),
        ('use = { tool = "Read", input = { limit = "5" } }', True),
        ('use = { tool = "Read", input = { limit = "50" } }', False),
        ('use = { tool = "Read", input = { offset = ".*" } }', False),
        ('use = { tool = "Read", ok = false }', False),
        ('use = { tool = "Edit" }', False),
        ('use = { tool = "Edit", ok = false, input = { replace_all = "true" } }', True),
        ('use = { tool = "Bash", ok = false }', False),
        ('use = { tool = "Agent", subagent = true }', True),
        ('use = { tool = "Read", subagent = true }', False),
        ('use = { tool = "Read", file = "CLAUDE.md" }', True),
        ('use = { tool = "Agent", file = "agents/{subagent_type}.md" }', False),
        ('use = { tool = "Agent", file = "../fixture.toml" }', False),
        ('records = [{ kind = "tool_result", denied_by = "mode" }]', True),
        ('records = [{ kind = "tool_result", denied_by = "mode", ok = "true" }]', False),
        ('records = [{ kind = "user_prompt" }, { kind = "hook_event" }]', False),
        ('records = [{ kind = "user_prompt" }]\nprompts = 1', True),
        ('records = [{ kind = "user_prompt" }]\nprompts = 2', False),
        ('records = [{ kind = "user_prompt" }]\nmanaged = true', False),
        ('records = [{ kind = "user_prompt" }]\nfiles = { "CLAUDE.md" = "make" }', True),
        ('records = [{ kind = "user_prompt" }]\nfiles = { "CLAUDE.md" = "^make" }', False),
        ('quotes = "CLAUDE.md"', True),
        ('quotes = "NOTES.md"', False),
    ],
)
def test_a_case_is_shown_by_the_trace_or_not(fixture: Fixture, case: str, shown: bool) -> None:
    coverage = measure(matrix(f'[[capability.case]]\nname = "c"\n{case}\n'), [fixture])
    (row,) = coverage.rows
    assert row.cases[0].fixtures == (("a",) if shown else ())
    assert row.status == ("covered" if shown else "uncovered")
    assert coverage.complete is shown


def test_what_the_prompt_says_is_not_from_memory(fixture: Fixture) -> None:
    assert fixture.workspace is not None
    (fixture.workspace / "CLAUDE.md").write_text("Run `make lint`.\n")
    coverage = measure(matrix('[[capability.case]]\nname = "c"\nquotes = "CLAUDE.md"\n'), [fixture])
    assert not coverage.complete


def test_a_declaration_that_the_trace_does_not_bear_out_is_an_error(fixture: Fixture) -> None:
    asked = '[[capability.case]]\nname = "c"\nuse = { tool = "Glob" }\n'
    other = '[[capability.case]]\nname = "d"\nuse = { tool = "Read" }\n'
    coverage = measure(matrix(asked), [fixture])
    assert coverage.errors == ("a: covers 'x', but its trace does not show it",)
    coverage = measure(matrix(asked + other), [fixture])
    assert coverage.errors == ()
    assert (coverage.rows[0].status, coverage.complete) == ("partial", False)


def test_what_no_trace_can_show_need_not_be_covered_and_must_not_be_declared(
    fixture: Fixture,
) -> None:
    unobservable = matrix('unobservable = "It is drawn."\n')
    assert measure(unobservable, []).complete
    coverage = measure(unobservable, [fixture])
    assert coverage.errors == ("a: covers 'x', which no trace can show",)


def test_a_row_that_does_not_exist_is_an_error(fixture: Fixture) -> None:
    coverage = measure(Matrix(()), [fixture])
    assert coverage.errors == ("a: covers 'x', which is no row of the matrix",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs cases, or `unobservable`"),
        ('[[capability.case]]\nname = "c"\n', "asks nothing of the trace"),
        ('status = "covered"\nunobservable = "x"\n', "unknown field `status`"),
    ],
)
def test_a_matrix_that_could_not_fail_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "matrix.toml"
    path.write_text('[[capability]]\nid = "x"\ntitle = "X"\n' + text)
    with pytest.raises(CcpaError, match=r"matrix\.toml: ") as caught:
        load_matrix(path)
    assert message in str(caught.value)


def test_the_matrix_has_its_21_rows() -> None:
    rows = load_matrix(default_matrix()).capability
    assert {row.id for row in rows} == ROWS
    assert len(rows) == 21


def test_the_canonical_fixtures_show_every_observable_capability() -> None:
    coverage = measure(load_matrix(default_matrix()), load_corpus(CANONICAL))
    assert coverage.errors == ()
    assert [row.id for row in coverage.rows if row.status in ("partial", "uncovered")] == []
