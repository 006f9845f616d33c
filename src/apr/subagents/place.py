"""Where a subagent works: in the project, or in a git worktree of its own.

A worktree is removed only when nothing in it would be lost: no changed, new or ignored file, no
commit. Where that cannot be told, it stays.
"""

import asyncio
import os
from pathlib import Path

from msgspec import Struct

from apr.tools.errors import ToolError

WORKTREES = ".claude/worktrees"

# What programs make anew. Anything else that git ignores may be somebody's work.
_CACHES = frozenset(
    {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "node_modules"}
)

# Where we were started by a hook of git's, these say that any git is about that repository.
_ELSEWHERE = frozenset(
    {
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_WORK_TREE",
    }
)


class Place(Struct, frozen=True, kw_only=True):
    """A directory to work in."""

    root: Path
    project: Path
    worktree: Path | None = None
    """The worktree that is for this subagent alone; `root` is in it as the project in its own."""
    branch: str = ""
    start: str = ""
    """The commit it began at."""

    async def leave(self) -> str:
        """Give the place back; return what the chief must know of what was left there."""
        if self.worktree is None:
            return ""
        kept = f"Worktree: {self.root}, branch {self.branch}"
        try:
            if await self._holds_work(self.worktree):
                return kept
            await _git(self.project, "worktree", "remove", str(self.worktree))
        except ToolError as error:
            return f"{kept}\nIt stays, for it could not be removed: {error}"
        try:
            await _git(self.project, "branch", "--quiet", "-d", self.branch)
        except ToolError as error:
            return f"The branch {self.branch} stays: {error}"
        return ""

    async def _holds_work(self, worktree: Path) -> bool:
        changed = await _git(
            worktree,
            *("status", "--porcelain", "-z", "--ignored"),
            *("--untracked-files=normal", "--ignore-submodules=none"),  # whatever is configured
        )
        lines = [line for line in changed.split("\0") if line]
        if any(not line.startswith("!! ") or not _is_cache(line[3:]) for line in lines):
            return True
        tips = await _git(worktree, "rev-parse", "HEAD", f"refs/heads/{self.branch}")
        return set(tips.split()) != {self.start}


async def here(root: Path, *, isolated: bool) -> Place:
    """Return the project itself, or a new worktree of it.

    Raises:
        ToolError: the project is no git repository, has no commit, or git fails.
    """
    if not isolated:
        return Place(root=root, project=root)
    inner = await _git(root, "rev-parse", "--show-prefix")
    try:
        start = await _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    except ToolError:
        raise ToolError(f"a worktree begins with a commit, and {root} has none yet") from None
    name = f"agent-{os.urandom(4).hex()}"
    worktree = (root / WORKTREES).resolve() / name
    branch = f"worktree-{name}"
    await _exclude(root, inner)
    adding = asyncio.ensure_future(
        _git(root, "worktree", "add", "-q", "-b", branch, str(worktree), start)
    )
    place = Place(
        root=worktree / inner, project=root, worktree=worktree, branch=branch, start=start
    )
    try:
        await asyncio.shield(adding)
    except asyncio.CancelledError:  # nobody will work there: it goes when it has come
        await asyncio.wait([adding])
        await place.leave()
        raise
    if not place.root.is_dir():
        await place.leave()
        raise ToolError(f"nothing of {root} is in the last commit, so a worktree would be empty")
    return place


def _is_cache(path: str) -> bool:
    return not _CACHES.isdisjoint(Path(path).parts)


async def _exclude(root: Path, inner: str) -> None:
    """Keep the worktrees out of the project's own status, for this clone alone."""
    folder = Path(await _git(root, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    file = folder / "info" / "exclude"
    line = f"/{inner}{WORKTREES}/"
    known = file.read_text(errors="replace") if file.is_file() else ""
    if line not in known.splitlines():
        file.parent.mkdir(exist_ok=True)
        with file.open("a") as out:
            out.write(f"{line}\n" if known.endswith("\n") or not known else f"\n{line}\n")


async def _git(folder: Path, *words: str) -> str:
    """Run git; return what it printed.

    Raises:
        ToolError: it failed; the message has its own words.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
            *words,
            cwd=folder,
            env={name: value for name, value in os.environ.items() if name not in _ELSEWHERE},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us: half a removal would be worse than none
        )
    except OSError as error:
        raise ToolError(f"git cannot be run in {folder}: {error.strerror}") from None
    out, err = await process.communicate()
    if process.returncode:
        said = err.decode(errors="replace").strip() or f"exit code {process.returncode}"
        raise ToolError(f"git {words[0]} failed in {folder}: {said}")
    return out.decode(errors="replace").removesuffix("\n")
