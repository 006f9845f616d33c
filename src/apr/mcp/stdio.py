"""A server as a process: its messages are lines on standard input and output.

The package's own transport keeps a line of any length in memory and logs what is no message; this
one bounds both, says how the process ended, and leaves nothing of its group behind.
"""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

from apr.mcp.config import Server
from apr.mcp.guard import LARGEST_MESSAGE, Flooded, Guard
from apr.mcp.listing import clean

_GRACE_S = 0.5
"""Seconds to end in, once its input is closed; and once more when it was asked to."""
_TAIL = 4_000
"""Characters that are kept of what it says on standard error."""

Heard = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Heard], MemoryObjectSendStream[SessionMessage]]


class Program(AbstractAsyncContextManager[Streams]):
    """The process of one server: a transport that starts it when entered, and ends it when left.

    Args:
        server: what to start.
        folder: where.
        environment: all of the process's environment.
    """

    def __init__(self, server: Server, folder: Path, environment: Mapping[str, str]) -> None:
        self._server = server
        self._folder = folder
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._errors = ""
        self._noise = ""
        self._trouble = ""
        self.over = False
        """Whether nothing more can come from it."""

    def account(self) -> str:
        """Say how it is with the process, for a person; empty where there is nothing to say."""
        process, parts = self._process, [self._trouble]
        if process is not None and process.returncode is not None and not self._trouble:
            code = process.returncode
            how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
            parts.append(f"it ended with {how}")
        if self._noise:
            parts.append(f"its output is not MCP: {clean(self._noise, 80)!r}")
        if last := clean(self._errors.strip().rpartition("\n")[2], 300):
            parts.append(f"it said: {last}")
        return "; ".join(filter(None, parts))

    async def __aenter__(self) -> Streams:
        self._process = await asyncio.create_subprocess_exec(
            self._server.command,
            *self._server.args,
            cwd=self._folder,
            env=dict(self._environment),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=LARGEST_MESSAGE,
        )
        heard, read = anyio.create_memory_object_stream[Heard](0)
        write, said = anyio.create_memory_object_stream[SessionMessage](0)
        self._tasks = [
            asyncio.create_task(self._listen(self._process, heard)),
            asyncio.create_task(self._speak(self._process, said)),
            asyncio.create_task(self._hear_errors(self._process)),
        ]
        return read, write

    async def __aexit__(self, *_exception: object) -> None:
        if self._process is None:
            return
        with anyio.CancelScope(shield=True):
            try:
                await self._end(self._process)
            finally:
                _signal_group(self._process.pid, signal.SIGKILL)
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is not None:
            process.stdin.close()
        for last in (None, signal.SIGTERM, signal.SIGKILL):
            if last is not None:
                _signal_group(process.pid, last)
            with suppress(TimeoutError):
                async with asyncio.timeout(_GRACE_S):
                    await process.wait()
                    return

    async def _listen(
        self, process: asyncio.subprocess.Process, heard: MemoryObjectSendStream[Heard]
    ) -> None:
        assert process.stdout is not None  # noqa: S101 - it was started with a pipe
        guard = Guard()
        try:
            async with heard:
                while True:
                    line = await process.stdout.readuntil(b"\n")
                    guard.heard(len(line))
                    try:
                        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                    except ValueError:
                        self._noise = self._noise or line[:200].decode(errors="replace").strip()
                        continue
                    await heard.send(SessionMessage(message))
        except asyncio.LimitOverrunError:
            self._trouble = f"it sent a message of more than {LARGEST_MESSAGE >> 20} MiB"
        except Flooded as flood:
            self._trouble = str(flood)
        except (asyncio.IncompleteReadError, anyio.BrokenResourceError, OSError):
            pass  # it has ended, or we have
        finally:
            self.over = True

    async def _speak(
        self,
        process: asyncio.subprocess.Process,
        said: MemoryObjectReceiveStream[SessionMessage],
    ) -> None:
        assert process.stdin is not None  # noqa: S101
        with suppress(OSError):  # it does not listen any more: that shows when nothing comes back
            async with said:
                async for message in said:
                    text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    process.stdin.write(f"{text}\n".encode())
                    await process.stdin.drain()

    async def _hear_errors(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None  # noqa: S101
        while data := await process.stderr.read(1 << 16):
            self._errors = (self._errors + data.decode(errors="replace"))[-_TAIL:]


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS: only dead members are left
        os.killpg(group, number)
