"""The stored sessions of all projects, as an editor asks for them: by id, or page by page."""

from pathlib import Path

from acp import schema

from apr.acp.errors import failed, wrong
from apr.acp.prompts import title_of
from apr.home import home
from apr.sessions.finding import directory_of, files
from apr.sessions.places import SessionError, in_folder, refuse_held
from apr.sessions.places import remove as remove_files
from apr.sessions.stored import Stored, load
from apr.sessions.summary import summary
from apr.ui.terminal import line

PAGE = 50
"""Sessions listed at a time."""


def page(root: Path | None, cursor: str | None) -> schema.ListSessionsResponse:
    """List sessions, the last changed first: those of a project, or all of them.

    Raises:
        RequestError: the cursor is none of ours.
    """
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise wrong(f"not a cursor of ours: {cursor[:40]!r}")
    first = int(cursor or 0)
    paths = list(files(root)) if root is not None else _all()
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
    raise wrong(f"there is no session {session_id[:80]!r} of {root}")


def remove(session_id: str) -> None:
    """Remove a session, whosever it is. One that there is not is removed already.

    Raises:
        RequestError: another process works on it, or the file cannot be removed.
    """
    for path in _all():
        if path.stem != session_id:
            continue
        try:
            refuse_held(path)
            remove_files(path)
        except SessionError as error:
            raise wrong(str(error)) from None
        except FileNotFoundError:
            pass  # somebody was faster
        except OSError as error:
            raise failed(f"{path} cannot be removed: {error.strerror}") from None


def _all() -> list[Path]:
    paths = [path for place in (home() / "projects").glob("*") for path in in_folder(place)]
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
        found = summary(path)
    except SessionError:
        return None  # `apr sessions list` says what is wrong with it
    return schema.SessionInfo(
        session_id=found.id,
        cwd=where,
        title=line(found.name or title_of(found.first_prompt)) or None,
        updated_at=found.changed,
    )
