"""What was found in models' headers the last time, so that they need not be read again.

A header with a vocabulary of 150,000 tokens takes 40 ms to read, because every token has to be
passed over; with thirty models on the disk that is more than a second for each start. A file that
has kept its path, size, time of change and inode is taken to be what it was.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from apr import __version__
from apr.home import beside, open_private, private_directory
from apr.models.architectures import LIBRARY
from apr.models.header import ModelInfo

RULES = 1
"""Raised whenever `header.check` comes to judge otherwise."""
MOST = 500
"""Models that are remembered."""
LONGEST_TEMPLATE = 1 << 18
"""Characters; a model with a longer one (the usual have 10,000) is read anew each time."""

Identity = tuple[tuple[str, int, int, int], ...]
"""Of every part of a model: path, bytes, time of change in nanoseconds, inode."""


class Verdict(Struct, frozen=True):
    """What the check of a model came to."""

    info: ModelInfo | None
    problem: str | None
    for_text: bool


class _Line(Struct, array_like=True):
    identity: Identity
    verdict: Verdict


class _File(Struct, array_like=True):
    version: str
    lines: list[_Line]


_VERSION = f"{__version__}/{LIBRARY}/{RULES}"


class Remembered:
    """The verdicts on models, by what identifies their files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[str, _Line] = {}  # by the path of the first file
        self.changed = False
        with contextlib.suppress(OSError, msgspec.DecodeError, RecursionError):
            file = msgspec.msgpack.decode(path.read_bytes(), type=_File, dec_hook=_path)
            if file.version == _VERSION:
                self.lines = {line.identity[0][0]: line for line in file.lines if line.identity}

    def get(self, identity: Identity) -> Verdict | None:
        """Return the verdict on these very files, if there is one."""
        line = self.lines.get(identity[0][0]) if identity else None
        return line.verdict if line and line.identity == identity else None

    def put(self, identity: Identity, verdict: Verdict) -> None:
        """Remember a verdict; what was known of the same path goes."""
        if verdict.info and len(verdict.info.chat_template or "") > LONGEST_TEMPLATE:
            return
        self.lines.pop(identity[0][0], None)
        self.lines[identity[0][0]] = _Line(identity, verdict)
        self.changed = True

    def save(self) -> None:
        """Write down what is new. Where that cannot be done, the next run reads headers again."""
        if not self.changed:
            return
        file = _File(_VERSION, list(self.lines.values())[-MOST:])
        with contextlib.suppress(OSError, UnicodeEncodeError):
            data = msgspec.msgpack.encode(file, enc_hook=str)
            private_directory(self.path.parent)
            new = beside(self.path)
            with os.fdopen(open_private(new), "wb") as stream:
                stream.write(data)
            new.replace(self.path)


def identity(parts: Sequence[Path], statuses: Sequence[os.stat_result]) -> Identity:
    """Return what identifies the files of a model."""
    return tuple(
        (str(part), status.st_size, status.st_mtime_ns, status.st_ino)
        for part, status in zip(parts, statuses, strict=True)
    )


def _path(_: type, value: Any) -> Path:
    return Path(value)
