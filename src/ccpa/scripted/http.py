"""A small HTTP/1.1 server on h11 and asyncio: whole requests in, streamed answers out."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress

import h11
from msgspec import Struct

MAX_BODY = 64 * 1024 * 1024


class HttpRequest(Struct, frozen=True):
    """A request, its body read to the end. Header names are lower case.

    `size` is the body's, in bytes. Of one that is `too_large`, nothing is kept.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    size: int

    @property
    def too_large(self) -> bool:
        """Whether there were more bytes than are taken."""
        return self.size > MAX_BODY


class HttpResponse(Struct, frozen=True, kw_only=True):
    """An answer: bytes are sent with their length, a generator's in chunks as they come.

    Where there is a `length`, a generator's bytes are announced to be that many, and not chunked. A
    generator that raises `ConnectionError` has the connection closed in the middle of the answer.
    `headers` are those besides the content's type and length.
    """

    status: int = 200
    content_type: str = "application/json"
    body: bytes | AsyncGenerator[bytes, None]
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None


Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


async def listen(
    handler: Handler,
    *,
    port: int = 0,
    listener: socket.socket | None = None,
    tls: ssl.SSLContext | None = None,
) -> asyncio.Server:
    """Listen on loopback, or on a socket that listens already. Port 0: see `server.sockets`."""

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.CancelledError):  # the client left, or we do
            await _converse(handler, reader, writer)
        writer.close()

    if listener is not None:
        return await asyncio.start_server(on_connection, sock=listener, ssl=tls)
    return await asyncio.start_server(on_connection, "127.0.0.1", port, ssl=tls)


async def _converse(
    handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer requests until the connection closes."""
    connection = h11.Connection(h11.SERVER)
    while True:
        try:
            request = await _receive(connection, reader, writer)
        except h11.RemoteProtocolError as error:
            await _refuse(connection, error, writer)
            return
        if request is None:
            return
        await _respond(connection, request, await handler(request), reader, writer)
        if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
            return
        connection.start_next_cycle()


async def _receive(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> HttpRequest | None:
    head: h11.Request | None = None
    body = bytearray()
    size = 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                writer.write(connection.send(go_on) or b"")
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            size += len(event.data)
            if size <= MAX_BODY:
                body += event.data
            else:
                body.clear()
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            target = head.target.decode()
            return HttpRequest(head.method.decode(), target, headers, bytes(body), size)
        else:
            return None


async def _refuse(
    connection: h11.Connection, error: h11.RemoteProtocolError, writer: asyncio.StreamWriter
) -> None:
    """Answer what is not HTTP."""
    if connection.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
        return
    text = f"not an HTTP/1.1 request: {error}\n".encode()
    headers = [("content-type", "text/plain"), ("content-length", str(len(text)))]
    status = error.error_status_hint
    writer.write(connection.send(h11.Response(status_code=status, headers=headers)) or b"")
    writer.write(connection.send(h11.Data(text)) or b"")
    await writer.drain()


async def _respond(
    connection: h11.Connection,
    request: HttpRequest,
    response: HttpResponse,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    length = len(response.body) if isinstance(response.body, bytes) else response.length
    framing = (
        ("transfer-encoding", "chunked") if length is None else ("content-length", str(length))
    )
    headers = [("content-type", response.content_type), framing, *response.headers]
    writer.write(connection.send(h11.Response(status_code=response.status, headers=headers)) or b"")
    if isinstance(response.body, bytes):
        if request.method != "HEAD":
            writer.write(connection.send(h11.Data(response.body)) or b"")
    else:
        async with aclosing(response.body) as chunks:
            async for chunk in chunks:
                writer.write(connection.send(h11.Data(chunk)) or b"")
                await writer.drain()
                await asyncio.sleep(0)  # lets other connections have their turn
                if reader.at_eof():
                    raise ConnectionResetError("the client left before the end of the answer")
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()
