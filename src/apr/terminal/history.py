"""The prompts of a project that were typed before, in this session and in others.

A line of the file is one of them, as JSON. It is added to the end by a single write, so that
sessions that run at once lose nothing of each other's. What was pasted stands in files of its own,
named by their content: it can be called up whole, and what is read at the start stays small.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from prompt_toolkit.history import History

from apr.home import beside, private_directory
from apr.legible import legible
from apr.sessions.places import prepare
from apr.terminal.chips import MARK, Chip, Chips, Pasted, Picture

DAYS = 30
"""How long what was pasted is kept that nobody has used."""
GONE = "[what was pasted is no longer kept]"
_READ = 1 << 20
"""Bytes of the file's end that are read: some thousands of prompts."""
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

_Name = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
"""A file's name: the SHA-256 of what is in it."""


class KeptText(Struct, frozen=True, tag_field="kind", tag="text"):
    """A pasted text in a line."""

    file: _Name
    lines: int
    characters: int


class KeptPicture(Struct, frozen=True, tag_field="kind", tag="picture"):
    """A picture in a line."""

    file: _Name
    media_type: str


class Entry(Struct, frozen=True):
    """A line that was typed, in pieces."""

    project: str
    """Where: projects of different names may share a folder, `/a/b` and `/a-b`."""
    line: tuple[str | KeptText | KeptPicture, ...]


class PromptHistory(History):
    """The prompts of a project.

    Args:
        root: the project.
        chips: what stands in a line for what was pasted.
        warn: told once, if they cannot be kept.
        keeps: whether those that are added now are there for later sessions.
    """

    def __init__(
        self, root: Path, chips: Chips, warn: Callable[[str], None], *, keeps: bool = True
    ) -> None:
        super().__init__()
        self._root = root
        self._project = legible(str(root))
        self._chips = chips
        self._keeps = keeps
        self._warn: Callable[[str], None] | None = warn

    def load_history_strings(self) -> Iterable[str]:
        """Return the prompts, the last first."""
        try:
            folder = self._folder()
            lines = _end_of(folder / "history").splitlines()
        except OSError as error:
            self._tell(error)
            return
        decoder = msgspec.json.Decoder(Entry)
        for written in reversed(lines):
            try:
                entry = decoder.decode(written)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # cut short by a full disk, or not ours
            if entry.project == self._project:
                yield "".join(self._called_up(entry, folder / "pasted"))

    def store_string(self, string: str) -> None:
        """Keep a prompt."""
        if not self._keeps:
            return
        try:
            folder = self._folder()
            line = tuple(
                legible(piece) if chip is None else _keep(chip, folder / "pasted")
                for piece, chip in self._chips.parts(string)
            )
            _append(folder / "history", msgspec.json.encode(Entry(self._project, line)))
        except OSError as error:
            self._tell(error)

    def forget(self, days: int) -> None:
        """Remove what was pasted more than so many days ago, and not called up since."""
        before = time.time() - days * 86_400
        with contextlib.suppress(OSError):
            for path in (self._folder() / "pasted").iterdir():
                if path.lstat().st_mtime < before:
                    path.unlink()

    def _folder(self) -> Path:
        return prepare(self._root)

    def _tell(self, error: OSError) -> None:
        if self._warn is not None:
            self._warn(f"prompts are not kept for later: {error}")
            self._warn = None

    def _called_up(self, entry: Entry, folder: Path) -> Iterator[str]:
        for piece in entry.line:
            if isinstance(piece, str):
                yield MARK.sub("\ufffd", piece)
            elif not (path := folder / piece.file).is_file():
                yield GONE
            elif isinstance(piece, KeptPicture):
                yield self._chips.add(Picture(media_type=piece.media_type, content=path))
            else:
                chip = Pasted(lines=piece.lines, characters=piece.characters, content=path)
                yield self._chips.add(chip)


def _keep(chip: Chip, folder: Path) -> KeptText | KeptPicture:
    """Put what was pasted into a file, if it is not in one already, and return what names it."""
    content = chip.content
    if isinstance(content, Path):
        os.utime(content)  # in use: it is kept on
        name = content.name
    else:
        data = content if isinstance(content, bytes) else legible(content).encode()
        name = hashlib.sha256(data).hexdigest()
        _write(private_directory(folder) / name, data)
    if isinstance(chip, Picture):
        return KeptPicture(name, chip.media_type)
    return KeptText(name, chip.lines, chip.characters)


def _write(path: Path, data: bytes) -> None:
    """Write all of it, or nothing."""
    new = beside(path)
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _append(path: Path, record: bytes) -> None:
    """Add a line. One before it that was cut short is ended first, whoever wrote it."""
    descriptor = os.open(path, _APPEND, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        os.fchmod(descriptor, 0o600)
        file.write(b"\n" + record + b"\n")


def _end_of(path: Path) -> bytes:
    """Return the last lines of a file; nothing where there is none."""
    try:
        descriptor = os.open(path, _LOOK)
    except FileNotFoundError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        file.seek(max(size - _READ, 0))
        end = file.read(_READ)
    return end if size <= _READ else end.partition(b"\n")[2]
