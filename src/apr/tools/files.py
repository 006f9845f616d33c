"""Regular files: looked at whole, replaced at once, and remembered as what the model saw.

A model may only change what it has seen as it is now. The `FileLedger` holds, for each file that
was read or written in this session, a stamp of its content at that time.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from apr.tools import text
from apr.tools.errors import ToolError
from apr.tools.paths import explain, kind

WHOLE = 10_000_000
"""Bytes up to which a file is held in memory, compared by content, and edited."""

# Non-blocking: opening or reading a pipe or a device never hangs. No following: the path is
# resolved, so a link there now was put there since.
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC


class Snapshot(Struct, frozen=True, kw_only=True):
    """A regular file as it is now. `data` is None where it is larger than `WHOLE`.

    `status` is None where the file is in an editor and not on the disk.
    """

    data: bytes | None
    stamp: bytes
    status: os.stat_result | None
    unsaved: bool = False
    """Whether an editor has this content, and the disk another or none."""

    @property
    def size(self) -> int:
        """The size in bytes."""
        if self.data is None and self.status is not None:
            return self.status.st_size
        return len(self.data or b"")


class Storage(Protocol):
    """Where the tools find files and put them: the disk, or an editor that has some of them open.

    `name` is what messages call the file. Paths are resolved.
    """

    async def look(self, path: Path, name: str) -> Snapshot:
        """Return the file as it is now; see `look`."""
        ...

    async def replace(self, path: Path, name: str, data: bytes, before: Snapshot | None) -> None:
        """Make `data` the file's content; `before` is what it was. See `replace`."""
        ...


class Disk:
    """The disk alone."""

    async def look(self, path: Path, name: str) -> Snapshot:
        """Return the file as it is now; see `look`."""
        return look(path, name)

    async def replace(self, path: Path, name: str, data: bytes, before: Snapshot | None) -> None:
        """Make `data` the file's content at once; see `replace`."""
        replace(path, name, data, before.status if before is not None else None)


def open_file(path: Path, name: str) -> int:
    """Open a regular file for reading and return its descriptor.

    Raises:
        FileNotFoundError: there is nothing.
        ToolError: it is something else than a regular file, or must not be read.
    """
    what = kind(path, name)  # before opening: that alone may act on a device
    if what is None:
        raise FileNotFoundError(name)
    if what != "a file":
        hint = " List it with Glob or `ls`." if what == "a directory" else ""
        raise ToolError(f"{name} is {what}, not a file.{hint}")
    try:
        descriptor = os.open(path, _OPEN)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise explain(error, name) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ToolError(f"{name} is not a file.")
    return descriptor


def look(path: Path, name: str) -> Snapshot:
    """Return the file as it is now; `name` is what messages call it. Raises as `open_file` does."""
    descriptor = open_file(path, name)
    try:
        status = os.fstat(descriptor)
        data = b"" if status.st_size > WHOLE else _read(descriptor, status.st_size)
    except OSError as error:
        raise explain(error, name) from None
    finally:
        os.close(descriptor)
    if status.st_size > WHOLE or len(data) > WHOLE:
        stamp = b"%d:%d" % (status.st_size, status.st_mtime_ns)
        return Snapshot(data=None, stamp=stamp, status=status)
    return Snapshot(data=data, stamp=stamp_of(data), status=status)


def stamp_of(data: bytes) -> bytes:
    """Return what tells this content from any other."""
    return hashlib.sha256(data).digest()


def detect(data: bytes, name: str, *, whole: bool = True) -> text.Encoding:
    """Return how a file is stored, from its bytes, or from its first bytes if not `whole`.

    Raises:
        ToolError: it is a binary file.
    """
    try:
        return text.detect(data, whole=whole)
    except text.NotTextError as error:
        raise ToolError(f"{name} is a binary file ({error}), not text.") from None


def decode(data: bytes, name: str) -> tuple[text.Encoding, str]:
    """Return how a file is stored, and its text. Raises as `detect` does."""
    encoding = detect(data, name)
    return encoding, encoding.decode(data)


def encode(encoding: text.Encoding, content: str, name: str) -> bytes:
    """Return the bytes to write.

    Raises:
        ToolError: the encoding has no way to write a character; the message names it.
    """
    try:
        return encoding.encode(content)
    except UnicodeEncodeError as error:
        character = content[error.start]
        raise ToolError(
            f"{name} is stored as {encoding.codec.upper()}, which has no {character!a}."
        ) from None


def replace(
    path: Path,
    name: str,
    data: bytes,
    before: os.stat_result | None,
    *,
    mode: int | None = None,
) -> None:
    """Make `data` the file's content at once: whoever reads it sees the old or the new file whole.

    Mode and owner are kept from `before`, the status of the file that is replaced. `mode` is what
    the permission bits are to be instead.

    Raises:
        ToolError: the file or its directory cannot be written.
    """
    if before is not None and not os.access(path, os.W_OK):
        raise ToolError(f"{name} is read-only.")
    temporary = path.with_name(f".apr-{os.urandom(8).hex()}.tmp")
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                if before is not None:
                    _keep_owner_and_mode(descriptor, before)
                if mode is not None:
                    os.fchmod(descriptor, mode)
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise explain(error, name) from None


class FileLedger:
    """Which files the model has seen in this session, in part or whole, and as what."""

    def __init__(self, seen: Mapping[Path, bytes] | None = None) -> None:
        """Begin with what was `seen` in a session that goes on."""
        self._seen: dict[Path, bytes] = dict(seen or {})
        self.tell: Callable[[Path, bytes], None] | None = None
        """Called with what the model has seen, for a session to be gone on with."""

    def note(self, path: Path, stamp: bytes) -> None:
        """Remember that the model knows this file with this content."""
        if self.tell is not None and self._seen.get(path) != stamp:
            self.tell(path, stamp)
        self._seen.pop(path, None)  # it goes to the end
        self._seen[path] = stamp

    def recent(self) -> list[Path]:
        """Return the files that were seen, the last first."""
        return list(reversed(self._seen))

    def become(self, seen: Mapping[Path, bytes]) -> None:
        """Know what was `seen`, and nothing else: the conversation has gone back to that."""
        for path in self._seen.keys() - seen.keys():
            del self._seen[path]
            if self.tell is not None:
                self.tell(path, b"")
        for path, stamp in seen.items():
            self.note(path, stamp)

    def check(self, path: Path, stamp: bytes, name: str) -> None:
        """Let a change go ahead only if the model has seen the file as it is.

        Raises:
            ToolError: it was never read, or has changed since.
        """
        seen = self._seen.get(path)
        if seen is None:
            raise ToolError(f"{name} has not been read in this session. Read it first.")
        if seen != stamp:
            raise ToolError(f"{name} has changed since it was read. Read it again.")


def _read(descriptor: int, expected: int) -> bytes:
    """Read to the end, or to one byte more than `WHOLE`.

    The end is where nothing more comes: files of /proc say that they are empty, others grow.
    """
    pieces, room, piece = [], WHOLE + 1, max(expected + 1, 1 << 16)
    while room > 0 and (data := os.read(descriptor, min(room, piece))):
        pieces.append(data)
        room -= len(data)
    return b"".join(pieces)


def _keep_owner_and_mode(descriptor: int, before: os.stat_result) -> None:
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        with suppress(PermissionError):  # only root may give files away; the content matters more
            os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
