"""The files of a session where the tools find them, kept before they are changed."""

from pathlib import Path

from apr.agent.events import Event
from apr.sessions.checkpoints import Checkpoints, outermost_missing
from apr.subagents.place import WORKTREES
from apr.tools.files import Snapshot, Storage
from ccpa.trace import AssistantTurn, HookEvent

_AFTER_A_TOOL = frozenset({"PostToolUse", "PostToolUseFailure"})


class Keeping:
    """A `Storage` whose files are kept; see there. A subagent's worktree is none of the project's.

    It is also a sink of the session's events: what a hook makes of a file behind the tool that
    wrote it, as one that formats it does, counts as the tool's doing.

    Args:
        storage: where the files are.
        checkpoints: keeps them.
        root: the project.
    """

    def __init__(self, storage: Storage, checkpoints: Checkpoints, root: Path) -> None:
        self.checkpoints = checkpoints
        self._storage = storage
        self._apart = root / WORKTREES
        self._missing: dict[Path, Path] = {}
        """By a file that was not there, the outermost folder that was not there either."""
        self._written: set[Path] = set()
        """Since the last answer of a model."""

    async def look(self, path: Path, name: str) -> Snapshot:
        """Return the file as it is now."""
        self._missing.pop(path, None)  # a folder may have come since
        try:
            return await self._storage.look(path, name)
        except FileNotFoundError:
            if (folder := outermost_missing(path)) is not None:
                self._missing[path] = folder
            raise

    async def replace(self, path: Path, name: str, data: bytes, before: Snapshot | None) -> None:
        """Keep the file, and make `data` its content."""
        if path.is_relative_to(self._apart):
            await self._storage.replace(path, name, data, before)
            return
        self.checkpoints.keep(path, made=self._missing.pop(path, None))
        try:
            await self._storage.replace(path, name, data, before)
        finally:
            self.checkpoints.left(path)
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
        self.checkpoints.close()
