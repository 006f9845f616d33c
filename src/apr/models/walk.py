"""A look into folders that may hold anything.

It is bounded, follows no circle of links, touches nothing but regular files, and says what it could
not see.
"""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

MOST_ENTRIES = 20_000
"""Directory entries that are looked at in one place."""
DEEPEST = 8
"""Folders below a place that are still looked into."""


class Walk:
    """One look round in and below `path`, which ends after so many directory entries.

    Args:
        path: the folder.
        within: what links must not lead out of; None where they may lead anywhere.
    """

    def __init__(self, path: Path, within: Path | None) -> None:
        self.path = path
        self.within = within and (_resolved(within) or within)
        self.left = MOST_ENTRIES
        self.trouble: list[str] = []
        """What could not be seen, in words."""
        self.closed = self.leads_out(path)
        if self.closed:
            self._note(f"it is a link that leads out of {within}")

    def entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """Return what is in a folder, in order; nothing where it cannot be read."""
        found: list[os.DirEntry[str]] = []
        if self.closed:
            return found
        try:
            with os.scandir(folder) as scan:
                for entry in scan:
                    if self.left <= 0:
                        self._note(f"only the first {MOST_ENTRIES:,} entries were looked at")
                        break
                    self.left -= 1
                    found.append(entry)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            self._note(f"{folder}: {error.strerror}")
        return sorted(found, key=lambda entry: entry.name)

    def folders(self, folder: Path) -> Iterator[Path]:
        """Yield the folders in a folder."""
        for entry in self.entries(folder):
            if self._enters(entry):
                yield Path(entry.path)

    def files(self, folder: Path, suffix: str = "") -> Iterator[Path]:
        """Yield the regular files in and below a folder whose names end so."""
        waiting, seen = [(folder, 0)], set()
        while waiting:
            here, depth = waiting.pop()
            try:
                status = here.stat()
            except OSError:
                continue
            if (status.st_dev, status.st_ino) in seen:  # a link in a circle
                continue
            seen.add((status.st_dev, status.st_ino))
            for entry in self.entries(here):
                if entry.name.lower().endswith(suffix) and holds(entry.is_file):
                    yield Path(entry.path)
                elif depth < DEEPEST and self._enters(entry):
                    waiting.append((Path(entry.path), depth + 1))

    def leads_out(self, path: Path) -> bool:
        """Whether the path is a link, or behind one, that leads out of `within`."""
        if self.within is None:
            return False
        target = _resolved(path)
        return target is None or not target.is_relative_to(self.within)

    def _enters(self, entry: os.DirEntry[str]) -> bool:
        """Whether an entry is a folder that may be looked into."""
        if not holds(entry.is_dir):
            return False
        if entry.is_symlink() and self.leads_out(Path(entry.path)):
            self._note(f"{entry.path} is a link that leads out of it")
            return False
        return True

    def _note(self, text: str) -> None:
        if text not in self.trouble:
            self.trouble.append(text)


def small_text(path: Path, limit: int) -> str | None:
    """Return what is in a small regular file, stripped; None where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            return None
        try:
            return file.read(limit).decode().strip()
        except (OSError, UnicodeDecodeError):
            return None


def holds(test: Callable[[], bool]) -> bool:
    """Whether a path is what `test` asks; one that cannot be looked at is not."""
    try:
        return test()
    except OSError:
        return False


def _resolved(path: Path) -> Path | None:
    """Return where a path leads; None where that is a circle."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return None
