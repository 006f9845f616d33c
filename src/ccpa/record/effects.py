"""Which tool use changed which file: what differs on disk, told to the calls that were open.

Nothing on the wire says what a tool did to files, so the working tree is looked at whenever a
request arrives, and what differs since the last look was done by the tool uses that were waiting
for their results:

- by the only one, if there was only one;
- else by the one whose input names the file, as a path or in a patch;
- else by the only one that names no path at all, which is what a shell command looks like.

What fits none of these is told to nobody.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ccpa.importers.codex_tools import patched_files
from ccpa.paths import Root, relative
from ccpa.trace import ToolUseBlock
from ccpa.workspace import Changes

_PATHS = frozenset({"file_path", "path", "notebook_path", "filePath", "absolute_path", "filename"})
"""Inputs that name a file, in the words of several agents."""
_PATCH = "*** Begin Patch"


def changed(changes: Changes) -> list[str]:
    """Return the paths that differ, in order; bytes that are no UTF-8 as replacement characters."""
    paths = sorted({*changes.added, *changes.removed, *changes.changed})
    return [path.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for path in paths]


def told_to(
    paths: list[str], uses: Mapping[str, ToolUseBlock], root: Root
) -> tuple[dict[str, list[str]], list[str]]:
    """Divide changed files among open tool uses.

    Args:
        paths: relative to the working directory.
        uses: the open tool uses by their ids.
        root: the working directory.

    Returns:
        The paths that each use has written, by its id, and those that cannot be told to any.
    """
    named = {use: _named(block, root) for use, block in uses.items()}
    nameless = [use for use, names in named.items() if not names]
    written: dict[str, list[str]] = {}
    left: list[str] = []
    for path in paths:
        fitting = [use for use, names in named.items() if path in names] or nameless
        if len(uses) == 1:
            fitting = list(uses)
        if len(fitting) == 1:
            written.setdefault(fitting[0], []).append(path)
        else:
            left.append(path)
    return written, left


def _named(block: ToolUseBlock, root: Root) -> set[str]:
    return {relative(path, root) for path in _paths("", block.input)}


def _paths(key: str, value: Any) -> Iterator[str]:
    match value:
        case str() if key in _PATHS and value:
            yield value
        case str() if _PATCH in value:
            yield from patched_files(value)
        case dict():
            for name, member in value.items():
                yield from _paths(name, member)
        case list():
            for member in value:
                yield from _paths(key, member)
