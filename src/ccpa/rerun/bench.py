"""The copy of a workspace on which tool uses are done again, and what their session remembers."""

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import Any

from msgspec import Struct, field


class RefusedError(Exception):
    """The tool would have refused the input before doing anything."""


class OutsideError(Exception):
    """A path leads out of the workspace: what is there is not known."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What a tool use comes to. Paths are relative to the workspace."""

    ok: bool = True
    content: str
    exit_code: int | None = None
    files_read: tuple[str, ...] = ()
    files_written: tuple[str, ...] = ()
    exact: bool = False
    """The content is the file's or the command's own; otherwise its words are the tool's affair."""
    lines: frozenset[str] | None = None
    """The answer as a set, where the order and the words around it are the tool's own affair."""
    optional_lines: frozenset[str] = frozenset()
    """What may stand in the answer too: files that one implementation skips and another lists."""


class Workbench(Struct, kw_only=True):
    """The copy at `root` (resolved) stands for the session's directory `cwd`."""

    root: Path
    cwd: str
    home: Path
    """Where commands find their home and temporary directory: outside `root`."""
    agent: str | None = None
    """Whose tool use it is: None for the session, a tool-use id for a subagent."""
    resumed: bool = False
    """The session began elsewhere, so what it has read before is not known."""
    directories: dict[str | None, Path] = field(default_factory=dict)
    """Where each agent's shell is, where it is not at the root."""
    background: dict[str, str] = field(default_factory=dict)
    seen: dict[tuple[str | None, Path], bytes] = field(default_factory=dict)

    def path(self, tool_input: dict[str, Any], key: str, default: str | None = None) -> Path:
        """Return the place in the copy that an input's path stands for.

        Raises:
            RefusedError: the input has no such path.
            OutsideError: it is not in the workspace.
        """
        value = tool_input.get(key, default)
        if not isinstance(value, str) or not value:
            raise RefusedError(f"{key} is missing.")
        posix = PurePosixPath(self.cwd) / value
        if not posix.is_relative_to(self.cwd):
            raise OutsideError(value)
        path = self.root / posix.relative_to(self.cwd)
        if not path.resolve().is_relative_to(self.root):
            raise OutsideError(value)
        return path

    def name(self, path: Path) -> str:
        """Return a path in the copy relative to the workspace."""
        return path.relative_to(self.root).as_posix()

    def named(self, path: Path) -> str:
        """Return a path in the copy as the session would have seen it: absolute."""
        return str(PurePosixPath(self.cwd) / self.name(path))

    def note(self, path: Path) -> None:
        """Remember that the agent knows the file as it is now."""
        self.seen[self.agent, path.resolve()] = _digest(path)

    def require_seen(self, path: Path) -> None:
        """Refuse to change a file that the agent has not read, or not as it is now.

        Raises:
            RefusedError: it must be read first.
        """
        known = self.seen.get((self.agent, path.resolve()))
        if known is None and not self.resumed:
            raise RefusedError(f"{self.named(path)} has not been read yet. Read it first.")
        if known is not None and known != _digest(path):
            raise RefusedError(f"{self.named(path)} has changed since it was read. Read it again.")

    def to_copy(self, text: str) -> str:
        """Put the copy's path in place of the session's directory."""
        pattern = rf"(?<![\w.-]){re.escape(self.cwd)}(?![\w-])"  # not in `/workspace-2`
        return re.sub(pattern, lambda _: str(self.root), text)

    def to_session(self, text: str) -> str:
        """Put the session's directory in place of the copy's path."""
        return text.replace(str(self.root), self.cwd)


def whole_number(tool_input: dict[str, Any], key: str, default: int) -> int:
    """Return an input that must be a number, not below 0; `default` where it is absent or 0.

    Raises:
        RefusedError: it is something else.
    """
    value = tool_input.get(key) or default
    if not isinstance(value, int | float) or not 0 <= value < 1 << 53:
        raise RefusedError(f"{key} must be a number, not below 0.")
    return int(value)


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
