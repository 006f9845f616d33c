"""The files of a session where the tools find them, kept before they are changed."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from apr.agent.events import Event
from apr.subagents.place import WORKTREES
from apr.tools.files import Snapshot, Storage
from ccpa.trace import AssistantTurn, HookEvent

if TYPE_CHECKING:
    from apr.sessions.checkpoints import Checkpoints

_AFTER_A_TOOL = frozenset({"PostToolUse", "PostToolUseFailure"})


class Keeping:
    """A `Storage` whose files are kept; see there. A subagent's worktree is none of the project's.

    It is also a sink of the session's events: what a hook makes of a file behind the tool that
    wrote it, as one that formats it does, counts as the tool's doing.

    Args:
        storage: where the files are.
        checkpoints: returns what keeps them. It is asked when there is something to keep.
        root: the project.
    """

    def __init__(
        self, storage: Storage, checkpoints: "Callable[[], Checkpoints]", root: Path
    ) -> None:
        self._begin = checkpoints
        self._storage = storage
        self._apart = root / WORKTREES
        self._missing: dict[Path, Path] = {}
        """By a file that was not there, the outermost folder that was not there either."""
        self._written: set[Path] = set()
        """Since the last answer of a model."""

    @cached_property
    def checkpoints(self) -> "Checkpoints":
        """What keeps the files."""
        return self._begin()

    async def look(self, path: Path, name: str) -> Snapshot:
        """Return the file as it is now."""
        self._missing.pop(path, None)  # a folder may have come since
        try:
            return await self._storage.look(path, name)
        except FileNotFoundError:
            from apr.sessions.checkpoints import outermost_missing

            if (folder := outermost_missing(path)) is not None:
                self._missing[path] = folder
            raise

    async def replace(self, path: Path, name: str, data: bytes, before: Snapshot | None) -> None:
        """Keep the file, and make `data` its content."""
        if path.is_relative_to(self._apart):
            await self._storage.replace(path, name, data, before)
            return
        self.checkpoints.keep(path, made=self._missing.pop(path, None))
        unsaved = None
        try:
            await self._storage.replace(path, name, data, before)
            unsaved = before.data if before is not None and before.unsaved else None
        finally:
            self.checkpoints.left(path, unsaved=unsaved)
            self._written.add(path)

    def __call__(self, event: Event) -> None:
        """Look again at what was written, where a hook came after a tool."""
        if isinstance(event, HookEvent) and event.event in _AFTER_A_TOOL:
            for path in self._written:
                self.checkpoints.left(path)
        elif isinstance(event, AssistantTurn):
            self._written.clear()

    def close(self) -> None:
        """The run is over."""
        if "checkpoints" in vars(self):  # something was kept
            self.checkpoints.close()
