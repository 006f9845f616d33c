"""Where a subagent works: in the project, or in a git worktree of its own.

A worktree is removed only when nothing in it would be lost: no changed or new file, no commit.
"""

import asyncio
import os
from pathlib import Path

from msgspec import Struct

from apr.tools.errors import ToolError

WORKTREES = ".claude/worktrees"


class Place(Struct, frozen=True, kw_only=True):
    """A directory to work in."""

    root: Path
    own: bool = False
    """Whether it is a worktree for this subagent alone."""
    project: Path
    branch: str = ""
    start: str = ""
    """The commit it began at."""

    async def leave(self) -> str:
        """Give the place back; return what the chief must know of what was left there."""
        if not self.own:
            return ""
        changed = await _git(self.root, "status", "--porcelain", "--ignored=no")
        commit = await _git(self.root, "rev-parse", "HEAD")
        if changed or commit != self.start:
            return f"Worktree: {self.root}, branch {self.branch}"
        await _git(self.project, "worktree", "remove", str(self.root))
        await _git(self.project, "branch", "--delete", self.branch)
        return ""


async def here(root: Path, *, isolated: bool) -> Place:
    """Return the project itself, or a new worktree of it.

    Raises:
        ToolError: the project is no git repository, or git fails.
    """
    if not isolated:
        return Place(root=root, project=root)
    name = f"agent-{os.urandom(4).hex()}"
    path = root / WORKTREES / name
    branch = f"worktree-{name}"
    await _exclude(root)
    start = await _git(root, "rev-parse", "HEAD")
    await _git(root, "worktree", "add", "-q", "-b", branch, str(path), start)
    return Place(root=path.resolve(), own=True, project=root, branch=branch, start=start)


async def _exclude(root: Path) -> None:
    """Keep the worktrees out of the project's own status, for this clone alone."""
    folder = Path(await _git(root, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    file = folder / "info" / "exclude"
    line = f"/{WORKTREES}/"
    known = file.read_text().splitlines() if file.is_file() else []
    if line not in known:
        file.parent.mkdir(exist_ok=True)
        with file.open("a") as out:
            out.write(f"{line}\n")


async def _git(folder: Path, *words: str) -> str:
    """Run git; return what it printed.

    Raises:
        ToolError: it failed; the message has its own words.
    """
    process = await asyncio.create_subprocess_exec(
        "git",
        "-c",
        "core.hooksPath=/dev/null",
        *words,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode:
        said = err.decode(errors="replace").strip() or f"exit code {process.returncode}"
        raise ToolError(f"git {words[0]} failed in {folder}: {said}")
    return out.decode(errors="replace").strip()
