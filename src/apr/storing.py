"""What is kept of a session on disk: what was said, and the files that its tools change.

Each part is imported only where it is wanted.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from apr.assembly import Assembled, Options
    from apr.sessions.checkpoints import Checkpoints
    from apr.sessions.keeping import Keeping
    from apr.sessions.stored import Stored


def stored_session(options: "Options") -> "Stored | None":
    """Return the session to go on with, None for a new one.

    Raises:
        SessionError: it cannot be had.
    """
    if options.resume is None:
        return None
    from apr.sessions.finding import find, latest

    return find(options.root, options.resume) if options.resume else latest(options.root)


def add_store(assembled: "Assembled", options: "Options", stored: "Stored | None") -> None:
    """Store the session as it goes. Where that cannot be done, a person is told, no more.

    Raises:
        SessionError: there is one of this id already, or another process works on it.
    """
    from apr.sessions.lines import Rewrote, Seen
    from apr.sessions.places import SessionError, files_of, path_of
    from apr.sessions.writer import SessionWriter

    session = assembled.agent.session
    if stored is None and path_of(options.root, session.id).exists():
        raise SessionError(f"there is a session {session.id} already: go on with it by --resume")
    try:
        store = SessionWriter(
            options.root,
            session.id,
            model=session.model,
            parent=session.parent if options.fork else None,
            warn=assembled.notices.append,
        )
    except OSError as error:
        assembled.notices.append(f"the session is not stored: {error}")
        return
    if stored is not None and options.fork:
        store.write(Rewrote(tuple(stored.messages)))
        for path, stamp in stored.seen.items():
            store.write(Seen(str(path), stamp.hex()))
    for line in stored.mended if stored is not None and not options.fork else ():
        store.write(line)
    if options.name is not None:
        store.call(options.name)
    assembled.agent.context.files.tell = store.saw
    assembled.store = store
    keep_files(assembled, files_of(store.path))


def keep_files(assembled: "Assembled", folder: Path) -> "Keeping":
    """Have the files that the tools change kept in a folder."""
    from apr.sessions.keeping import Keeping

    agent = assembled.agent

    def checkpoints() -> "Checkpoints":
        from apr.sessions.checkpoints import Checkpoints

        return Checkpoints(folder, lambda: agent.session.turn, assembled.notices.append)

    assembled.keeping = Keeping(agent.context.storage, checkpoints, agent.context.root)
    agent.context = msgspec.structs.replace(agent.context, storage=assembled.keeping)
    return assembled.keeping


def add_cleanup(assembled: "Assembled", options: "Options") -> None:
    """Have the project's old sessions removed at the end."""

    async def remove() -> None:
        from apr.sessions.cleanup import DAYS, remove_old

        days = options.settings.cleanup_period_days
        remove_old(options.root, DAYS if days is None else max(days, 0))

    assembled.closing.append(remove)
