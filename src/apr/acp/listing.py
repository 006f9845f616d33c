"""The stored sessions of all projects, as an editor asks for them: by id, or page by page."""

import fcntl
import os
from pathlib import Path

from acp import RequestError, schema

from apr.acp.prompts import title_of
from apr.home import home
from apr.sessions.finding import directory_of, files, summary
from apr.sessions.places import SUFFIX, SessionError
from apr.sessions.stored import Stored, load
from apr.ui.terminal import line

PAGE = 50
"""Sessions listed at a time."""


def page(root: Path | None, cursor: str | None) -> schema.ListSessionsResponse:
    """List sessions, the last changed first: those of a project, or all of them.

    Raises:
        RequestError: the cursor is none of ours.
    """
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise RequestError.invalid_params({"reason": f"not a cursor of ours: {cursor[:40]!r}"})
    first = int(cursor or 0)
    paths = files(root) if root is not None else _all()
    shown = [_info(path) for path in paths[first : first + PAGE]]
    more = first + PAGE < len(paths)
    return schema.ListSessionsResponse(
        sessions=[info for info in shown if info is not None],
        next_cursor=str(first + PAGE) if more else None,
    )


def stored(root: Path, session_id: str) -> Stored:
    """Return a project's session by its whole id.

    Raises:
        RequestError: there is none.
        SessionError: it is damaged.
    """
    for path in files(root):
        if path.stem == session_id:
            return load(path)
    raise RequestError.resource_not_found(session_id)


def remove(session_id: str) -> None:
    """Remove a session, whosever it is. One that there is not is removed already.

    Raises:
        RequestError: another process works on it, or the file cannot be removed.
    """
    for path in _all():
        if path.stem != session_id:
            continue
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)
        except BlockingIOError:
            reason = f"another process works on the session {session_id}"
            raise RequestError.invalid_params({"reason": reason}) from None
        except OSError as error:
            reason = f"{path} cannot be removed: {error.strerror}"
            raise RequestError.internal_error({"reason": reason}) from None


def title(stored_session: Stored) -> str | None:
    """Return what a session is called: as its user has named it, or by its first prompt."""
    called = stored_session.name or title_of(stored_session.first_prompt)
    return line(called) or None


def _all() -> list[Path]:
    paths = (home() / "projects").glob(f"*/*{SUFFIX}")
    return sorted(paths, key=_changed, reverse=True)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _info(path: Path) -> schema.SessionInfo | None:
    where = directory_of(path)
    if where is None:
        return None
    try:
        found = load(path)
    except SessionError:
        return None  # `apr sessions list` says what is wrong with it
    return schema.SessionInfo(
        session_id=found.opened.id,
        cwd=where,
        title=title(found),
        updated_at=summary(found).changed,
    )
