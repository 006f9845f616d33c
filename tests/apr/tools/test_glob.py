import os
from pathlib import Path

import pytest

from apr.tools.base import Context
from apr.tools.errors import ToolError
from apr.tools.glob import Glob, GlobInput
from tests.apr.tools.conftest import Call


def make(root: Path, *names: str) -> None:
    """Make files, each a second older than the one before."""
    for age, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (1_000_000 - age, 1_000_000 - age))


async def test_files_are_listed_newest_first(root: Path, call: Call) -> None:
    make(root, "src/b.py", "a.py", "src/deep/c.py", "d.txt")
    assert (await call("Glob", pattern="*.py")).content == "src/b.py\na.py\nsrc/deep/c.py"
    assert (await call("Glob", pattern="src/**/*.py")).content == "src/b.py\nsrc/deep/c.py"


async def test_files_of_one_time_are_listed_by_name(root: Path, call: Call) -> None:
    make(root, "b", "c", "a")
    for name in "abc":
        os.utime(root / name, (1, 1))
    assert (await call("Glob", pattern="?")).content == "a\nb\nc"


async def test_ignored_files_and_git_are_left_out_but_dot_files_are_not(
    root: Path, call: Call
) -> None:
    make(root, ".github/x.yml", "out/x.yml", "out.log", ".git/x.yml")
    (root / ".gitignore").write_text("out/\n*.log\n")
    assert (await call("Glob", pattern="**/*.yml")).content == ".github/x.yml"
    assert (await call("Glob", pattern="*.log")).content == "[no files match]"


async def test_rules_of_folders_around_the_repository_do_not_count(root: Path, call: Call) -> None:
    make(root, "a.py", ".git/HEAD")
    (root.parent / ".gitignore").write_text("*.py\n")
    assert (await call("Glob", pattern="*.py")).content == "a.py"


async def test_what_it_prints_is_relative_to_the_project(root: Path, call: Call) -> None:
    make(root, "src/x/a.py")
    for fields in (
        {"pattern": "*.py", "path": "src"},
        {"pattern": "x/*.py", "path": "src"},
        {"pattern": f"{root}/src/**/*.py"},
        {"pattern": "src/x/a.py"},
        {"pattern": "src/x/"},
    ):
        assert (await call("Glob", fields)).content == "src/x/a.py"


async def test_a_pattern_with_a_folder_counts_from_there(root: Path, call: Call) -> None:
    make(root, "src/a.py", "src/x/a.py")
    assert (await call("Glob", pattern="src/a.py")).content == "src/a.py"


async def test_links_are_not_followed(root: Path, call: Call) -> None:
    make(root.parent, "outside/a.py")
    (root / "link").symlink_to(root.parent / "outside")
    assert (await call("Glob", pattern="*.py")).content == "[no files match]"


async def test_a_folder_outside_is_seen_as_such(context: Context) -> None:
    (context.root / "link").symlink_to("/etc")
    for given in (
        GlobInput("*", "link"),
        GlobInput("link/*"),
        GlobInput("/etc/*"),
        GlobInput("../../*"),
        GlobInput("x/../../../*"),
    ):
        (path,) = Glob().access(given, context).paths
        assert not path.is_relative_to(context.root)


async def test_a_long_list_is_cut_and_says_so(root: Path, call: Call) -> None:
    make(root, *(f"{n:03}" for n in range(103)))
    lines = (await call("Glob", pattern="*")).content.split("\n")
    assert lines[99:] == ["099", "[3 more: use a narrower pattern or path]"]


async def test_what_cannot_be_searched_is_refused(root: Path, call: Call) -> None:
    make(root, "src/a.py")
    with pytest.raises(ToolError, match=r"srcs does not exist. Did you mean src\?"):
        await call("Glob", pattern="*", path="srcs")
    with pytest.raises(ToolError, match=r"src/a.py is a file, not a folder"):
        await call("Glob", pattern="*", path="src/a.py")
    with pytest.raises(ToolError, match="the pattern is empty"):
        await call("Glob", pattern="")
