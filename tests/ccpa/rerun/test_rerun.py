import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccpa.rerun import TOOLS, Outcome, Workbench, rerun


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    root = (tmp_path / "copy").resolve()
    (root / "src").mkdir(parents=True)
    (root / "src/a.py").write_text("one\ntwo\nthree\n")
    (root / "src/b.js").write_text("two\n")
    (root / ".hidden.py").write_text("")
    (root / ".gitignore").write_text("*.log\n")
    (root / "x.log").write_text("two\n")
    (tmp_path / "home").mkdir()
    return Workbench(root=root, cwd="/workspace", home=tmp_path / "home")


def use(bench: Workbench, tool: str, **tool_input: Any) -> Outcome:
    outcome = rerun(bench, tool, tool_input)
    assert outcome is not None
    return outcome


def lines(outcome: Outcome) -> set[str]:
    return set(outcome.lines or ())


def refused(outcome: Outcome) -> bool:
    return not outcome.ok and outcome.content.startswith("<tool_use_error>")


def test_read_numbers_the_lines_asked_for(bench: Workbench) -> None:
    assert use(bench, "Read", file_path="/workspace/src/a.py").content == "1\tone\n2\ttwo\n3\tthree"
    part = use(bench, "Read", file_path="src/a.py", offset=2, limit=1)
    assert (part.content, part.files_read) == ("2\ttwo", ("src/a.py",))
    assert refused(use(bench, "Read", file_path="/workspace/none"))
    assert refused(use(bench, "Read", file_path="/workspace/src"))


def test_what_lies_outside_cannot_be_done_again(bench: Workbench) -> None:
    (bench.root / "out").symlink_to("/etc")
    for path in ("/etc/passwd", "/workspace/../x", "/workspace/out/passwd", "/workspace-2/a"):
        assert rerun(bench, "Read", {"file_path": path}) is None
        assert rerun(bench, "Write", {"file_path": path, "content": "x"}) is None
    assert rerun(bench, "WebFetch", {"url": "https://example.com"}) is None


def test_a_file_must_be_known_as_it_is_before_it_is_changed(bench: Workbench) -> None:
    edit = {"file_path": "src/a.py", "old_string": "two", "new_string": "2"}
    assert refused(use(bench, "Edit", **edit))
    assert refused(use(bench, "Write", file_path="src/a.py", content="x"))
    use(bench, "Read", file_path="src/a.py")
    (bench.root / "src/a.py").write_text("two\n")
    assert refused(use(bench, "Edit", **edit))
    use(bench, "Read", file_path="src/a.py")
    bench.agent = "a subagent knows only what it has read itself"
    assert refused(use(bench, "Edit", **edit))
    bench.agent = None
    assert use(bench, "Edit", **edit).files_written == ("src/a.py",)
    assert (bench.root / "src/a.py").read_text() == "2\n"


def test_an_edit_needs_one_place_or_all_of_them(bench: Workbench) -> None:
    use(bench, "Write", file_path="c.txt", content="a a")
    assert refused(use(bench, "Edit", file_path="c.txt", old_string="a", new_string="b"))
    assert refused(use(bench, "Edit", file_path="c.txt", old_string="a", new_string="a"))
    use(bench, "Edit", file_path="c.txt", old_string="a", new_string="b", replace_all=True)
    assert (bench.root / "c.txt").read_text() == "b b"


def test_windows_line_ends_are_kept(bench: Workbench) -> None:
    (bench.root / "w.txt").write_bytes(b"one\r\ntwo\r\n")
    assert use(bench, "Read", file_path="w.txt").content == "1\tone\n2\ttwo"
    use(bench, "Edit", file_path="w.txt", old_string="one\ntwo", new_string="1\n2")
    assert (bench.root / "w.txt").read_bytes() == b"1\r\n2\r\n"


@pytest.mark.parametrize(
    ("pattern", "must", "may"),
    [
        ("*.py", {"src/a.py"}, {".hidden.py"}),
        ("src/*.{py,js}", {"src/a.py", "src/b.js"}, set()),
        ("/workspace/src/*.py", {"src/a.py"}, set()),
        ("*.log", set(), {"x.log"}),
        ("**/*.rs", set(), set()),
    ],
)
def test_glob_finds_what_every_agent_lists_and_what_some_do(
    bench: Workbench, pattern: str, must: set[str], may: set[str]
) -> None:
    found = use(bench, "Glob", pattern=pattern)
    assert lines(found) == {f"/workspace/{path}" for path in must}
    assert found.optional_lines == {f"/workspace/{path}" for path in may}


