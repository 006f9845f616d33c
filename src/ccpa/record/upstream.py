"""A server that requests are passed on to: HTTP/1.1, streams handed over as they come.

Each request has a connection of its own, so that one which hangs keeps none waiting. Keys are the
business of this side alone: where the user names one, the agent never gets to see it.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping
from urllib.parse import urlsplit

import h11
from msgspec import Struct

from ccpa.agents.base import KEY
from ccpa.errors import CcpaError
from ccpa.scripted.chat import error as error_body
from ccpa.scripted.http import HttpRequest, HttpResponse

CONNECT_TIMEOUT_S = 30.0
LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer that is no stream."""

_TOO_LARGE = 413
_BAD_GATEWAY = 502
_NEVER = ("anthropic.com", "claude.ai")
_KEYS = frozenset({"authorization", "x-api-key", "api-key"})
_PER_CONNECTION = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that are about one connection and not about what is asked."""


class Where(Struct, frozen=True):
    """A server's address. `path` is what stands before `/v1`."""

    host: str
    port: int
    path: str
    tls: bool


def where(url: str) -> Where:
    """Read a base URL; a `/v1` at its end may stand there or not.

    Raises:
        CcpaError: it is no URL of an HTTP server, or one that is never contacted.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise CcpaError(f"--upstream {url}: {error}") from None
    host = (parts.hostname or "").lower().rstrip(".")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.username:
        raise CcpaError(f"--upstream {url}: needs the form http://HOST:PORT/v1 (or https)")
    if any(host == one or host.endswith(f".{one}") for one in _NEVER):
        raise CcpaError(
            f"--upstream {url}: the teacher's own servers are never contacted; "
            "to have a session of Claude Code as a trace, use `ccpa import claude-code`"
        )
    path = parts.path.rstrip("/").removesuffix("/v1")
    tls = parts.scheme == "https"
    return Where(host, port or (443 if tls else 80), path, tls)


class Upstream:
    """A handler that passes requests on.

    Args:
        server: to whom.
        key: sent in place of whatever key the agent has; None to leave that as it is.
    """

    def __init__(self, server: Where, key: str | None = None) -> None:
        self._server = server
        self._key = key
        self._tls = ssl.create_default_context() if server.tls else None

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass on one request. A server that cannot be reached is an answer of its own, 502."""
        server = self._server
        if request.too_large:
            message = f"a request of {request.size:,} bytes is not passed on"
            return HttpResponse(status=_TOO_LARGE, body=error_body(_TOO_LARGE, message))
        try:
            reader, writer = await asyncio.wait_for(
                asyncio.open_connection(server.host, server.port, ssl=self._tls), CONNECT_TIMEOUT_S
            )
        except (OSError, TimeoutError) as error:
            return _failed(f"{server.host}:{server.port} cannot be reached: {error!r}")
        exchange = _Exchange(reader, writer)
        try:
            head = await exchange.ask(request, self._headers(request.headers), server.path)
            kind = exchange.header("content-type") or "application/octet-stream"
            is_stream = kind.startswith("text/event-stream")
            body = exchange.stream() if is_stream else await exchange.whole()
        except (OSError, h11.RemoteProtocolError) as error:
            exchange.close()
            return _failed(f"{server.host}:{server.port} broke off: {error}")
        except BaseException:
            exchange.close()
            raise
        headers = tuple(
            (name.decode(), value.decode("latin-1"))
            for name, value in head.headers
            if name.decode() not in _PER_CONNECTION | {"content-type"}
        )
        return HttpResponse(status=head.status_code, content_type=kind, body=body, headers=headers)

    def _headers(self, given: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return the headers to send. What is sent back must be readable here: not compressed."""
        server = self._server
        host = f"[{server.host}]" if ":" in server.host else server.host
        headers = [("host", f"{host}:{server.port}"), ("connection", "close")]
        headers.append(("accept-encoding", "identity"))
        placeholders = {KEY, f"Bearer {KEY}"}
        headers += [
            (name, value)
            for name, value in given.items()
            if name not in _PER_CONNECTION | {"accept-encoding"}
            and not (name in _KEYS and (self._key is not None or value in placeholders))
        ]
        if self._key is not None:
            headers.append(("authorization", f"Bearer {self._key}"))
            if "anthropic-version" in given:
                headers.append(("x-api-key", self._key))
        return headers


class _Exchange:
    """One request and its answer, on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._state = h11.Connection(h11.CLIENT)
        self._head: h11.Response | None = None

    async def ask(
        self, request: HttpRequest, headers: list[tuple[str, str]], path: str
    ) -> h11.Response:
        """Send the request; return the head of the answer."""
        if request.body:
            headers.append(("content-length", str(len(request.body))))
        asked = h11.Request(method=request.method, target=path + request.path, headers=headers)
        self._writer.write(self._state.send(asked) or b"")
        self._writer.write(self._state.send(h11.Data(request.body)) or b"")
        self._writer.write(self._state.send(h11.EndOfMessage()) or b"")
        await self._writer.drain()
        while not isinstance(head := await self._next(), h11.Response):
            if not isinstance(head, h11.InformationalResponse):
                raise h11.RemoteProtocolError("no answer came")
        self._head = head
        return head

    def header(self, name: str) -> str | None:
        """Return a header of the answer."""
        found = self._head.headers if self._head else ()
        return next((v.decode("latin-1") for n, v in found if n.decode() == name), None)

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes."""
        try:
            while isinstance(event := await self._next(), h11.Data):
                yield bytes(event.data)
        except h11.RemoteProtocolError as error:
            raise ConnectionResetError(str(error)) from None
        finally:
            self.close()

    async def whole(self) -> bytes:
        """Return the body, all of it."""
        body = bytearray()
        while isinstance(event := await self._next(), h11.Data):
            body += event.data
            if len(body) > LARGEST_ANSWER:
                raise h11.RemoteProtocolError(f"an answer of more than {LARGEST_ANSWER} bytes")
        self.close()
        return bytes(body)

    def close(self) -> None:
        """Give up the connection."""
        self._writer.close()

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        while (event := self._state.next_event()) is h11.NEED_DATA:
            self._state.receive_data(await self._reader.read(65536))
        return event  # type: ignore[return-value]  # NEED_DATA has been dealt with


def _failed(message: str) -> HttpResponse:
    return HttpResponse(status=_BAD_GATEWAY, body=error_body(_BAD_GATEWAY, message))
