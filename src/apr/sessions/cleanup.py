"""Old sessions go: the setting `cleanupPeriodDays` says when."""

import contextlib
import fcntl
import os
import time
from pathlib import Path

from apr.sessions.finding import files
from apr.sessions.places import remove

DAYS = 30
"""How long a session is kept that nobody works on, where the settings do not say."""


def remove_old(root: Path, days: int) -> list[Path]:
    """Remove the sessions of a project that were last worked on more than `days` days ago.

    One that another process works on stays, and so does what cannot be removed.

    Returns:
        What was removed.
    """
    before = time.time() - days * 86_400
    removed = []
    for path in files(root):
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < before and _is_free(path):
                remove(path)
                removed.append(path)
    return removed


def _is_free(path: Path) -> bool:
    """Whether no process works on a session.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
