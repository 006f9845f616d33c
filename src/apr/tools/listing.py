"""The names of all files below a directory, as `rg` finds them, for those who cannot await."""

import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from apr.tools import ripgrep

SECONDS = 30.0
"""Time after which a listing is ended; what has been found by then counts."""
_READ = 1 << 16


def listed(root: Path, hidden: Sequence[str] = ()) -> Iterator[list[str]]:
    """Yield the files' names relative to the root, some at a time, as they are found.

    What `.gitignore` names is left out. So are other file systems: what is mounted below a home
    directory can be slow or endless. Bytes that are no UTF-8 are surrogate escapes.

    Args:
        root: where to begin.
        hidden: patterns of files that are left out too.

    Raises:
        ToolError: there is no `rg`.
        OSError: it cannot be started, or there is no such directory.
    """
    arguments = ["--files", "--null", "--one-file-system", *ripgrep.without(hidden)]
    with subprocess.Popen(
        ripgrep.command(arguments, root),
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        timer = threading.Timer(SECONDS, process.kill)
        timer.daemon = True
        timer.start()
        rest = b""
        try:
            while piece := process.stdout.read(_READ):
                *names, rest = (rest + piece).split(b"\0")
                yield [os.fsdecode(name) for name in names]
        finally:
            timer.cancel()
            process.kill()
