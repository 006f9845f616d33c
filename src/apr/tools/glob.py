"""Glob: files by the pattern of their path, newest first."""

import os
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from apr.tools import globs, ripgrep
from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError
from apr.tools.paths import kind, not_found, resolve, show

FILES = 100
"""Files listed."""


class GlobInput(Struct, forbid_unknown_fields=True):
    """What Glob takes."""

    pattern: str
    path: Annotated[str, Meta(description="Folder to search; default: the project")] | None = None


class Glob:
    """Lists the files whose path matches, without those that `.gitignore` names."""

    name: ClassVar[str] = "Glob"
    description: ClassVar[str] = (
        'Find files by name, newest first. Patterns: "*.py" (any folder), "src/**/*.{ts,tsx}".'
    )
    Input = GlobInput
    read_only: ClassVar[bool] = True

    def access(self, call: GlobInput, context: Context) -> Access:
        """Read the folder that the search begins in."""
        return Access(kind="read", paths=(_folder(call, context),))

    async def run(self, call: GlobInput, context: Context) -> Outcome:
        """List them."""
        folder = _folder(call, context)
        name = call.path or globs.split(call.pattern)[0]
        what = kind(folder, name)
        if what is None:
            raise not_found(name, folder, context.root, context.cwd)
        if what != "a directory":
            raise ToolError(f"{name} is {what}, not a folder.")
        inside = globs.split(call.pattern)[1]
        expression = globs.compiled(inside, anywhere="/" not in call.pattern)
        found = await _files(folder, context)
        matching = [folder / file for file in found.lines if expression.fullmatch(file)]
        if not matching:
            return Outcome(content="[no files match]")
        shown = [show(file, context.root) for file in _newest_first(matching)]
        notes = []
        if len(shown) > FILES:
            notes.append(f"[{len(shown) - FILES:,} more: use a narrower pattern or path]")
        if found.cut:
            notes.append("[there are too many files to look at all of them: use a narrower path]")
        return Outcome(content="\n".join([*shown[:FILES], *notes]))


async def _files(folder: Path, context: Context) -> ripgrep.Found:
    """List the files below a folder, relative to it. What is hidden is hidden from the root on."""
    if folder == context.root or not folder.is_relative_to(context.root):
        return await ripgrep.search(["--files", *ripgrep.without(context.hidden)], folder=folder)
    below = folder.relative_to(context.root)
    arguments = ["--files", *ripgrep.without(context.hidden), "--", str(below)]
    found = await ripgrep.search(arguments, folder=context.root)
    lines = [file.removeprefix(f"{below}/") for file in found.lines]
    return ripgrep.Found(lines, found.cut, found.unreadable)


def _folder(call: GlobInput, context: Context) -> Path:
    """Return where to search. A pattern may begin with a folder, even an absolute one."""
    if not call.pattern:
        raise ToolError("the pattern is empty")
    base = resolve(call.path or ".", context.root)
    return resolve(globs.split(call.pattern)[0] or ".", base)


def _newest_first(files: list[Path]) -> list[Path]:
    return sorted(files, key=lambda file: (-_modified(file), str(file)))


def _modified(file: Path) -> int:
    try:
        return os.lstat(file).st_mtime_ns
    except (OSError, ValueError):  # gone since it was listed, or its name is no text
        return 0
