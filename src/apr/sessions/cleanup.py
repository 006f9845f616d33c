"""Old sessions go: the setting `cleanupPeriodDays` says when."""

import contextlib
import time
from pathlib import Path

from apr.sessions.finding import files
from apr.sessions.places import is_free, remove

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
            if path.lstat().st_mtime < before and is_free(path):
                remove(path)
                removed.append(path)
    return removed
