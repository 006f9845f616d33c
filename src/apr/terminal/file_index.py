"""The names of a project's files, listed in the background and kept fresh, for completion.

`rg` lists them, with the rules that Glob has: what `.gitignore` names is left out, and what a rule
forbids to read. A thread takes in what it prints. Nothing is listed before somebody asks.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from apr.terminal.file_search import Catalogue
from apr.tools.errors import ToolError
from apr.tools.listing import listed

MOST = 200_000
"""Names that are kept at most: about 100 MB."""
_FRESH_S = 5.0
"""Age at which names are listed anew, when somebody asks for them."""
_SHOWN_FIRST = 1000
"""Names after which what there is can be searched; then each time that it has become four times."""


class FileIndex:
    """What files and directories a project has, as far as is known.

    Args:
        root: the project.
        hidden: patterns of files that must not be read.
    """

    def __init__(self, root: Path, hidden: Sequence[str] = ()) -> None:
        self._root = root
        self._hidden = tuple(hidden)
        self._listed_at = float("-inf")
        self._thread: threading.Thread | None = None
        self.names = Catalogue()
        """Those that can be searched now. It is replaced, never changed."""

    @property
    def complete(self) -> bool:
        """Whether all there is has been listed, however long ago."""
        return self._listed_at > 0

    def refresh(self) -> None:
        """Begin to list the names where that was not done lately; return at once."""
        if self._thread is not None and self._thread.is_alive():
            return
        if time.monotonic() - self._listed_at > _FRESH_S:
            self._thread = threading.Thread(target=self._list, name="file index", daemon=True)
            self._thread.start()

    def _list(self) -> None:
        import rapidfuzz.distance.LCSseq
        import rapidfuzz.process  # noqa: F401 - 50 ms, which the first search need not wait

        found: list[str] = []
        show_at = _SHOWN_FIRST
        with suppress(OSError, ToolError):  # no `rg`, or the project is gone: nothing is completed
            for names in _named(self._root, self._hidden):
                found += names
                if len(found) >= MOST:
                    del found[MOST:]
                    break
                if len(found) >= show_at and not self.complete:
                    self.names = Catalogue(found)
                    show_at = 4 * len(found)
        self.names = Catalogue(found)
        self._listed_at = time.monotonic()


def sound(name: str) -> bool:
    """Whether a terminal can show a name as it is.

    Control characters, marks that turn the direction of text round, and bytes that are no UTF-8 are
    not shown, so a name with one of them would look like another.
    """
    return name.replace("\u200d", "").isprintable()  # that one joins the parts of an emoji


def _named(root: Path, hidden: Sequence[str]) -> Iterator[list[str]]:
    """Yield the names of files, and of the directories they are in, as they are found."""
    directories: set[str] = set()
    for files in listed(root, hidden):
        names = [name for name in files if sound(name)]
        for name in names[:]:
            end = name.rfind("/") + 1
            while end and (directory := name[:end]) not in directories:
                directories.add(directory)
                names.append(directory)
                end = name.rfind("/", 0, end - 1) + 1
        yield names
