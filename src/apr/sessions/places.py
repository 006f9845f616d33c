"""Where sessions are: one folder for each project, one file for each session."""

import contextlib
import fcntl
import hashlib
import os
import re
from pathlib import Path

from apr.errors import AprError
from apr.home import home, private_directory

SUFFIX = ".jsonl"
_LONGEST = 120
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class SessionError(AprError):
    """A stored session cannot be had. The message says which, why, and what to do."""


class NothingStored(SessionError):
    """The process of a session ended before its first line was written."""

    def __init__(self, session: Path) -> None:
        super().__init__(f"the session {session} is empty: apr sessions rm {session.stem}")


def folder(root: Path) -> Path:
    """Return the folder of a project's sessions. It need not exist."""
    name = re.sub(r"[^A-Za-z0-9]", "-", str(root))
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}"
    return home() / "projects" / name


def path_of(root: Path, session_id: str) -> Path:
    """Return the file of a session of this project.

    Raises:
        SessionError: no session can have this id: it would name another place.
    """
    if not _ID.fullmatch(session_id):
        raise SessionError(f"not a session id: {session_id!r}")
    return folder(root) / f"{session_id}{SUFFIX}"


def in_folder(place: Path) -> list[Path]:
    """Return the files of the sessions of a folder, in no order; none where there is no folder.

    What else has such a name is none: opening a pipe could wait for ever, and a link would not be
    written through.
    """
    try:
        with os.scandir(place) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False)
            ]
    except OSError:
        return []


def is_free(session: Path) -> bool:
    """Whether no process works on a session, by its file.

    Raises:
        OSError: it cannot be opened.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(session, flags)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def refuse_held(session: Path) -> None:
    """Let something be done with a session only if no other process works on it.

    Raises:
        SessionError: one does, or its file cannot be opened.
    """
    try:
        free = is_free(session)
    except FileNotFoundError:
        return  # nobody can work on it
    except OSError as error:
        raise SessionError(f"cannot open the session {session}: {error.strerror}") from None
    if not free:
        raise held(session.stem)


def held(session_id: str) -> SessionError:
    """Return what is said of a session that another process works on."""
    return SessionError(
        f"another process works on the session {session_id}. Wait for it, or go on from a copy: "
        "--fork-session"
    )


def files_of(session: Path) -> Path:
    """Return the folder of what is kept of the files of a session, by its own file."""
    return session.with_suffix(".files")


def remove(session: Path) -> None:
    """Remove a session: what is kept of its files first, for without it nothing would find them.

    Raises:
        OSError: it cannot be removed.
    """
    import shutil  # 5 ms, which no start needs

    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(files_of(session))
    session.unlink()


def prepare(root: Path) -> Path:
    """Make the folder of a project's sessions, for its owner's eyes only.

    Raises:
        OSError: it cannot be made.
    """
    private_directory(home() / "projects")
    return private_directory(folder(root))
