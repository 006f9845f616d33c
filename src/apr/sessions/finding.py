"""Which sessions there are, and which one somebody means."""

import contextlib
import itertools
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec

from apr.home import home
from apr.legible import legible
from apr.sessions.lines import Opened, decode
from apr.sessions.places import NothingStored, SessionError, folder, in_folder
from apr.sessions.stored import Stored, load
from apr.sessions.summary import Summary as Summary
from apr.sessions.summary import summaries as summaries
from apr.ui.terminal import line

_LONGEST_LINE = 1 << 16
_SHOWN = 8


def files(root: Path) -> list[Path]:
    """Return the files of a project's sessions, the last changed first.

    Projects of different names may share a folder (`/a/b` and `/a-b`): a file says whose it is. One
    that does not say it counts, so that what is wrong with it is told.
    """
    return list(_last_first(root))


def _last_first(root: Path) -> Iterator[Path]:
    here = legible(str(root))
    for path in sorted(in_folder(folder(root)), key=_changed, reverse=True):
        if directory_of(path) in {here, None}:
            yield path


def directory_of(path: Path) -> str | None:
    """Return the project that a session's file names in its first line, None where it does not."""
    try:
        with path.open("rb") as file:
            opened = decode(file.readline(_LONGEST_LINE))
    except (OSError, msgspec.MsgspecError):
        return None
    return opened.cwd if isinstance(opened, Opened) else None


def latest(root: Path) -> Stored:
    """Return the session of this project that was worked on last.

    Raises:
        SessionError: there is none, or it is damaged.
    """
    for path in _last_first(root):
        with contextlib.suppress(NothingStored):  # there is nothing in it to go on with
            return load(path)
    raise SessionError(f"there is no session of {root} to go on with")


def find(root: Path, wanted: str) -> Stored:
    """Return the session that an id, the beginning of one, or a name means.

    Raises:
        SessionError: none or several are meant, or it is damaged.
    """
    return load(meant(root, wanted))


def meant(root: Path, wanted: str) -> Path:
    """Return the file of the session that is meant, damaged or not; see `find`.

    Raises:
        SessionError: none or several are meant.
    """
    paths = files(root)
    chosen = [path for path in paths if path.stem == wanted]
    chosen = chosen or [path for path in paths if wanted and path.stem.startswith(wanted)]
    if not chosen:
        chosen = [path for path in paths if _named(path, wanted)]
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        raise SessionError(_not_here(root, wanted))
    which = ", ".join(path.stem for path in chosen[:5])
    raise SessionError(f"{wanted!r} means {len(chosen)} sessions: {which}. Give more of the id.")


def which(root: Path) -> str:
    """Return what is said to somebody who wants to go on and has not said with what."""
    lines = [
        f"  {one.id}  {line(one.title)[:60]}"
        for one in itertools.islice(summaries(root), _SHOWN)
        if isinstance(one, Summary)
    ]
    if not lines:
        return f"there is no session of {root} to go on with"
    last = "\n".join(lines)
    return (
        f"--resume: which session? The last ones:\n{last}\nThe very last is taken up by --continue"
    )


def _not_here(root: Path, wanted: str) -> str:
    """Say that a session is not of this project, and of which one it is, if it is of any."""
    for place in (home() / "projects").glob("*"):
        for path in in_folder(place):
            if wanted and path.stem.startswith(wanted) and (where := directory_of(path)):
                other = line(where)
                return (
                    f"the session {path.stem} belongs to {other}, not to {root}. Go on with it "
                    f"there: apr code -C {shlex.quote(other)} --resume {path.stem}"
                )
    return f"there is no session {wanted!r} of {root}. See: apr sessions list"


def _named(path: Path, wanted: str) -> bool:
    try:
        return load(path).name == wanted
    except SessionError:
        return False


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
