"""The list of a project's files: what is on it, and what is not."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from apr.terminal import file_index
from apr.terminal.file_index import FileIndex, sound


def listed(root: Path, *hidden: str) -> set[str]:
    index = FileIndex(root, hidden)
    index.refresh()
    wait()
    assert index.complete
    return set(index.names.names)


def wait() -> None:
    for thread in threading.enumerate():
        if thread.name == "file index":
            thread.join()


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")


def test_files_and_the_directories_they_are_in(project: Path) -> None:
    assert listed(project) == {"README.md", "src/", "src/calc.py"}


def test_what_git_ignores_is_left_out_in_a_repository_and_outside(project: Path) -> None:
    put(project, "build/out.o", "src/a.log", "src/.env.example", ".git/config")
    (project / ".gitignore").write_text("build/\n")
    (project / "src/.gitignore").write_text("*.log\n")
    expected = {"README.md", ".gitignore", "src/", "src/calc.py", "src/.gitignore"}
    expected.add("src/.env.example")
    assert listed(project) == expected
    (project / ".git/config").unlink()
    (project / ".git").rmdir()
    subprocess.run(["git", "init", "-q", project], check=True)
    assert listed(project) == expected


def test_what_must_not_be_read_is_left_out(project: Path) -> None:
    put(project, "secrets/key.pem", "src/.env")
    assert listed(project, "/secrets/**", "**/.env") == {"README.md", "src/", "src/calc.py"}


def test_names_that_a_terminal_cannot_show_are_left_out(project: Path) -> None:
    put(project, "esc\x1b[2Jape", "new\nline", "tab\tbed", "right\u202eleft", "c1\x9bcontrol")
    Path(os.fsdecode(os.fsencode(project) + b"/latin\xff")).write_text("x")
    put(project, "über", "family 👨\u200d👩\u200d👧.png", "日本語.md")
    assert listed(project) == {
        "README.md",
        "src/",
        "src/calc.py",
        "über",
        "family 👨\u200d👩\u200d👧.png",
        "日本語.md",
    }


def test_what_goes_round_in_a_circle_or_is_closed_does_no_harm(project: Path) -> None:
    (project / "loop").symlink_to(project)
    closed = project / "closed"
    put(closed, "x")
    closed.chmod(0)
    os.mkfifo(project / "pipe")
    try:
        names = listed(project)
    finally:
        closed.chmod(0o700)
    assert {"README.md", "src/", "src/calc.py"} <= names
    assert not any(name.startswith("loop") for name in names)


def test_a_project_that_is_gone_has_no_files(tmp_path: Path) -> None:
    assert listed(tmp_path / "gone") == set()


def test_no_more_names_are_kept_than_there_is_room_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(project, *(f"many/{n}" for n in range(300)))
    monkeypatch.setattr(file_index, "MOST", 100)
    assert len(listed(project)) == 100


def test_what_is_new_is_found_when_the_list_is_old(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = FileIndex(project)
    index.refresh()
    wait()
    put(project, "new.py")
    index.refresh()
    wait()
    assert "new.py" not in index.names.names
    monkeypatch.setattr(file_index, "_FRESH_S", -1.0)
    index.refresh()
    wait()
    assert "new.py" in index.names.names


@pytest.mark.parametrize("name", ["\x1b", "a\u2066b", "\udcff", "\n", "\x7f", "\u2028", "\ufeff"])
def test_a_name_is_not_sound(name: str) -> None:
    assert not sound(name)
