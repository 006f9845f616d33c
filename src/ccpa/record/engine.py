"""A local engine for a recording: `apr engine serve`, a process of its own that ends with it."""

import asyncio
import os
import re
import shutil
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from ccpa.console import one_line
from ccpa.errors import CcpaError
from ccpa.record.upstream import Upstream, Where

_READY = re.compile(rb"the key is in (.+)\n")
_LINES_OF_A_FAILURE = 5


class EngineFailed(CcpaError):
    """The engine did not start; the message holds what it said."""


class _State(Struct):
    """What an engine's file tells: only what is needed to ask it."""

    port: int
    api_key: str


@asynccontextmanager
async def engine(model: str) -> AsyncIterator[Upstream]:
    """Serve a model for as long as the context lasts, to nobody else.

    Raises:
        EngineFailed: `apr` is not installed, or cannot serve the model.
    """
    words = ["engine", "serve", "--model", model, "--keep-alive", "never", "--private"]
    process = await asyncio.create_subprocess_exec(
        _apr(),
        *words,
        *("--parent-pid", str(os.getpid())),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the agent
    )
    reader = process.stderr
    assert reader is not None  # noqa: S101 - a pipe was asked for
    rest: asyncio.Task[bytes] | None = None
    try:
        state = await _announced(reader, model)
        rest = asyncio.create_task(_drained(reader))
        yield Upstream(Where("127.0.0.1", state.port, "", tls=False), state.api_key)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        if rest is not None:
            rest.cancel()


def _apr() -> str:
    """Return the `apr` beside this Python, or the one on PATH."""
    beside = Path(sys.executable).parent / "apr"
    found = str(beside) if beside.exists() else shutil.which("apr")
    if found is None:
        raise EngineFailed("--engine: `apr` was not found; it is what serves local models")
    return found


async def _announced(reader: asyncio.StreamReader, model: str) -> _State:
    """Wait until the engine says where it told its key, and read that."""
    said: deque[bytes] = deque(maxlen=_LINES_OF_A_FAILURE)
    while line := await reader.readline():
        said.append(line)
        if ready := _READY.search(line):
            return _read(Path(os.fsdecode(ready[1])))
    words = one_line(b" ".join(said).decode("utf-8", "replace").strip())
    raise EngineFailed(f"--engine {model}: {words or 'it ended without a word'}")


def _read(path: Path) -> _State:
    return msgspec.json.decode(path.read_bytes(), type=_State)


async def _drained(reader: asyncio.StreamReader) -> bytes:
    """Read on, so that the engine never waits for its words to be read."""
    last = b""
    while piece := await reader.read(65536):
        last = piece
    return last
