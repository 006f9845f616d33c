"""When do two paths of two sessions name the same file of the project?

Agents differ in how they write paths, and runs differ in where the project lies. A path is
therefore compared by where it leads from the session's working directory. Nothing here looks at a
disk: what a session's root is also called comes from the caller.
"""

import re
from functools import lru_cache

from msgspec import Struct

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_PRIVATE = re.compile(r"/private(?=/(?:tmp|var|etc)(?:/|$))")


class Root(Struct, frozen=True):
    """Where a session ran.

    Args:
        cwd: its working directory, absolute, or None where the trace does not say.
        aliases: other absolute spellings of the same directory (a symlink to it).
        fold_case: the file system takes `A` and `a` for one name.
    """

    cwd: str | None = None
    aliases: tuple[str, ...] = ()
    fold_case: bool = False

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every absolute spelling of the root, longest first: the most exact one is found first."""
        known = {*self.aliases, self.cwd} - {None, ""}
        return tuple(sorted((str(p) for p in known), key=lambda p: (-len(p), p)))


def is_windows(path: str | None) -> bool:
    """Tell whether the path names a drive: such a session ran on Windows, where case is nothing."""
    return path is not None and _DRIVE.match(path) is not None


@lru_cache(maxsize=1 << 14)
def relative(path: str, root: Root) -> str:
    """Return the path as it leads from the root: `src/a.py`, `.`, or absolute where it leaves it.

    `./`, `//`, `..` and a trailing `/` are resolved as text. A relative path that climbs out of a
    known root becomes absolute, so that it is the same file as its absolute spelling. On macOS
    `/tmp`, `/var` and `/etc` are symlinks into `/private`; both spellings are one.
    """
    windows = is_windows(root.cwd)
    here = _normal(path, windows)
    if root.cwd is not None and here.split("/", 1)[0] == "..":
        here = _normal(f"{root.cwd}/{here}", windows)
    for spelling in root.spellings:
        inside = _below(here, _normal(spelling, windows), root.fold_case)
        if inside is not None:
            here = inside
            break
    return here.casefold() if root.fold_case else here


def _below(path: str, base: str, fold_case: bool) -> str | None:
    left, right = (path.casefold(), base.casefold()) if fold_case else (path, base)
    if left == right:
        return "."
    prefix = right if right.endswith("/") else right + "/"
    return path[len(prefix) :] if left.startswith(prefix) else None


def _normal(path: str, windows: bool) -> str:
    if windows:
        path = path.replace("\\", "/")
    absolute = path.startswith("/")
    parts: list[str] = []
    for part in path.split("/"):
        if part in {"", "."}:
            continue
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part != ".." or not absolute:
            parts.append(part)
    joined = "/".join(parts)
    if absolute:
        return _PRIVATE.sub("", "/" + joined, count=1)
    return joined or "."
