"""Paths as a model gives them, and paths as a model is shown them.

A relative path is relative to the project's root, wherever Bash has gone to: so a path means one
thing all session long, and what Glob and Grep print can be given to Read as it is.
"""

import os
import stat
from pathlib import Path

from apr.tools.errors import ToolError

_SIBLINGS = 2000
"""Names of a directory looked at for one that was perhaps meant."""
_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


def resolve(name: str, root: Path) -> Path:
    """Return the absolute path that `name` stands for, symbolic links followed. It need not exist.

    Raises:
        ToolError: no path can be called that.
    """
    if not name:
        raise ToolError("the path is empty")
    try:
        return Path(os.path.realpath(root / os.path.expanduser(name)))  # noqa: PTH111
    except (ValueError, OSError) as error:  # a NUL, a lone surrogate
        raise ToolError(f"{name!r} cannot be a path: {error}") from None


def show(path: Path, root: Path) -> str:
    """Return the path as a model should see it: relative to the root where it is inside."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def explain(error: OSError, name: str) -> ToolError:
    """Return what to tell the model when the system refuses a path."""
    return ToolError(f"{name}: {(error.strerror or str(error)).lower()}")


def not_found(name: str, path: Path, root: Path, cwd: Path) -> ToolError:
    """Return what to tell the model about a path that does not exist: what it may have meant."""
    message = f"{name} does not exist."
    there = Path(os.path.realpath(cwd / name))
    if cwd != root and os.access(there, os.F_OK):
        return ToolError(
            f"{message} Paths are relative to the project's root. Did you mean {show(there, root)}?"
        )
    if close := _similar(path):
        return ToolError(f"{message} Did you mean {show(path.with_name(close), root)}?")
    return ToolError(f"{message} Find files with Glob.")


def kind(path: Path, name: str) -> str | None:
    """Say what there is: `a file`, `a directory`, `a named pipe`...; None where there is nothing.

    Raises:
        ToolError: the system does not tell.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise explain(error, name) from None
    return _KINDS.get(stat.S_IFMT(mode), "a device")


def _similar(path: Path) -> str | None:
    from difflib import get_close_matches
    from itertools import islice

    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, _SIBLINGS)]
    except OSError:
        return None
    close = get_close_matches(path.name, sorted(names), n=1)
    return close[0] if close else None
