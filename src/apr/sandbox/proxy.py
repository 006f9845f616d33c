"""The way out of a sandbox: an HTTP proxy that knows which hosts may be reached.

It speaks CONNECT, and plain HTTP with one request a connection. A host is judged by the name that
is asked for; a name that leads to this machine or its neighbours is refused unless the settings
name that host itself, for whoever controls a name chooses where it leads.
"""

import asyncio
import ipaddress
import socket
from contextlib import suppress
from urllib.parse import urlsplit

from msgspec import Struct

from apr.agent.rules import domain_matches

_HEAD = 64 << 10
"""Bytes that the lines before a body may take."""
_PATIENCE_S = 30.0
_MOST = 256
"""Connections at a time."""
_HOP = {b"connection", b"proxy-connection", b"keep-alive", b"proxy-authorization", b"upgrade"}


class Allowed(Struct, frozen=True):
    """Which hosts may be reached: names, or `*.` and a name for all below it; `*` for any."""

    domains: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()

    def permits(self, host: str) -> bool:
        """Whether a host may be reached."""
        if any(domain_matches(one, host) for one in self.denied):
            return False
        return any(domain_matches(one, host) for one in self.domains)

    def names(self, host: str) -> bool:
        """Whether a host is named as it is, not by a wildcard."""
        return any("*" not in one and domain_matches(one, host) for one in self.domains)


class Proxy:
    """Serves connections of a listening socket.

    Args:
        listening: the socket, in the sandbox's network.
        allowed: which hosts may be reached.
        onward: the port of a proxy of the user's own, which then decides in our place.
    """

    def __init__(
        self, listening: socket.socket, allowed: Allowed, onward: int | None = None
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._allowed = allowed
        self._onward = onward
        self._places = asyncio.Semaphore(_MOST)
        self._server = asyncio.get_running_loop().create_task(self._serve())
        self._tasks: set[asyncio.Task[None]] = set()
        self.refused: list[str] = []
        """Hosts that were asked for and not allowed, the first time each."""

    async def close(self) -> None:
        """End all connections."""
        tasks = [self._server, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._places.acquire()
            connection, _ = await loop.sock_accept(self._listening)
            task = loop.create_task(self._serve_one(connection))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._places.release()
        if not task.cancelled():
            task.exception()  # whatever it was, the connection is closed

    async def _serve_one(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection, limit=_HEAD)
        try:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._onward is not None:
            await _join((reader, writer), await asyncio.open_connection("127.0.0.1", self._onward))
            return
        try:
            async with asyncio.timeout(_PATIENCE_S):
                head = await reader.readuntil(b"\r\n\r\n")
            method, host, port, first = _asked(head)
        except (ValueError, asyncio.LimitOverrunError):
            await _refuse(writer, "400 Bad Request", "not a request that a proxy can serve")
            return
        if not self._allowed.permits(host):
            if host not in self.refused:
                self.refused.append(host)
            await _refuse(writer, "403 Forbidden", f"the sandbox does not let {host} be reached")
            return
        try:
            onward = await self._reach(host, port)
        except (OSError, TimeoutError) as error:
            await _refuse(writer, "502 Bad Gateway", f"{host} cannot be reached: {error}")
            return
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        onward[1].write(first)
        await _join((reader, writer), onward)

    async def _reach(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_PATIENCE_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [str(entry[4][0]) for entry in found]
            if not self._allowed.names(host):
                addresses = [one for one in addresses if _public(one)]
            if not addresses:
                raise OSError("it leads to a private address")
            error: OSError | None = None
            for address in addresses:
                try:
                    return await asyncio.open_connection(address, port)
                except OSError as failed:
                    error = failed
            raise error or OSError("no address")


def _public(address: str) -> bool:
    one = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(one, "ipv4_mapped", None)
    return (mapped or one).is_global and not one.is_multicast


def _asked(head: bytes) -> tuple[str, str, int, bytes]:
    """Return the method, host and port, and what goes on to the host first.

    Raises:
        ValueError: it is no request for a proxy.
    """
    line, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, version = line.decode("ascii").split(" ")
    if method == "CONNECT":
        host, _, port = target.rpartition(":")
        return method, host.strip("[]"), _port(int(port)), b""
    parts = urlsplit(target)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(target)
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    kept = [
        field
        for field in fields
        if field.partition(b":")[0].strip().lower() not in _HOP | {b"host"}
    ]
    host_field = f"Host: {parts.netloc.rpartition('@')[2]}".encode()
    first = [f"{method} {path} {version}".encode(), host_field, *kept, b"Connection: close"]
    return method, parts.hostname, _port(parts.port or 80), b"\r\n".join(first) + b"\r\n\r\n"


def _port(number: int) -> int:
    if not 0 < number < 1 << 16:
        raise ValueError(number)
    return number


async def _refuse(writer: asyncio.StreamWriter, status: str, why: str) -> None:
    body = f"{why}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _join(one: Stream, other: Stream) -> None:
    """Pass on what comes, either way, until both have ended."""
    try:
        await asyncio.gather(_pass(one[0], other[1]), _pass(other[0], one[1]))
    finally:
        other[1].close()


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    with suppress(OSError):
        target.write_eof()
