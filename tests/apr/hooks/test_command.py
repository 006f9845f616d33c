"""A command that is run for us, and ended with all that belongs to it."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from apr.hooks.command import run

# Leaves the group of whoever started it, holds what it was given open, and says who it is.
LEAVER = """
import os, sys, time
os.setsid()
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(600)
"""


async def test_it_is_not_waited_for_who_has_left_with_its_pipes(tmp_path: Path) -> None:
    left = tmp_path / "left"
    command = 'trap "" TERM; "$0" -c "$1" "$2" & while :; do sleep 1; done'
    argv = ("/bin/sh", "-c", command, sys.executable, LEAVER, str(left))
    running = asyncio.create_task(
        run(argv, b"", cwd=tmp_path, environment=dict(os.environ), seconds=600)
    )
    while not left.exists():
        await asyncio.sleep(0.01)
    try:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    finally:
        os.kill(int(left.read_text()), signal.SIGKILL)


async def test_one_that_says_more_than_is_read_is_ended(tmp_path: Path) -> None:
    command = 'trap "" TERM; echo > begun; while :; do echo and so on; done'
    running = asyncio.create_task(
        run(
            ("/bin/sh", "-c", command),
            b"",
            cwd=tmp_path,
            environment=dict(os.environ),
            seconds=600,
        )
    )
    while not (tmp_path / "begun").exists():
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
