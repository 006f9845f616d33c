from pathlib import Path

import pytest

from ccpa.checks import run_checks
from ccpa.fixtures import Check, Fixture, Settings, Setup


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "README.md").write_text("one\ntwo\n")
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/hidden.sh").write_text('grep -q "$1" README.md')
    return workspace


def outcome(workspace: Path, check: Check, final_text: str = "") -> tuple[bool, str]:
    fixture = Fixture(
        directory=workspace.parent,
        kind="canonical",
        id="a",
        covers=(),
        description="",
        teacher_source=None,
        settings=Settings(),
        setup=Setup(),
        checks=(check,),
        expect=(),
    )
    (result,) = run_checks(fixture, workspace, final_text)
    return result.passed, result.detail


def test_a_command_must_succeed_in_the_workspace(workspace: Path) -> None:
    assert outcome(workspace, Check(command="test -f README.md")) == (True, "")
    assert outcome(workspace, Check(command="echo no; exit 3")) == (False, "exit 3\nno\n")


def test_a_hidden_test_lies_beside_the_workspace(workspace: Path) -> None:
    assert outcome(workspace, Check(command='bash "$CHECKS/hidden.sh" one'))[0]
    assert not outcome(workspace, Check(command='bash "$CHECKS/hidden.sh" three'))[0]


def test_a_command_sees_nothing_of_the_callers_environment(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    assert outcome(workspace, Check(command='test -z "$SECRET" && test "$HOME" != ~root'))[0]


def test_a_command_that_hangs_is_stopped_with_its_children(workspace: Path) -> None:
    check = Check(command="sleep 600 & echo $! > pid; wait", timeout_s=0.5)
    assert outcome(workspace, check) == (False, "not finished after 0.5 s")
    child = Path("/proc", (workspace / "pid").read_text().strip(), "stat")
    assert not child.exists() or child.read_text().split()[2] == "Z"


def test_a_background_process_does_not_keep_a_check_waiting(workspace: Path) -> None:
    assert outcome(workspace, Check(command="sleep 600 &"))[0]


def test_a_pattern_is_searched_in_a_file(workspace: Path) -> None:
    assert outcome(workspace, Check(file="README.md"))[0]
    assert outcome(workspace, Check(file="README.md", pattern="^two$"))[0]
    assert outcome(workspace, Check(file="README.md", pattern="three")) == (
        False,
        "'three' is not in README.md",
    )
    assert outcome(workspace, Check(file="x")) == (False, "x: No such file or directory")


def test_a_file_outside_the_workspace_is_not_read(workspace: Path) -> None:
    (workspace / "link").symlink_to("/etc/passwd")
    for file in ("../checks/hidden.sh", "/etc/passwd", "link"):
        assert outcome(workspace, Check(file=file)) == (False, f"{file} leads out of the workspace")


def test_a_pattern_is_searched_in_the_last_words(workspace: Path) -> None:
    assert outcome(workspace, Check(final_text="(?i)done"), "All Done.")[0]
    assert outcome(workspace, Check(final_text="done"), "no") == (False, "last words: no")
