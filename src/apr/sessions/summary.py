"""What there is to say of each session in a line, without reading thousands of them every time.

A session's file only grows, so what was read of one holds as long as its size and time do. That is
kept beside the files; where it is missing, wrong or cannot be written, the files are read.
"""

import contextlib
import datetime
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from apr.home import beside, open_private
from apr.legible import legible
from apr.sessions.lines import Named, Opened, Recorded, decode
from apr.sessions.places import NothingStored, SessionError, folder, in_folder
from ccpa.trace import UserPrompt

_KEPT = "summaries.json"
_PROMPT = b'{"type":"record","record":{"kind":"user_prompt",'
_ANSWER = b'{"type":"record","record":{"kind":"assistant_turn",'
_OTHERS = tuple(b'{"type":"%s",' % kind for kind in (b"record", b"message", b"rewritten", b"seen"))
_LONGEST = 2000
"""Characters of a first prompt that are kept."""


class Summary(Struct, frozen=True, kw_only=True):
    """One session, in a line of a list."""

    id: str
    name: str | None
    model: str
    changed: str
    """When it was last worked on: RFC 3339, UTC."""
    prompts: int
    turns: int
    first_prompt: str
    path: str
    branch: str | None = None
    """What git had checked out when it was last begun to be worked on."""

    @property
    def title(self) -> str:
        """What it is called: its name, else what was asked first."""
        return self.name or self.first_prompt or "(nothing was asked)"


class _Read(Struct, kw_only=True, omit_defaults=True):
    """What a file said when it had this size and time."""

    size: int
    time: int
    cwd: str | None = None
    model: str = ""
    branch: str | None = None
    name: str | None = None
    prompts: int = 0
    turns: int = 0
    first_prompt: str = ""
    error: str | None = None
    """What is wrong with it."""


def summaries(root: Path) -> Iterator[Summary | SessionError]:
    """Yield what there is to say of each session, the last changed first; of a bad one, why.

    Projects of different names may share a folder: a file says whose it is. One that does not say
    it counts, so that what is wrong with it is told.
    """
    place, here = folder(root), legible(str(root))
    known = _known(place)
    now = {path: known.get(path.name) for path in in_folder(place)}
    read: dict[Path, _Read] = {}
    for path, before in now.items():
        with contextlib.suppress(OSError):  # it went meanwhile
            status = path.stat()
            same = before is not None and (before.size, before.time) == _mark(status)
            read[path] = before if before is not None and same else _scan(path, status)
    if known.keys() != {path.name for path in read} or any(
        known[path.name] is not one for path, one in read.items()
    ):
        _keep(place, {path.name: one for path, one in read.items()})
    for path, one in sorted(read.items(), key=lambda item: item[1].time, reverse=True):
        if one.error is not None:
            yield SessionError(one.error)
        elif one.cwd in {here, None}:
            yield _summary(path, one)


def summary(path: Path) -> Summary:
    """Say in short what a session is.

    Raises:
        SessionError: it cannot be read.
    """
    try:
        one = _scan(path, path.stat())
    except OSError as error:
        raise SessionError(f"cannot read the session {path}: {error.strerror}") from None
    if one.error is not None:
        raise SessionError(one.error)
    return _summary(path, one)


def _summary(path: Path, one: _Read) -> Summary:
    changed = datetime.datetime.fromtimestamp(one.time / 1e9, tz=datetime.UTC)
    return Summary(
        id=path.stem,
        name=one.name,
        model=one.model,
        changed=changed.isoformat(timespec="seconds"),
        prompts=one.prompts,
        turns=one.turns,
        first_prompt=one.first_prompt,
        path=str(path),
        branch=one.branch,
    )


def _scan(path: Path, status: os.stat_result) -> _Read:
    """Read what the summary needs. Lines that it does not need are told by how they begin."""
    size, time = _mark(status)
    one = _Read(size=size, time=time)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break  # what a crash left of it
                try:
                    _take(one, line)
                except msgspec.MsgspecError as error:
                    one.error = f"{path}:{number}: not a session's line: {error}"
                    return one
                if number == 1 and one.cwd is None:
                    one.error = f"{path}:1: a session's file does not begin like this"
                    return one
    except OSError as error:
        one.error = f"cannot read the session {path}: {error.strerror}"
    if one.cwd is None and one.error is None:
        one.error = str(NothingStored(path))
    return one


def _take(one: _Read, line: bytes) -> None:
    if line.startswith(_ANSWER):
        one.turns += 1
        return
    if line.startswith(_PROMPT):
        one.prompts += 1
        if one.prompts > 1:
            return
    elif line.startswith(_OTHERS):
        return
    match decode(line):
        case Opened(cwd=cwd, model=model, branch=branch):
            one.cwd, one.model, one.branch = cwd, model, branch
        case Named(name):
            one.name = name
        case Recorded(UserPrompt(text=text)):
            one.first_prompt = text[:_LONGEST]
        case _:
            pass


def _mark(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _known(place: Path) -> dict[str, _Read]:
    kept = place / _KEPT
    try:
        data = kept.read_bytes() if kept.is_file() else b"{}"
        return msgspec.json.decode(data, type=dict[str, _Read])
    except (OSError, msgspec.MsgspecError):
        return {}


def _keep(place: Path, read: dict[str, _Read]) -> None:
    """Keep what was read, for the next time, if that can be done."""
    fresh = beside(place / _KEPT)
    with contextlib.suppress(OSError):
        with os.fdopen(open_private(fresh), "wb") as file:
            file.write(msgspec.json.encode(read))
        fresh.replace(place / _KEPT)
