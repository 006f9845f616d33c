"""Two trace files, and perhaps the files they started from, read from disk and compared."""

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from ccpa.actions import read_views
from ccpa.compare import NO_WEIGHTS, Comparison, compare

MAX_FILE_BYTES = 8 << 20  # of a starting file; an agent does not edit more than that by hand
MAX_PATH = 4096  # characters; what is longer names no file, and takes long to find that out


def compare_files(
    teacher: Path | str,
    student: Path | str,
    workspace: Path | str | None = None,
    aliases: tuple[str, ...] = (),
    weights: Mapping[str, float] = NO_WEIGHTS,
    same_files: bool | None = None,
) -> Comparison:
    """Compare two trace files.

    Args:
        teacher: the trace that is measured against.
        student: the trace that is measured.
        workspace: the directory both started from; edits are then compared by what they change.
        aliases: other absolute spellings of the working directories (a symlink to one).
        weights: how much an action counts, as in `ccpa.score.score`.
        same_files: whether the files are equal in the end, where that is known otherwise.

    Raises:
        CcpaError: a file cannot be read or is no trace.
    """
    return compare(
        read_views(teacher),
        read_views(student),
        read_file=None if workspace is None else text_reader(workspace),
        aliases=aliases,
        weights=weights,
        same_files=same_files,
    )


def text_reader(workspace: Path | str) -> Callable[[str], str | None]:
    """Return a function from a relative path to the text of that file of the workspace.

    It returns None for what is no regular UTF-8 file of moderate size, and for paths that lead out
    of the workspace, by `..` or by a link: traces are not to be trusted with the rest of the disk.
    """
    root = Path(os.path.realpath(workspace))  # unlike `resolve` it has no quarrel with loops

    @cache
    def read_text(path: str) -> str | None:
        if len(path) > MAX_PATH:
            return None
        try:
            resolved = Path(os.path.realpath(root / path))
            if not resolved.is_relative_to(root) or not resolved.is_file():
                return None
            if resolved.stat().st_size > MAX_FILE_BYTES:
                return None
            return resolved.read_bytes().decode()
        except (OSError, ValueError):  # ValueError: no UTF-8, or a NUL in the path
            return None

    return read_text
