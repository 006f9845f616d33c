"""The text of a file that somebody else may have made."""

import os
import stat
from pathlib import Path

_LARGEST = 1 << 20
_ENTRIES = 2000
"""Files and folders that are looked at for rules; a link can lead to a whole disk."""


class Unreadable(Exception):
    """Not a text that can be given to a model; the message says why."""


def text_of(path: Path) -> str:
    """Return the text of a regular file of a sane size.

    Raises:
        OSError: it cannot be opened.
        Unreadable: it is something else, too large, or not UTF-8.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable("it is not a file")
        content = stream.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise Unreadable(f"it is larger than {_LARGEST:,} bytes")
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
    if "\0" in text:
        raise Unreadable("it is not text")
    return text.replace("\r\n", "\n")


def markdown_in(folder: Path) -> list[Path]:
    """Return the Markdown files in a folder and in those within it, sorted; links are followed."""
    found: list[Path] = []
    seen: set[str] = set()
    todo, looked_at = [folder], 0
    while todo and looked_at < _ENTRIES:
        place = todo.pop()
        real = os.path.realpath(place)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = list(place.iterdir())
        except OSError:
            continue
        looked_at += len(entries)
        todo += [path for path in entries if path.is_dir()]
        found += [path for path in entries if path.suffix == ".md" and not path.is_dir()]
    return sorted(found)
