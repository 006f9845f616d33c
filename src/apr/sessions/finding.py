"""Which sessions there are, and which one somebody means."""

import datetime
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from apr.sessions.places import SUFFIX, SessionError, folder
from apr.sessions.stored import Stored, load


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


def files(root: Path) -> list[Path]:
    """Return the files of a project's sessions, the last changed first."""
    try:
        found = [path for path in folder(root).iterdir() if path.suffix == SUFFIX]
    except OSError:
        return []
    return sorted(found, key=_changed, reverse=True)


def summaries(root: Path) -> Iterator[Summary | SessionError]:
    """Yield what there is to say of each session, the last changed first; of a bad one, why."""
    for path in files(root):
        try:
            yield summary(load(path))
        except SessionError as error:
            yield error


def summary(stored: Stored) -> Summary:
    """Say in short what a session is."""
    changed = datetime.datetime.fromtimestamp(_changed(stored.path), tz=datetime.UTC)
    return Summary(
        id=stored.opened.id,
        name=stored.name,
        model=stored.opened.model,
        changed=changed.isoformat(timespec="seconds"),
        prompts=sum(type(record).__name__ == "UserPrompt" for record in stored.records),
        turns=sum(type(record).__name__ == "AssistantTurn" for record in stored.records),
        first_prompt=stored.first_prompt,
        path=str(stored.path),
    )


def latest(root: Path) -> Stored:
    """Return the session of this project that was worked on last.

    Raises:
        SessionError: there is none, or it is damaged.
    """
    for path in files(root):
        return load(path)
    raise SessionError(f"there is no session of {root} to go on with")


def find(root: Path, wanted: str) -> Stored:
    """Return the session that an id, the beginning of one, or a name means.

    Raises:
        SessionError: none or several are meant, or it is damaged.
    """
    paths = files(root)
    chosen = [path for path in paths if path.stem == wanted]
    chosen = chosen or [path for path in paths if wanted and path.stem.startswith(wanted)]
    if not chosen:
        chosen = [path for path in paths if _named(path, wanted)]
    if len(chosen) == 1:
        return load(chosen[0])
    if not chosen:
        raise SessionError(f"there is no session {wanted!r} of {root}. See: apr sessions list")
    which = ", ".join(path.stem for path in chosen[:5])
    raise SessionError(f"{wanted!r} means {len(chosen)} sessions: {which}. Give more of the id.")


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
