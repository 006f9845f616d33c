"""`apr memory`, as a user runs it."""

import json
from pathlib import Path

from tests.apr.program import apr


def test_what_is_loaded_is_listed_with_its_size_and_where_it_is_from(
    home: Path, project: Path
) -> None:
    (project / "CLAUDE.md").write_text("Use tabs. @more.md @gone.md\n")
    (project / "more.md").write_text("x" * 400)
    (project / "src/AGENTS.md").write_text("src only")
    done = apr("memory", home=home, cwd=project)
    assert done.returncode == 0
    assert f"project    ~100  {project}/more.md    imported by {project}/CLAUDE.md" in done.stdout
    assert "src only" not in done.stdout
    assert "it imports gone.md, which is not there" in done.stderr
    done = apr("memory", "--json", "--touch", "src/calc.py", home=home, cwd=project)
    files = json.loads(done.stdout)["files"]
    assert [Path(one["path"]).name for one in files] == ["CLAUDE.md", "more.md", "AGENTS.md"]
    assert files[1]["tokens"] == 100
    assert "src only" in apr("memory", "--text", "--touch", "src/x", home=home, cwd=project).stdout


def test_the_budget_is_the_users_to_set(home: Path, project: Path) -> None:
    (project / "CLAUDE.md").write_text("line\n" * 100)
    done = apr("config", "set", "apr.memoryBudget", "50", home=home, cwd=project)
    assert done.returncode == 0
    done = apr("memory", home=home, cwd=project)
    assert "50 of 500 characters" in done.stderr
    assert "cut from 500 to 50 characters" in done.stdout


def test_nothing_to_show_is_said(home: Path, project: Path) -> None:
    done = apr("memory", home=home, cwd=project)
    assert (done.returncode, done.stdout) == (0, "")
    assert "no instruction files" in done.stderr
