"""What is piped into a command."""

import contextlib
import os
import select
import stat
import sys

PATIENCE_S = 3.0


def piped_in(*, wait_for_ever: bool) -> str | None:
    """Read standard input where something is piped in.

    A program that starts us may leave a pipe open that nothing will ever come through: beside a
    prompt argument we wait for its first byte only so long.
    """
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return None
    if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)):
        return None
    if not wait_for_ever and not select.select([sys.stdin], [], [], PATIENCE_S)[0]:
        with contextlib.suppress(OSError):
            print("apr: nothing came through standard input; going on without it", file=sys.stderr)
        return None
    return sys.stdin.buffer.read().decode(errors="replace")
