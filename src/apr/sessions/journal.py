"""The journal of checkpoints: in order, what files were before changes, and what these left."""

import os
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec
from msgspec import Struct

from apr.errors import AprError
from apr.tools.errors import ToolError
from apr.tools.files import look


class State(Struct, frozen=True, omit_defaults=True):
    """What is at a path.

    `large` is a file of more than `WHOLE` bytes: it is told from others by its size and time, and
    its content is not kept. `other` is what no tool writes: a directory, a link, a device.
    """

    kind: Literal["nothing", "file", "large", "other"] = "nothing"
    digest: str = ""
    """SHA-256 of a file's content."""
    mode: int = 0
    """Permission bits."""


class Changing(Struct, frozen=True, kw_only=True, tag_field="type", tag="changing"):
    """A file is about to be changed."""

    turn: int
    """The turn that the session had come to."""
    path: str
    before: State
    made: str | None = None
    """The outermost of the folders that are made for it."""


class Changed(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="changed", omit_defaults=True
):
    """What a file has become by the last change to it."""

    path: str
    after: State
    unsaved: State | None = None
    """What an editor had before the change, and had not saved: that it was, not what was saved."""


class Marked(Struct, frozen=True, kw_only=True, tag_field="type", tag="marked"):
    """A program has a name for the prompt that comes next."""

    name: str
    turn: int


Line = Changing | Changed | Marked


def encode(line: Line) -> bytes:
    """Return a line as it stands in the journal, with its end."""
    return msgspec.json.encode(line) + b"\n"


def read(journal: Path) -> Iterator[Line]:
    """Yield a journal's lines; a last one that was cut off is left out.

    Raises:
        AprError: it cannot be read, or a line is damaged.
    """
    try:
        text = journal.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise AprError(f"cannot read {journal}: {error.strerror}") from None
    for number, line in enumerate(text.split(b"\n")[:-1], 1):
        try:
            yield _decoder().decode(line)
        except msgspec.MsgspecError as error:
            raise AprError(f"{journal}:{number}: not a journal's line: {error}") from None


def look_at(path: Path) -> tuple[State, bytes | None]:
    """Return what is at a path, and the content of a file that is not too large."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return State(), None
    except OSError:
        return State("other"), None
    if not stat.S_ISREG(status.st_mode) or os.path.realpath(path) != str(path):
        return State("other"), None
    try:
        found = look(path, str(path))
    except FileNotFoundError:
        return State(), None
    except (OSError, ToolError):
        return State("other"), None
    mode = stat.S_IMODE(status.st_mode)
    if found.data is None:
        return State("large", found.stamp.decode(), mode), None
    return State("file", found.stamp.hex(), mode), found.data


def name_of(path: Path) -> str:
    """Return a path as the journal has it: names are bytes, and not all are text."""
    return quote_from_bytes(os.fsencode(path))


def path_of(name: str) -> Path:
    """Return the path that the journal calls this."""
    return Path(os.fsdecode(unquote_to_bytes(name)))


@cache
def _decoder() -> msgspec.json.Decoder[Line]:
    return msgspec.json.Decoder(Line)
