"""A small HTTP/1.1 server on h11 and asyncio: whole requests in, streamed answers out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import h11
from msgspec import Struct

MAX_BODY = 64 * 1024 * 1024


class HttpRequest(Struct, frozen=True):
    """A request, its body read to the end. Header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class HttpResponse(Struct, frozen=True):
    """An answer. Bytes are sent with their length, an iterator in chunks as it comes."""

    status: int
    content_type: str
    body: bytes | AsyncIterator[bytes]


Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


async def listen(handler: Handler, *, port: int = 0) -> asyncio.Server:
    """Listen on loopback. Port 0 takes a free one: see `server.sockets`."""

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _converse(handler, reader, writer)
        except (ConnectionError, h11.RemoteProtocolError):
            pass  # the client went away, or does not speak HTTP
        finally:
            writer.close()

    return await asyncio.start_server(on_connection, "127.0.0.1", port)


async def _converse(
    handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer requests until the connection closes."""
    connection = h11.Connection(h11.SERVER)
    while (request := await _receive(connection, reader, writer)) is not None:
        await _respond(connection, await handler(request), writer)
        if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
            return
        connection.start_next_cycle()


async def _receive(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> HttpRequest | None:
    head: h11.Request | None = None
    body = bytearray()
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
            body += event.data
            if len(body) > MAX_BODY:
                raise h11.RemoteProtocolError("the request body is too large")
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            return HttpRequest(head.method.decode(), head.target.decode(), headers, bytes(body))
        else:
            return None


async def _respond(
    connection: h11.Connection, response: HttpResponse, writer: asyncio.StreamWriter
) -> None:
    headers = [("content-type", response.content_type)]
    if isinstance(response.body, bytes):
        headers.append(("content-length", str(len(response.body))))
    else:
        headers.append(("transfer-encoding", "chunked"))
    writer.write(connection.send(h11.Response(status_code=response.status, headers=headers)) or b"")
    if isinstance(response.body, bytes):
        writer.write(connection.send(h11.Data(response.body)) or b"")
    else:
        async for chunk in response.body:
            writer.write(connection.send(h11.Data(chunk)) or b"")
            await writer.drain()
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()