def test_grep_takes_the_options_of_the_tool(bench: Workbench) -> None:
    assert lines(use(bench, "Grep", pattern="two")) == {"src/a.py", "src/b.js"}
    assert lines(use(bench, "Grep", pattern="TWO")) == set()
    assert lines(use(bench, "Grep", pattern="TWO", **{"-i": True}, type="js")) == {"src/b.js"}
    content = {"pattern": "two", "path": "src/a.py", "output_mode": "content"}
    assert lines(use(bench, "Grep", **content, **{"-A": 1})) == {
        "src/a.py:2:two",
        "src/a.py-3-three",
    }
    assert lines(use(bench, "Grep", **content, **{"-n": False})) == {"src/a.py:two"}
    counted = use(bench, "Grep", pattern="o", output_mode="count", glob="*.py")
    assert lines(counted) == {"src/a.py:2"}
    assert lines(use(bench, "Grep", pattern="e$", output_mode="content", head_limit=1)) == {
        "src/a.py:1:one"
    }
    assert refused(use(bench, "Grep", pattern="("))


def test_the_shell_stays_where_a_command_left_it(bench: Workbench) -> None:
    assert use(bench, "Bash", command="cd src && pwd").content == "/workspace/src"
    assert use(bench, "Bash", command="cat /workspace/src/b.js; exit 3").content == (
        "Exit code 3\ntwo"
    )
    assert use(bench, "Bash", command="pwd; cd /").content == "/workspace/src"
    assert use(bench, "Bash", command="pwd").content == "/workspace"
    assert use(bench, "Bash", command="echo /workspace-2").content == "/workspace-2"


def test_a_command_that_takes_too_long_counts_as_143(bench: Workbench) -> None:
    outcome = use(bench, "Bash", command="echo begun; sleep 60", timeout=300)
    assert (outcome.exit_code, outcome.content) == (143, "Exit code 143\nbegun")


def test_a_background_shell_is_known_by_its_number(bench: Workbench) -> None:
    started = use(bench, "Bash", command="echo one; echo two", run_in_background=True)
    assert "bash_1" in started.content
    assert use(bench, "BashOutput", bash_id="bash_1").optional_lines == {"one", "two"}
    assert use(bench, "BashOutput", bash_id="bash_1", filter="w").optional_lines == {"two"}
    assert refused(use(bench, "KillShell", shell_id="bash_2"))


def test_a_notebooks_cells_are_replaced_inserted_and_deleted(bench: Workbench) -> None:
    def cell(source: str, name: str) -> dict[str, Any]:
        return {"cell_type": "code", "id": name, "metadata": {}, "source": source}

    path = bench.root / "n.ipynb"
    path.write_text(json.dumps({"cells": [cell("1", "a"), cell("2", "b")], "nbformat": 4}))
    use(bench, "Read", file_path="n.ipynb")
    use(bench, "NotebookEdit", notebook_path="n.ipynb", cell_id="b", new_source="two")
    use(
        bench,
        "NotebookEdit",
        notebook_path="n.ipynb",
        cell_id="a",
        new_source="x",
        cell_type="markdown",
        edit_mode="insert",
    )
    use(bench, "NotebookEdit", notebook_path="n.ipynb", edit_mode="delete", cell_id="a")
    cells = json.loads(path.read_text())["cells"]
    assert [(one["cell_type"], one["source"]) for one in cells] == [
        ("markdown", "x"),
        ("code", "two"),
    ]


_VALUES: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just([])
)
_KEYS = ["file_path", "path", "pattern", "offset", "limit", "old_string", "new_string", "content"]
_KEYS += ["notebook_path", "cell_id", "new_source", "edit_mode", "output_mode", "head_limit", "-A"]
_KEYS += ["glob", "type", "bash_id", "shell_id", "filter", "timeout"]


@settings(max_examples=150, deadline=None)
@given(
    tool=st.sampled_from(sorted(TOOLS)),
    tool_input=st.dictionaries(st.sampled_from(_KEYS), _VALUES | st.just("a"), max_size=5),
)
def test_any_input_comes_to_an_outcome(tool: str, tool_input: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve() / "copy"
        root.mkdir()
        (root / "a").write_text("[]")
        bench = Workbench(root=root, cwd="/workspace", home=root.parent)
        outcome = rerun(bench, tool, tool_input)
        assert outcome is None or outcome.content
