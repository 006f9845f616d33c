"""What a directory holds, for somebody who types a path into it."""

import os
from itertools import islice
from pathlib import Path

from apr.terminal.file_index import sound

_LOOKED_AT = 20_000
"""Entries of a directory that are looked at."""


def beginning(typed: str, base: Path) -> list[str]:
    """Return the paths that begin like `typed`, in order; directories end in `/`.

    Hidden ones are named only where a dot has been typed.

    Args:
        typed: a path, as far as it is known; `~` is the home directory.
        base: what it is relative to.
    """
    folder, slash, begun = typed.rpartition("/")
    try:
        place = base / Path(folder + slash).expanduser()
        with os.scandir(place) as listing:
            entries = list(islice(listing, _LOOKED_AT))
    except (OSError, RuntimeError, ValueError):  # none, closed to us; no such ~user; a NUL
        return []
    fitting = [
        entry
        for entry in entries
        if entry.name.casefold().startswith(begun.casefold())
        and (begun.startswith(".") or not entry.name.startswith("."))
        and sound(entry.name)
    ]
    fitting.sort(key=lambda entry: (not entry.name.startswith(begun), entry.name))
    return [f"{folder}{slash}{entry.name}{'/' * _is_directory(entry)}" for entry in fitting]


def _is_directory(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads round in a circle
        return False
