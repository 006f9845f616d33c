"""Files as they were before each prompt, so that what the tools have changed can be undone.

Kept are files that Write, Edit and NotebookEdit change, subagents' too. What commands change is not
known here, and stays.
"""

from pathlib import Path
from typing import Any

from apr.assembly import Assembled
from apr.errors import AprError
from apr.tools.base import Access, Context, Outcome, Tool
from apr.tools.errors import ToolError
from apr.tools.files import replace

MOST_BYTES = 256 * 1024 * 1024
"""Of all that is kept. Beyond it, the oldest prompts can be gone back to no more."""
_CHANGING = frozenset({"Write", "Edit", "NotebookEdit"})


class Checkpoints:
    """What is kept, by prompt."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[Path, bytes | None]] = {}
        self._size = 0

    def begin(self, prompt_id: str) -> None:
        """A prompt is worked on from now on."""
        self._kept[prompt_id] = {}

    def keep(self, path: Path) -> None:
        """Keep a file that is about to change, once for each prompt; None where there is none."""
        if not self._kept:
            return
        now = self._kept[next(reversed(self._kept))]
        if path in now:
            return
        try:
            now[path] = path.read_bytes() if path.exists() else None
        except OSError:
            return  # nor can the tool change it
        self._size += len(now[path] or b"")
        while self._size > MOST_BYTES and len(self._kept) > 1:
            oldest = self._kept.pop(next(iter(self._kept)))
            self._size -= sum(len(data or b"") for data in oldest.values())

    def before(self, prompt_id: str) -> dict[Path, bytes | None]:
        """Return the files that have changed since a prompt, as they were before it.

        Raises:
            AprError: there is no such prompt, or it is too long ago.
        """
        if prompt_id not in self._kept:
            raise AprError(f"nothing is kept of a prompt {prompt_id!r} in this session")
        prompts = list(self._kept)
        files: dict[Path, bytes | None] = {}
        for later in prompts[prompts.index(prompt_id) :]:
            files = {**self._kept[later], **files}
        return files


def restore(files: dict[Path, bytes | None]) -> None:
    """Put files back.

    Raises:
        ToolError: one cannot be written; those before it are back.
    """
    for path, data in files.items():
        try:
            if data is None:
                path.unlink(missing_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            before = path.stat() if path.exists() else None
        except OSError as error:
            raise ToolError(f"{path} cannot be put back: {error.strerror}") from None
        replace(path, str(path), data, before)


class Kept:
    """A tool that changes files, which are kept before it does."""

    def __init__(self, tool: Tool[Any], checkpoints: Checkpoints) -> None:
        self.name = tool.name
        self.description = tool.description
        self.Input = tool.Input
        self.read_only = tool.read_only
        self._tool = tool
        self._checkpoints = checkpoints

    def access(self, call: Any, context: Context) -> Access:
        """As the tool itself says."""
        return self._tool.access(call, context)

    async def run(self, call: Any, context: Context) -> Outcome:
        """Keep what the call would change, and run it."""
        for path in self.access(call, context).paths:
            self._checkpoints.keep(path)
        return await self._tool.run(call, context)


def keep_files(assembled: Assembled) -> Checkpoints:
    """Have a session keep the files that its tools change."""
    checkpoints = Checkpoints()
    for tools in (assembled.offered, assembled.known):
        for at, tool in enumerate(tools):
            if tool.name in _CHANGING:
                tools[at] = Kept(tool, checkpoints)  # type: ignore[call-overload]
    assembled.give_tools()
    return checkpoints
