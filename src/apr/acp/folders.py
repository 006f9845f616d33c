"""The folders of a session by two names: resolved, as we call them, and as the editor does."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Folders:
    """The session's folders.

    Args:
        named: the folders as the editor calls them: absolute, perhaps through links. The first is
            the project.
    """

    def __init__(self, named: Sequence[str]) -> None:
        self._named = [(Path(name).resolve(), Path(name)) for name in named]

    @property
    def root(self) -> Path:
        """The project."""
        return self._named[0][0]

    def shown(self, path: Path) -> str | None:
        """Return what the editor calls a file; None for one that is in none of its folders."""
        for resolved, named in self._named:
            if path.is_relative_to(resolved):
                return str(named / path.relative_to(resolved))
        return None

    def place(self, path: Path) -> str:
        """Return what the editor is to call any file, in its folders or not."""
        return self.shown(path) or str(path)


def path_of(uri: str) -> str | None:
    """Return the path that a `file:` URI names; None for any other URI, or what is none."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        return None
    return unquote(parts.path)
