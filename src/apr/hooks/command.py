"""A hook's command as a process: fed with the event, listened to, and ended in time."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

MOST_OUTPUT = 1 << 20
"""Bytes that are kept of each stream. What comes beyond is read and dropped."""
TIMED_OUT = 143
CANNOT_RUN = 126
_GRACE_S = 0.5


class Ran(Struct, frozen=True, kw_only=True):
    """What became of a hook. Text is as it was printed, without white space at its end."""

    exit_code: int
    out: str = ""
    err: str = ""
    duration_ms: int = 0
    timed_out: bool = False


async def run(
    argv: Sequence[str],
    given: bytes,
    *,
    cwd: Path,
    environment: Mapping[str, str],
    seconds: float,
) -> Ran:
    """Run a command for at most `seconds`, with `given` on its standard input.

    It has a process group of its own, which is ended when the time is over, when we are cancelled,
    and when the command has ended itself: nothing of it stays behind.
    """
    began = time.monotonic()
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd,
            env=dict(environment),
            start_new_session=True,
        )
    except OSError as error:
        return Ran(exit_code=CANNOT_RUN, err=f"cannot be run: {error}")
    timed_out = False
    streams = asyncio.gather(
        _feed(process.stdin, given), _take(process.stdout), _take(process.stderr), process.wait()
    )
    try:
        async with asyncio.timeout(seconds):
            _, out, err, _ = await streams
    except TimeoutError:
        timed_out, out, err = True, b"", f"took longer than {seconds:g} s".encode()
    finally:
        await end(process)
    code = process.returncode or 0
    return Ran(
        exit_code=TIMED_OUT if timed_out else 128 - code if code < 0 else code,
        out=out.decode(errors="replace").rstrip(),
        err=err.decode(errors="replace").rstrip(),
        duration_ms=int((time.monotonic() - began) * 1000),
        timed_out=timed_out,
    )


async def _feed(stdin: asyncio.StreamWriter | None, given: bytes) -> None:
    if stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read
        stdin.write(given)
        await stdin.drain()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stdin.close()
        await stdin.wait_closed()


async def _take(stream: asyncio.StreamReader | None) -> bytes:
    kept = bytearray()
    while stream is not None and (data := await stream.read(1 << 16)):
        kept += data[: MOST_OUTPUT - len(kept)]
    return bytes(kept)


async def end(process: asyncio.subprocess.Process) -> None:
    """End what is left of a process's group; ask first where it still runs itself."""
    if process.returncode is None:
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await process.wait()
    _signal(process.pid, signal.SIGKILL)
    # `wait` waits for the ends of the pipes too, which may be far: one that is full is not read any
    # more, and who has left the group may hold another open.
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else closes
    await process.wait()


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
