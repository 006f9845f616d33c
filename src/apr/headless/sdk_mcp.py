"""MCP servers that live in the program that drives us: their messages travel with the control ones.

Importing this loads the protocol's own package, which takes its time: only who talks to such a
server does.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCRequest, jsonrpc_message_adapter

from apr.headless.host import Host, HostFailed

INTERNAL_ERROR = -32603
"""Of JSON-RPC: what a request is answered with that has not arrived."""

Heard = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Heard], MemoryObjectSendStream[SessionMessage]]


class InHost(AbstractAsyncContextManager[Streams]):
    """A transport of the protocol's package to one server of the host.

    Each message is a request of ours to the host, and what that answers is the server's answer: so
    requests go beside each other, and none waits for the one before it.
    """

    def __init__(self, host: Host, server: str) -> None:
        self._host = host
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Streams:
        self._heard, read = anyio.create_memory_object_stream[Heard](0)
        write, said = anyio.create_memory_object_stream[SessionMessage](0)
        self._start(self._speak(said))
        return read, write

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._heard.close()

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _speak(self, said: MemoryObjectReceiveStream[SessionMessage]) -> None:
        async with said:
            async for message in said:
                self._start(self._carry(message))

    async def _carry(self, message: SessionMessage) -> None:
        """Take a message to the server, and what it answers back."""
        body = message.message.model_dump(by_alias=True, mode="json", exclude_unset=True)
        try:
            answer = await self._host.ask("mcp_message", server_name=self._server, message=body)
            came = answer.get("mcp_response")
        except HostFailed as error:
            came = {
                "jsonrpc": "2.0",
                "id": body.get("id"),
                "error": {"code": INTERNAL_ERROR, "message": str(error)},
            }
        if not isinstance(message.message, JSONRPCRequest):
            return  # nobody waits for an answer, whatever came
        try:
            heard: Heard = SessionMessage(
                jsonrpc_message_adapter.validate_python(came, by_name=False)
            )
        except ValueError as error:
            heard = error
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._heard.send(heard)
