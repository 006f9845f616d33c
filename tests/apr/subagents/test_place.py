"""Worktrees: made with real git, and removed only when nothing in them would be lost."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from apr.subagents.place import WORKTREES, here
from apr.tools.base import ToolError


def git(folder: Path, *words: str) -> str:
    options = ("user.name=t", "user.email=t@example.org", "protocol.file.allow=always")
    own = [word for option in options for word in ("-c", option)]
    done = subprocess.run(
        ["git", *own, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(project: Path) -> Path:
    git(project, "init", "-q", "-b", "main")
    (project / ".gitignore").write_text("*.log\n__pycache__/\n")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "first")
    return project


def branches(repository: Path) -> list[str]:
    return git(repository, "branch", "--format=%(refname:short)").split()


async def test_without_isolation_it_is_the_project(project: Path) -> None:
    place = await here(project, isolated=False)
    assert (place.root, await place.leave()) == (project, "")


async def test_a_worktree_without_changes_leaves_nothing_behind(repository: Path) -> None:
    place = await here(repository, isolated=True)
    assert place.root.is_relative_to(repository.resolve() / WORKTREES)
    assert (place.root / "src/calc.py").is_file()
    assert git(repository, "status", "--porcelain") == ""
    assert await place.leave() == ""
    assert not place.root.exists()
    assert branches(repository) == ["main"]
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def _change(root: Path) -> None:
    (root / "src/calc.py").write_text("changed\n")


def _stage(root: Path) -> None:
    _change(root)
    git(root, "add", "-A")


def _add(root: Path) -> None:
    (root / "new.py").write_text("new\n")


def _ignore(root: Path) -> None:
    (root / "result.log").write_text("an hour's work\n")


def _commit(root: Path) -> None:
    _stage(root)
    git(root, "commit", "-qm", "second")


def _commit_elsewhere(root: Path) -> None:
    git(root, "switch", "-qc", "other")
    _commit(root)


def _commit_nowhere(root: Path) -> None:
    git(root, "checkout", "-q", "--detach")
    _commit(root)


def _delete(root: Path) -> None:
    (root / "README.md").unlink()


@pytest.mark.parametrize(
    "work", [_change, _stage, _add, _ignore, _commit, _commit_elsewhere, _commit_nowhere, _delete]
)
async def test_work_is_never_lost(repository: Path, work: object) -> None:
    place = await here(repository, isolated=True)
    assert callable(work)
    work(place.root)
    before = sorted(path for path in place.root.rglob("*") if ".git" not in path.parts)
    left = await place.leave()
    assert left == f"Worktree: {place.root}, branch {place.branch}"
    assert sorted(p for p in place.root.rglob("*") if ".git" not in p.parts) == before
    assert place.branch in branches(repository)


async def test_caches_are_no_work(repository: Path) -> None:
    place = await here(repository, isolated=True)
    (place.root / "src/__pycache__").mkdir()
    (place.root / "src/__pycache__/calc.pyc").write_bytes(b"\0")
    assert await place.leave() == ""
    assert not place.root.exists()


async def test_a_worktree_begins_at_the_commit_and_leaves_a_dirty_tree_alone(
    repository: Path,
) -> None:
    (repository / "src/calc.py").write_text("mine, not committed\n")
    (repository / "mine.txt").write_text("new\n")
    place = await here(repository, isolated=True)
    assert "def add" in (place.root / "src/calc.py").read_text()
    assert not (place.root / "mine.txt").exists()
    _change(place.root)
    await place.leave()
    assert (repository / "src/calc.py").read_text() == "mine, not committed\n"
    assert git(repository, "status", "--porcelain") == "M src/calc.py\n?? mine.txt"


async def test_a_project_in_a_part_of_the_repository_works_in_that_part(repository: Path) -> None:
    place = await here(repository / "src", isolated=True)
    assert (place.root / "calc.py").is_file()
    assert git(repository, "status", "--porcelain") == ""
    assert await place.leave() == ""
    assert branches(repository) == ["main"]


async def test_a_part_that_is_in_no_commit_is_refused(repository: Path) -> None:
    (repository / "fresh").mkdir()
    with pytest.raises(ToolError, match=r"nothing of .* is in the last commit"):
        await here(repository / "fresh", isolated=True)
    assert branches(repository) == ["main"]


async def test_without_git_or_a_commit_it_is_said(project: Path) -> None:
    with pytest.raises(ToolError, match="not a git repository"):
        await here(project, isolated=True)
    git(project, "init", "-q")
    with pytest.raises(ToolError, match="has none yet"):
        await here(project, isolated=True)


async def test_two_at_once_do_not_meet(repository: Path) -> None:
    one, two = await asyncio.gather(*(here(repository, isolated=True) for _ in range(2)))
    assert one.root != two.root
    _change(one.root)
    assert "def add" in (two.root / "src/calc.py").read_text()
    left = await asyncio.gather(one.leave(), two.leave())
    assert [bool(text) for text in left] == [True, False]


async def test_one_that_cannot_be_removed_stays_and_is_told_of(repository: Path) -> None:
    place = await here(repository, isolated=True)
    git(repository, "worktree", "lock", str(place.root))
    left = await place.leave()
    assert left.startswith(f"Worktree: {place.root}")
    assert "could not be removed" in left
    assert (place.root / "src/calc.py").is_file()


async def test_one_whose_state_cannot_be_told_stays(repository: Path) -> None:
    place = await here(repository, isolated=True)
    (place.root / ".git").write_text("broken\n")
    assert "could not be removed" in await place.leave()
    assert (place.root / "src/calc.py").is_file()


async def test_submodules_are_not_in_the_way(repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "x")
    git(repository, "submodule", "add", "-q", str(other), "sub")
    git(repository, "commit", "-qm", "with a submodule")
    place = await here(repository, isolated=True)
    assert await place.leave() == ""
    place = await here(repository, isolated=True)
    git(place.root, "submodule", "update", "-q", "--init")
    (place.root / "sub/work.txt").write_text("work\n")
    assert place.branch in await place.leave()
    assert (place.root / "sub/work.txt").is_file()


async def test_the_repositorys_hooks_do_not_run(repository: Path) -> None:
    hook = repository / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch pwned\n")
    hook.chmod(0o755)
    place = await here(repository, isolated=True)
    assert not (place.root / "pwned").exists()
    await place.leave()


@pytest.mark.parametrize("work", [_add, _ignore])
async def test_what_a_user_has_configured_hides_no_work(repository: Path, work: object) -> None:
    git(repository, "config", "status.showUntrackedFiles", "no")
    place = await here(repository, isolated=True)
    assert callable(work)
    work(place.root)
    assert place.branch in await place.leave()
    assert place.root.is_dir()


async def test_it_is_the_projects_repository_whoever_has_started_us(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "x")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    place = await here(repository, isolated=True)
    assert (place.root / "src/calc.py").is_file()
    assert await place.leave() == ""


async def test_what_a_repository_has_configured_is_not_run(repository: Path) -> None:
    git(repository, "config", "core.fsmonitor", "touch pwned; false")
    place = await here(repository, isolated=True)
    assert await place.leave() == ""
    assert not list(repository.rglob("pwned"))


async def test_one_that_nobody_waits_for_any_more_goes(repository: Path) -> None:
    coming = asyncio.create_task(here(repository, isolated=True))
    while not list(repository.glob(f"{WORKTREES}/*")) and not coming.done():
        await asyncio.sleep(0)
    coming.cancel()
    done, _ = await asyncio.wait([coming])
    if coming.cancelled():
        assert list(repository.glob(f"{WORKTREES}/*")) == []
        assert branches(repository) == ["main"]
    else:
        assert await done.pop().result().leave() == ""


async def test_what_the_user_excludes_stays_excluded(repository: Path) -> None:
    exclude = repository / ".git/info/exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("mine")  # without an end of line
    for _ in range(2):
        place = await here(repository, isolated=True)
        await place.leave()
    assert exclude.read_text() == "mine\n/.claude/worktrees/\n"
