"""A small HTTP/1.1 client: POST a body, stream the answer. `http_answer` reads what comes.

No proxies, no redirects followed, no compression: the other end is a model's server that the user
named, and whatever stands in between should be seen rather than worked around.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from errno import ECONNREFUSED
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from apr.providers.base import ProviderError, Unreachable

if TYPE_CHECKING:
    import ssl

    from apr.providers.http_answer import HttpAnswer

READ_SIZE = 64 * 1024
LARGEST_BODY = 256 * 1024 * 1024
"""Bytes of a streamed answer; one of real use is a thousand times smaller."""


class Timeouts(Struct, frozen=True, kw_only=True):
    """Seconds. A first byte can take minutes: a slow machine evaluates a large prompt first."""

    connect: float = 10
    first_byte: float = 1800
    """Until the head of the answer, and then until the first byte of its body."""
    idle: float = 300
    """Between two pieces of a body."""
    drain: float = 0.25
    """For the end of the message, once all that matters has been read."""


class Origin(Struct, frozen=True):
    """Where a server is, and the path that its interface starts at."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        """The host and port as they stand in a URL and in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme]
        return host if self.port == usual else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.path}"


def parse_url(url: str) -> Origin:
    """Split a server's base URL.

    Raises:
        ProviderError: it is not an http or https URL with a host.
    """
    try:
        parts = urlsplit(url.strip())
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError as error:
        raise ProviderError(f"{url!r} is not a server's URL: {error}.") from None
    extras = parts.username or parts.password or parts.query or parts.fragment
    if scheme not in ("http", "https") or not host or extras:
        raise ProviderError(
            f"{url!r} is not a server's URL. Write it as http://HOST:PORT/v1, "
            "without a query or a password."
        )
    return Origin(scheme, host, port or (443 if scheme == "https" else 80), parts.path.rstrip("/"))


class Response:
    """The head of an answer, and its body as it comes. Close it, or read it to its end."""

    def __init__(self, connection: "_Connection", answer: "HttpAnswer", client: "Client") -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._connection = connection
        self._client = client
        self._open = True
        self._size = 0

    async def chunk(self) -> bytes:
        """Return the next piece of the body as it arrives, b"" at its end.

        Raises:
            ProviderError: the connection broke, went silent, or the body is too large.
        """
        timeouts = self._client.timeouts
        if not self._open:
            return b""
        piece = await self._connection.piece(timeouts.idle if self._size else timeouts.first_byte)
        self._size += len(piece)
        if self._size > LARGEST_BODY:
            self.close()
            raise ProviderError(f"{self._client.origin} sent more than {LARGEST_BODY} bytes.")
        if not piece:
            self._open = False
            self._client.keep(self._connection)
        return piece

    async def read(self, limit: int) -> bytes:
        """Return the body, cut at `limit` bytes."""
        body = bytearray()
        while chunk := await self.chunk():
            body += chunk
            if len(body) >= limit:
                self.close()
        return bytes(body[:limit])

    async def drain(self) -> None:
        """Read what little is left, so that the connection can serve again; give up soon."""
        try:
            async with asyncio.timeout(self._client.timeouts.drain):
                await self.read(READ_SIZE)
        except (ProviderError, TimeoutError):
            self.close()

    def close(self) -> None:
        """Drop the connection if the body was not read to its end, so that the server stops."""
        if self._open:
            self._open = False
            self._connection.abort()


