"""`apr init` as a process."""

from pathlib import Path

from tests.apr.program import apr


def test_it_is_shown_and_then_written_once(home: Path, project: Path) -> None:
    shown = apr("init", "--stdout", home=home, cwd=project)
    assert shown.returncode == 0
    assert "Written in Python." in shown.stdout
    assert not (project / "APR.md").exists()
    wrote = apr("init", "-C", project, home=home, cwd=home)
    assert wrote.returncode == 0
    assert (project / "APR.md").read_text() == shown.stdout
    again = apr("init", home=home, cwd=project)
    assert (again.returncode, again.stdout) == (2, "")
    assert "--force" in again.stderr
    assert apr("init", "--force", home=home, cwd=project).returncode == 0


def test_where_nothing_is_there_nothing_is_written(home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = apr("init", home=home, cwd=tmp_path / "empty")
    assert ran.returncode == 2
    assert "nothing in" in ran.stderr
    assert not (tmp_path / "empty/APR.md").exists()
