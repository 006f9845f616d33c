"""A server at an address: HTTP with limits on what it may send, and a memory of how it refused."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from apr.mcp.config import Server
from apr.mcp.guard import EVENT_UNITS, LARGEST_MESSAGE, Flooded, Guard

_CONNECT_S = 10.0
_SILENCE_S = 24 * 3600.0
"""Seconds that a stream of events may be silent."""
_SESSION = "mcp-session-id"
_HINTS = {
    401: "it wants to know who you are: give it a token in `headers`",
    403: "it does not let you in: look at the token in `headers`",
    404: "there is no MCP server at this address",
    405: "it speaks another transport: try the type sse, or http",
}


class Line:
    """The way to one server, and what went wrong on it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._guard = Guard()
        self._trouble = ""
        self.over = False

    def account(self) -> str:
        """Say what went wrong, for a person; empty where nothing did."""
        return self._trouble

    def transport(self) -> AbstractAsyncContextManager[Any]:
        """Return the package's transport for the server, over bounded HTTP."""
        if self._server.kind == "sse":
            return sse_client(
                self._server.url,
                headers=dict(self._server.headers),
                sse_read_timeout=_SILENCE_S,
                httpx_client_factory=self._client,
            )
        return _streamable(self._server.url, self._client(dict(self._server.headers)))

    def _client(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers={**(headers or {}), "Accept-Encoding": "identity"},
            timeout=timeout or httpx2.Timeout(_CONNECT_S, read=None),
            auth=auth,
            event_hooks={"response": [self._answered]},
        )

    async def _answered(self, response: httpx2.Response) -> None:
        """Look at the head of an answer, and have its body watched."""
        if response.request.method == "POST" or self._server.kind == "sse":
            hint = _HINTS.get(response.status_code)
            said = f"HTTP {response.status_code}" + (f": {hint}" if hint else "")
            self._trouble = said if response.status_code >= 400 else ""
        if response.status_code == 404 and _SESSION in response.request.headers:
            self._trouble, self.over = "it has forgotten our session", True
        if response.headers.get("content-encoding", "identity") != "identity":
            raise httpx2.ReadError("it compresses its answers, which nobody asked for")
        if isinstance(response.stream, httpx2.AsyncByteStream):
            endless = response.headers.get("content-type", "").startswith("text/event-stream")
            response.stream = _Watched(response.stream, self, endless=endless)

    def heard(self, data: bytes, total: int, *, endless: bool) -> None:
        """Take some of an answer into account: `total` bytes of it have come so far.

        Raises:
            httpx2.ReadError: it is too much.
        """
        try:
            if not endless and total > LARGEST_MESSAGE:
                raise Flooded(f"it sent a message of more than {LARGEST_MESSAGE >> 20} MiB")
            self._guard.heard(len(data), data.count(b"data:") * EVENT_UNITS)
        except Flooded as flood:
            self._trouble, self.over = str(flood), True
            raise httpx2.ReadError(str(flood)) from None


class _Watched(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, line: Line, *, endless: bool) -> None:
        self._stream, self._line, self._endless = stream, line, endless

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        async for data in self._stream:
            total += len(data)
            self._line.heard(data, total, endless=self._endless)
            yield data

    async def aclose(self) -> None:
        await self._stream.aclose()


@asynccontextmanager
async def _streamable(url: str, client: httpx2.AsyncClient) -> AsyncIterator[Any]:
    """Enter the package's transport with a client of ours, which it leaves to us to close."""
    way = streamable_http_client(url, http_client=client, max_sse_event_size=LARGEST_MESSAGE)
    async with client, way as streams:
        yield streams
