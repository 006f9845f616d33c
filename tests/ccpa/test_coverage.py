import ast
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ccpa import trace
from ccpa.coverage import Matrix, default_matrix, load_matrix, measure
from ccpa.errors import CcpaError
from ccpa.fixtures import Fixture, load_corpus, load_fixture
from ccpa.testreport import read_reports

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
REPOSITORY = Path(__file__).parents[2]
CANONICAL = REPOSITORY / "fixtures/canonical"


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


TESTED = '[[capability.case]]\nname = "c"\ntests = ["tests/a/test_b.py::test_c"]\n'


def report(folder: Path, *cases: str) -> Path:
    """Write what pytest writes of a run."""
    file = folder / "report.xml"
    file.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    return file


def ran(name: str, inner: str = "", module: str = "tests.a.test_b") -> str:
    return f'<testcase classname="{module}" name="{name}">{inner}</testcase>'


def test_tests_are_told_by_the_report_of_a_run_and_by_nothing_else(tmp_path: Path) -> None:
    (row,) = measure(matrix(TESTED), []).rows
    assert row.status == "not derived"
    passed = read_reports([report(tmp_path, ran("test_c"))])
    (row,) = measure(matrix(TESTED), [], passed).rows
    assert (row.status, row.cases[0].tests) == ("covered", ("tests/a/test_b.py::test_c",))


@pytest.mark.parametrize(
    "cases",
    [
        [ran("test_c", "<failure/>")],
        [ran("test_c", "<error/>")],
        [ran("test_c", "<skipped/>")],
        [ran("test_c[1]"), ran("test_c[2]", "<failure/>")],
        [ran("test_c"), ran("test_c", "<error/>")],
        [ran("test_cc")],
        [ran("test_c", module="tests.test_b")],
    ],
)
def test_a_test_that_did_not_pass_shows_nothing(tmp_path: Path, cases: list[str]) -> None:
    coverage = measure(matrix(TESTED), [], read_reports([report(tmp_path, *cases)]))
    assert coverage.rows[0].status == "uncovered"
    assert coverage.rows[0].cases[0].not_passed == ("tests/a/test_b.py::test_c",)
    assert not coverage.complete


def test_a_run_in_parts_has_several_reports(tmp_path: Path) -> None:
    parts = []
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        parts.append(report(tmp_path / str(number), ran(f"test_c[{number}]")))
    assert measure(matrix(TESTED), [], read_reports(parts)).complete


def test_what_traces_show_and_what_tests_show_are_one_row(fixture: Fixture, tmp_path: Path) -> None:
    seen = '[[capability.case]]\nname = "d"\nuse = { tool = "Read" }\n'
    (row,) = measure(matrix(TESTED + seen), [fixture]).rows
    assert row.status == "not derived"
    failed = read_reports([report(tmp_path, ran("test_c", "<failure/>"))])
    (row,) = measure(matrix(TESTED + seen), [fixture], failed).rows
    assert row.status == "partial"
    unseen = seen.replace("Read", "Glob")
    (row,) = measure(matrix(TESTED + unseen), [fixture]).rows
    assert row.status == "uncovered"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<a",
        b"\xff\xfe\x00",
        b"<testsuites/>",
        b'<!DOCTYPE x [<!ENTITY a "aa">]><testsuites>&a;</testsuites>',
        '<!DOCTYPE x [<!ENTITY a "aa">]><testsuites>&a;</testsuites>'.encode("utf-16"),
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuites/>',
        b"<testcase>" * 100_000,
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "report.xml"
    file.write_bytes(content)
    with pytest.raises(CcpaError, match=r"no report|tells of no test"):
        read_reports([file])
    with pytest.raises(CcpaError, match="cannot be read"):
        read_reports([tmp_path / "nowhere.xml"])


def test_a_report_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(CcpaError, match=r"/dev/zero: has more than [\d,]+ bytes"):
        read_reports([Path("/dev/zero")])


def test_a_real_report_of_pytest_is_read(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_x.py").write_text(
        "import pytest\n"
        "class TestY:\n    def test_a(self): pass\n"
        "@pytest.mark.parametrize('n', [1, 2])\ndef test_b(n): assert n == 1\n"
        "def test_c(): pytest.skip()\n"
        "@pytest.mark.xfail\ndef test_d(): assert False\n"
    )
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=r.xml"]
    subprocess.run(run, cwd=tmp_path, check=False, capture_output=True)
    found = read_reports([tmp_path / "r.xml"])
    names = ("TestY::test_a", "test_b", "test_c", "test_d")
    assert [found.passed(f"tests/test_x.py::{name}") for name in names] == [
        True,
        False,
        False,
        False,
    ]


def test_what_no_trace_can_show_must_not_be_declared(fixture: Fixture) -> None:
    coverage = measure(matrix(TESTED), [fixture])
    assert coverage.errors == ("a: covers 'x', which no trace can show",)


def test_a_row_that_does_not_exist_is_an_error(fixture: Fixture) -> None:
    coverage = measure(Matrix(()), [fixture])
    assert coverage.errors == ("a: covers 'x', which is no row of the matrix",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs cases"),
        ('[[capability.case]]\nname = "c"\n', "asks nothing"),
        (f'status = "covered"\n{TESTED}', "unknown field `status`"),
        (f"{TESTED}prompts = 1\n", "asks tests and a trace"),
        (TESTED.replace("::test_c", ""), "not a test"),
        (TESTED.replace("test_c", "test_c[1]"), "not a test"),
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


def test_the_canonical_fixtures_show_every_capability_that_traces_can_show() -> None:
    coverage = measure(load_matrix(default_matrix()), load_corpus(CANONICAL))
    assert coverage.errors == ()
    assert [row.id for row in coverage.rows if row.status in ("partial", "uncovered")] == []


def test_the_tests_that_the_matrix_names_are_there() -> None:
    """Whether they pass, the report of a run says; one that is called otherwise is noticed here."""
    named = [
        test
        for capability in load_matrix(default_matrix()).capability
        for case in capability.case
        for test in case.tests
    ]
    for test in named:
        file, *_, name = test.split("::")
        tree = ast.parse((REPOSITORY / file).read_text())
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        assert name in {one.name for one in ast.walk(tree) if isinstance(one, functions)}, test
