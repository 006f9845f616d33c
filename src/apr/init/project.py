"""A project as `apr init` looks at it: the names of its files, and the text of a few of them.

It may be anybody's. What is read is bounded, is text, and lies in the project, links followed. What
comes out of a file and goes into `APR.md` is a word that can stand in a command, or is quoted.
"""

import os
import re
import tomllib
from functools import cached_property
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from apr.memory.reading import Unreadable, text_of
from apr.tools.listing import listed

_MOST = 100_000
"""Files that are counted."""
_WORD = re.compile(r"[A-Za-z0-9_@][\w@./:+-]{0,79}", re.ASCII)
_LONGEST = 160

Data = dict[str, Any]


class Project:
    """A directory, and what is in it.

    Args:
        root: the project, or a part of it that has a manifest of its own.
        whole: the project that it is a part of.
    """

    def __init__(self, root: Path, whole: "Project | None" = None) -> None:
        self.root = root
        self.whole = whole or self

    @property
    def place(self) -> str:
        """Where it is in the whole: `` or `frontend/`."""
        if self.whole is self:
            return ""
        return f"{self.root.relative_to(self.whole.root).as_posix()}/"

    @cached_property
    def files(self) -> list[PurePosixPath]:
        """The files that git does not ignore, relative to the root, sorted."""
        if self.whole is not self:
            inside = (path for path in self.whole.files if path.is_relative_to(self.place))
            return [path.relative_to(self.place) for path in inside]
        found: list[str] = []
        for names in listed(self.root):
            found += names
            if len(found) >= _MOST:
                break
        return sorted(map(PurePosixPath, found[:_MOST]))

    @cached_property
    def top(self) -> frozenset[str]:
        """The names of the files that lie in the root itself, those that are links too."""
        try:
            names = os.listdir(self.root)  # noqa: PTH208 - names alone
        except OSError:
            return frozenset()
        # Path.is_file() would fail of a link that leads nowhere we may look.
        return frozenset(name for name in names if os.path.isfile(self.root / name))  # noqa: PTH113

    def text(self, name: str) -> str:
        """Return the text of a file; empty where there is none that can be read."""
        try:
            path = Path(os.path.realpath(self.root / name))
            return text_of(path) if path.is_relative_to(self.whole.root) else ""
        except (OSError, ValueError, Unreadable):
            return ""

    def toml(self, name: str) -> Data:
        """Return what a TOML file says; nothing where it is none."""
        try:
            return tomllib.loads(self.text(name))
        except (tomllib.TOMLDecodeError, RecursionError):
            return {}

    def json(self, name: str) -> Data:
        """Return what a JSON file says; nothing where it is none."""
        try:
            return msgspec.json.decode(self.text(name), type=Data)
        except (msgspec.MsgspecError, RecursionError):
            return {}


def table(data: object, *keys: str) -> Data:
    """Return the table at a path of keys; an empty one where there is none."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def words(values: object) -> list[str]:
    """Return those of a list's strings, or of a table's keys, that can stand in a command."""
    listed = values if isinstance(values, list | dict) else []
    return [one for one in listed if isinstance(one, str) and is_word(one)]


def is_word(text: str) -> bool:
    """Whether a name can stand in a command as it is."""
    return _WORD.fullmatch(text) is not None


def quoted(value: object) -> str:
    """Return what a file says, on one line, as code: neither Markdown nor an import in it counts.

    Empty where it says nothing that can be shown.
    """
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return ""
    text = " ".join("".join(char if char.isprintable() else " " for char in str(value)).split())
    text = text.replace("`", "'")
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 1]}…"
    return f"`{text}`" if text else ""


def parts(project: Project, manifests: frozenset[str], most: int) -> list[Project]:
    """Return the directories up to two levels down that have a manifest, the first ones."""
    found = {
        path.parent
        for path in project.files
        if path.name in manifests and 1 <= len(path.parts) - 1 <= 2 and not _aside(path.parent)
    }
    tops = [one for one in sorted(found) if not found.intersection(one.parents[:-1])]
    return [Project(project.root / one, project) for one in tops[:most]]


def _aside(directory: PurePosixPath) -> bool:
    """Whether a directory holds what the project is tested or shown with, or is somebody else's."""
    return any(part.startswith(".") or part.casefold() in _ASIDE for part in directory.parts)


_ASIDE = frozenset(
    chain(
        ("test", "tests", "testdata", "fixtures", "examples", "example", "samples", "demo"),
        ("vendor", "third_party", "third-party", "thirdparty", "external", "deps", "node_modules"),
        ("templates", "template", "benchmarks", "bench", "docs", "doc", "contrib"),
    )
)
