"""A server on loopback that says exactly the bytes a test gives it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any

import msgspec
from msgspec import Struct

from apr.providers.base import Completion, ModelEvent, Provider, Request, UserMessage


class Received(Struct):
    """A request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body, type=dict[str, Any])


class Exchange:
    """One request, and the means to answer it."""

    def __init__(
        self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.request = request
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def drip(self, data: bytes) -> None:
        """Send byte by byte, each in a packet of its own as far as the system allows."""
        for index in range(len(data)):
            await self.send(data[index : index + 1])
            await asyncio.sleep(0)

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(1024):
                pass

    def hang_up(self) -> None:
        """Close the connection, now."""
        self._writer.close()

    def reset(self) -> None:
        """Break the connection off, as a crash does."""
        self._writer.transport.abort()


Script = Callable[[Exchange], Awaitable[None]]


class RawServer:
    """Answers the requests of one connection after the other with one script each."""

    def __init__(self, *scripts: Script, host: str = "127.0.0.1") -> None:
        self.received: list[Received] = []
        self.connections = 0
        self._scripts = list(scripts)
        self._host = host
        self._failure: BaseException | None = None

    async def __aenter__(self) -> "RawServer":
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        if self._failure and not error:
            raise self._failure

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.sockets[0].getsockname()[1]}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self._scripts and (request := await _read(reader)):
                self.received.append(request)
                await self._scripts.pop(0)(Exchange(request, reader, writer))
        except BaseException as error:
            self._failure = error
            raise
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (item.split(": ", 1) for item in rest)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(line, headers, body)


def reply(
    body: bytes | str, status: str = "200 OK", kind: str = "application/json", **headers: str
) -> bytes:
    """Return a whole answer with a length."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + data


def says(data: bytes) -> Script:
    """Return a script that sends these bytes."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(data)

    return script


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def chunked(*parts: bytes) -> bytes:
    """Return parts as chunks, without the end."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def event(data: Any) -> bytes:
    """Return one server-sent event."""
    text = data if isinstance(data, str) else msgspec.json.encode(data).decode()
    return f"data: {text}\n\n".encode()


def delta(content: str | None = None, *, finish: str | None = None, **fields: Any) -> Any:
    """Return a chunk of a chat completion."""
    said = {} if content is None else {"content": content}
    return {"choices": [{"index": 0, "delta": {**said, **fields}, "finish_reason": finish}]}


def stream(*chunks: Any, done: bool = True) -> bytes:
    """Return a whole streamed answer."""
    events = [event(chunk) for chunk in [*chunks, *(["[DONE]"] if done else [])]]
    return STREAM_HEAD + chunked(*events) + b"0\r\n\r\n"


async def ask(provider: Provider, request: Request | str = "Hi") -> list[ModelEvent]:
    """Return all events of an answer."""
    if isinstance(request, str):
        request = Request(system="", messages=(UserMessage(request),))
    return [event async for event in provider.stream(request)]


async def answer(provider: Provider, request: Request | str = "Hi") -> Completion:
    """Return the whole answer."""
    *_, last = await ask(provider, request)
    assert isinstance(last, Completion)
    return last


async def events(stream: AsyncIterator[ModelEvent], count: int) -> Sequence[ModelEvent]:
    """Return the first events of a stream, which stays open."""
    return [await anext(stream) for _ in range(count)]