class Client:
    """Requests to one server, over connections that are kept open between them."""

    def __init__(self, origin: Origin, timeouts: Timeouts | None = None) -> None:
        self.origin = origin
        self.timeouts = timeouts or Timeouts()
        self._idle: list[_Connection] = []
        self._tls: ssl.SSLContext | None = None

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """Send a JSON body to `path` under the origin's; return when the answer's head is there.

        Raises:
            ProviderError: no connection, a broken one, or no answer in time.
        """
        sent = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        return await self._ask(self._head("POST", path, sent) + body)

    async def get(self, path: str, headers: Mapping[str, str]) -> Response:
        """Ask for what is at `path`; see `post`."""
        return await self._ask(self._head("GET", path, headers))

    async def _ask(self, message: bytes) -> Response:
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._exchange(connection, message, again=True)
            except _Stale:
                continue  # closed or spoiled between two requests: the server has not seen this one
        try:
            return await self._exchange(await self._connect(), message)
        except _Stale as stale:
            raise ProviderError(
                f"{self.origin} closed the connection without an answer. If the server runs on "
                "this machine, it may have crashed: look at its output.",
                retryable=True,
            ) from stale

    def keep(self, connection: "_Connection") -> None:
        """Take back a connection whose answer has been read."""
        if connection.reusable():
            self._idle.append(connection)
        else:
            connection.abort()

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            await self._idle.pop().close()

    def _head(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        fields = {"Host": self.origin.netloc, "Accept-Encoding": "identity", **headers}
        target = self.origin.path + path
        text = "".join([target, *fields.values()])
        if not (text.isascii() and text.isprintable()) or " " in target:  # it holds the secret
            raise ProviderError(
                f"A request to {self.origin} cannot be written: its address or the API key has "
                "characters that HTTP does not allow, such as a space, a newline or an accent."
            )
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {fields[name]}" for name in fields)]
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    async def _exchange(
        self, connection: "_Connection", message: bytes, *, again: bool = False
    ) -> Response:
        try:
            if again and not await connection.quiet():
                raise _Stale
            await connection.send(message, self.timeouts.first_byte)
            answer = await connection.head(self.timeouts.first_byte)
        except BaseException:
            connection.abort()
            raise
        return Response(connection, answer, self)

    async def _connect(self) -> "_Connection":
        origin, limit = self.origin, self.timeouts.connect
        if origin.scheme == "https" and self._tls is None:
            import ssl

            self._tls = ssl.create_default_context()
        try:
            async with asyncio.timeout(limit):
                reader, writer = await asyncio.open_connection(
                    origin.host, origin.port, ssl=self._tls, limit=READ_SIZE
                )
        except TimeoutError:
            raise ProviderError(
                f"{origin} did not accept a connection within {limit:g} s.", retryable=True
            ) from None
        except OSError as error:
            raise _cannot_connect(origin, error) from error
        return _Connection(reader, writer, str(origin))


class _Stale(Exception):
    """The connection ended before a byte of the answer, or is of no more use."""


class _Connection:
    """A socket, and the answer that comes over it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, where: str
    ) -> None:
        self.where = where
        self._reader = reader
        self._writer = writer
        self._answer: HttpAnswer  # from `head` on

    async def send(self, message: bytes, limit: float) -> None:
        """Send a request, within `limit` seconds."""
        try:
            self._writer.write(message)
            async with asyncio.timeout(limit):
                await self._writer.drain()
        except TimeoutError:
            raise self._broken(f"did not take the request within {limit:g} s") from None
        except OSError:
            return  # a server that refuses may answer before it has read it all: that tells more

    async def head(self, limit: float) -> "HttpAnswer":
        """Return the answer when its head is there, waiting `limit` seconds for each piece of it.

        Raises:
            _Stale: the connection ended before a byte came.
            ProviderError: it ended in the middle, stayed silent, or is not HTTP.
        """
        from apr.providers.http_answer import HttpAnswer  # while the server works on it

        self._answer = HttpAnswer()
        data = await self._receive(limit)
        if not data:
            raise _Stale
        self._answer.feed(data)
        await self._wait_for(lambda answer: answer.status > 0, limit)
        return self._answer

    async def piece(self, limit: float) -> bytes:
        """Return what has come of the body, waiting `limit` seconds for more; b"" at its end.

        Raises:
            ProviderError: as for `head`.
        """
        await self._wait_for(lambda answer: answer.done or bool(answer.body), limit)
        return self._answer.take()

    async def _wait_for(self, there: "Callable[[HttpAnswer], bool]", limit: float) -> None:
        while not there(self._answer):
            if self._answer.wrong is not None:
                self.abort()
                raise self._broken(self._answer.wrong)
            self._answer.feed(await self._receive(limit))

    async def _receive(self, limit: float) -> bytes:
        # For each token: a fifth of what asyncio.timeout takes.
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(limit, self._reader.set_exception, TimeoutError())
        try:
            return await self._reader.read(READ_SIZE)
        except TimeoutError:
            self.abort()
            raise self._broken(f"has been silent for {limit:g} s") from None
        except OSError:
            return b""
        finally:
            alarm.cancel()

    def _broken(self, what: str) -> ProviderError:
        return ProviderError(f"The model's server at {self.where} {what}.", retryable=True)

    def reusable(self) -> bool:
        """Whether the server will have another request."""
        return self._answer.reusable and not self._reader.at_eof()

    async def quiet(self) -> bool:
        """Whether nothing has come since the last answer: it would pass for the next one."""
        await asyncio.sleep(0)  # a cancellation that waits already would be taken for the timeout
        with contextlib.suppress(OSError):
            async with asyncio.timeout(0):
                await self._reader.read(1)
            return False
        return self._reader.exception() is None

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return


def _cannot_connect(origin: Origin, error: Exception) -> ProviderError:
    """Say why there is no connection, and what to do."""
    import socket
    import ssl

    # A name with several addresses that all refuse gives an error without a number of its own.
    if isinstance(error, ConnectionRefusedError) or f"[Errno {ECONNREFUSED}]" in str(error):
        return Unreachable(
            f"Nothing listens at {origin} (connection refused). Start the server, or name another "
            "with --base-url.",
            retryable=True,
        )
    if isinstance(error, socket.gaierror):
        return ProviderError(
            f"There is no host {origin.host!r}, named in {origin}: {error.strerror}."
        )
    if isinstance(error, ssl.SSLError):
        return ProviderError(
            f"No secure connection to {origin}: {error}. If the server speaks plain HTTP, use "
            "http://; if it has a certificate of your own, name that in SSL_CERT_FILE."
        )
    return ProviderError(f"No connection to {origin}: {error}.", retryable=True)
