"""Other processes: are they alive, and how they are ended."""

import contextlib
import os
import signal
import time
from pathlib import Path

POLL_S = 0.01
BOUNDS_S = {signal.SIGTERM: 5.0, signal.SIGKILL: 5.0}
"""How long a process is waited for after each signal."""


def started(pid: int) -> str | None:
    """Return what tells a living process from a later one with its id; None if it is gone."""
    try:
        # The name, in parentheses, may hold anything: fields are counted from behind it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _exists(pid)
    return None if fields[0] in {"Z", "X"} else fields[19]


def _exists(pid: int) -> str | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""


def end(pid: int, since: str) -> bool:
    """End the process that `started(pid)` told apart as `since`; return whether it is gone."""
    for number, bound in BOUNDS_S.items():
        deadline = time.monotonic() + bound
        if started(pid) == since:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        while time.monotonic() < deadline:
            if started(pid) != since:
                return True
            time.sleep(POLL_S)
    return False
