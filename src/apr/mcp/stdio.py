"""A server as a process: its messages are lines on standard input and output.

The package's own transport keeps a line of any length in memory and logs what is no message; this
one bounds both, says how the process ended, and leaves nothing of its group behind.
"""

import asyncio
import asyncio.subprocess
import os
import signal
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter
from msgspec import Struct

from apr.mcp.config import Server
from apr.mcp.guard import LARGEST_MESSAGE, REQUEST_UNITS, Flooded, Guard
from apr.mcp.listing import clean

_GRACE_S = 0.5
"""Seconds to end in, once its input is closed; and once more when it was asked to."""
_LINGER_S = 0.1
"""Seconds in which what it said last is read."""
_TAIL = 4_000
"""Characters that are kept of what it says on standard error."""

Heard = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Heard], MemoryObjectSendStream[SessionMessage]]


_HEEDED = ("notifications/progress", "notifications/cancelled", "/list_changed")


class _Head(Struct):
    """What kind of message it is."""

    method: str = ""
    id: int | float | str | None = None

    @property
    def asks(self) -> bool:
        """Whether it wants an answer of ours."""
        return bool(self.method) and self.id is not None

    @property
    def matters(self) -> bool:
        """Whether anybody here heeds it."""
        return not self.method.startswith("notifications/") or self.method.endswith(_HEEDED)


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
        self._transport: asyncio.SubprocessTransport | None = None
        self._ended = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._errors = ""
        self._noise = ""
        self._trouble = ""
        self.over = False
        """Whether nothing more can come from it."""

    def account(self) -> str:
        """Say how it is with the process, for a person; empty where there is nothing to say."""
        parts = [self._trouble]
        code = self._transport.get_returncode() if self._transport is not None else None
        if code is not None and not self._trouble:
            how = f"exit code {code}" if code >= 0 else f"signal {-code}"
            parts.append(f"it ended with {how}")
        if self._noise:
            parts.append(f"its output is not MCP: {clean(self._noise, 80)!r}")
        if last := clean(self._errors.strip().rpartition("\n")[2], 300):
            parts.append(f"it said: {last}")
        return "; ".join(filter(None, parts))

    async def __aenter__(self) -> Streams:
        loop = asyncio.get_running_loop()
        self._transport, pipes = await loop.subprocess_exec(
            lambda: _Pipes(LARGEST_MESSAGE, loop, self._ended),
            self._server.command,
            *self._server.args,
            cwd=self._folder,
            env=dict(self._environment),
            start_new_session=True,
        )
        heard, read = anyio.create_memory_object_stream[Heard](0)
        write, said = anyio.create_memory_object_stream[SessionMessage](0)
        listening = asyncio.create_task(self._listen(pipes, heard))
        self._tasks = [
            listening,
            asyncio.create_task(self._speak(pipes, said)),
            asyncio.create_task(self._hear_errors(pipes)),
            asyncio.create_task(self._stop_listening(listening)),
        ]
        return read, write

    async def __aexit__(self, *_exception: object) -> None:
        if self._transport is None:
            return
        with anyio.CancelScope(shield=True):
            try:
                await self._end(self._transport)
            finally:
                _signal_group(self._transport.get_pid(), signal.SIGKILL)
                self._transport.close()
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _end(self, transport: asyncio.SubprocessTransport) -> None:
        """Have the process end: by closing its input, by asking, by force."""
        if (pipe := transport.get_pipe_transport(0)) is not None:
            pipe.close()
        for last in (None, signal.SIGTERM, signal.SIGKILL):
            if last is not None:
                _signal_group(transport.get_pid(), last)
            with suppress(TimeoutError):
                async with asyncio.timeout(_GRACE_S):
                    await self._ended.wait()
                    return

    async def _listen(self, pipes: "_Pipes", heard: MemoryObjectSendStream[Heard]) -> None:
        assert pipes.stdout is not None  # noqa: S101 - it was started with a pipe
        guard = Guard()
        try:
            async with heard:
                while True:
                    line = await pipes.stdout.readuntil(b"\n")
                    head = self._head(line)
                    guard.heard(len(line), REQUEST_UNITS if head is not None and head.asks else 1)
                    message = self._message(line) if head is not None and head.matters else None
                    if message is None:
                        await asyncio.sleep(0)  # so that others get their turn
                    else:
                        await heard.send(message)
        except asyncio.LimitOverrunError:
            self._trouble = f"it sent a message of more than {LARGEST_MESSAGE >> 20} MiB"
        except Flooded as flood:
            self._trouble = str(flood)
        except (asyncio.IncompleteReadError, anyio.BrokenResourceError, OSError):
            pass  # it has ended, or we have
        finally:
            self.over = True

    async def _stop_listening(self, listening: asyncio.Task[None]) -> None:
        """Listen no longer than to the end of the process: others may hold its output open."""
        await self._ended.wait()
        await asyncio.wait([listening], timeout=_LINGER_S)
        listening.cancel()

    def _head(self, line: bytes) -> _Head | None:
        """Say what kind of message a line holds; None if it is none."""
        try:
            return msgspec.json.decode(line, type=_Head)
        except (ValueError, RecursionError):
            self._noise = self._noise or line[:200].decode(errors="replace").strip()
            return None

    def _message(self, line: bytes) -> SessionMessage | None:
        try:
            return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
        except (ValueError, RecursionError):
            self._noise = self._noise or line[:200].decode(errors="replace").strip()
            return None

    async def _speak(
        self, pipes: "_Pipes", said: MemoryObjectReceiveStream[SessionMessage]
    ) -> None:
        assert pipes.stdin is not None  # noqa: S101
        with suppress(OSError):  # it does not listen any more: that shows when nothing comes back
            async with said:
                async for message in said:
                    text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    pipes.stdin.write(f"{text}\n".encode())
                    await pipes.stdin.drain()

    async def _hear_errors(self, pipes: "_Pipes") -> None:
        assert pipes.stderr is not None  # noqa: S101
        while data := await pipes.stderr.read(1 << 16):
            self._errors = (self._errors + data.decode(errors="replace"))[-_TAIL:]


class _Pipes(asyncio.subprocess.SubprocessStreamProtocol):
    """The streams of a process, and word of its end, even if others still hold its output open."""

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
        super().__init__(limit, loop)
        self._over = ended

    def process_exited(self) -> None:
        super().process_exited()
        self._over.set()


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS: only dead members are left
        os.killpg(group, number)
