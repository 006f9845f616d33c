"""Who may come in: the first and last thing that a request meets.

It checks the Host, the Origin and the key, reads the body within bounds, and watches the client:
when that goes away, whatever is done for it is cancelled at once. It also counts every answer.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apr.serve.metrics import Meter
from apr.serve.queue import Client

LARGEST_BODY = 32 * 1024 * 1024
"""Bytes of a request."""
MOST_HELD = 512 * 1024 * 1024
"""Bytes of all requests that are read or answered at a time."""
BODY_IDLE_S = 30.0
"""How long a client may pause while it sends a request."""
TAKE_S = 120.0
"""How long a client may take to accept a piece of an answer before it counts as gone."""
GONE = 499
OPEN_PATHS = frozenset({"/health"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_log = logging.getLogger(__name__)
_Refuse = Callable[[str, int, str], Response]


class Rules(Struct, frozen=True, kw_only=True):
    """Who may come in."""

    keys: frozenset[str] = frozenset()
    """The keys that open; none are needed where there are none."""
    hosts: frozenset[str] | None = None
    """The names that this server may be called by; None for any.

    A web page can give its own name our address (DNS rebinding); it cannot change the Host.
    """


class Door:
    """An ASGI application around another.

    Args:
        inside: what answers those who come in.
        rules: who may.
        meter: counts the answers.
        routes: the paths that are counted by name; all others are counted as one.
        refuse: makes an answer of a path, a status and a message, in the path's own wire.
    """

    def __init__(
        self, inside: ASGIApp, rules: Rules, meter: Meter, routes: Iterable[str], refuse: _Refuse
    ) -> None:
        self._inside = inside
        self._rules = rules
        self._meter = meter
        self._routes = frozenset(routes)
        self._refuse = refuse
        self._keys = [_digest(key) for key in rules.keys]
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":  # a WebSocket is closed: it cannot be opened unanswered
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        path = scope["path"]
        answer = _Answer(send)
        try:
            refusal = self._check(Request(scope))
            if refusal is not None:
                await self._refuse(path, *refusal)(scope, receive, answer)
                return
            async with self._body(receive) as body:
                await self._let_in(scope, body, receive, answer)
        except _Unread as error:
            if error.status != GONE:
                await self._refuse(path, error.status, str(error))(scope, receive, answer)
        except Exception as error:
            _log.error("%s %r failed: %r", scope["method"], path, error)
            _log.debug("where it failed", exc_info=error)
            if answer.status is None:
                said = f"Internal error ({type(error).__name__}); the server's log has more."
                await self._refuse(path, 500, said)(scope, receive, answer)
        finally:
            route = path if path in self._routes else "other"
            self._meter.request(route, answer.status or GONE)

    def _check(self, request: Request) -> tuple[int, str] | None:
        """Return status and message if the request may not come in."""
        hosts = self._rules.hosts
        if hosts is not None:
            host = _hostname("//" + request.headers.get("host", ""))
            if host not in hosts:
                return 403, f"This server is not called {host!r}: ask it by its address."
            origin = request.headers.get("origin")
            if origin is not None and _hostname(origin) not in hosts:
                return 403, "No web page of another site may ask this server."
        if self._keys and request.url.path not in OPEN_PATHS:
            given = _key(request)
            if not given:
                return 401, "An API key is needed: Authorization: Bearer KEY, or x-api-key: KEY."
            digest = _digest(given)
            # All are compared, so that the time tells nothing.
            if not sum([hmac.compare_digest(digest, key) for key in self._keys]):
                return 401, "This is not an API key of this server."
        return None

    @asynccontextmanager
    async def _body(self, receive: Receive) -> AsyncIterator[bytes]:
        """Read the body of a request, and count it as held meanwhile.

        Raises:
            _Unread: it is too large, too slow, or the client has gone.
        """
        body = bytearray()
        try:
            more = True
            while more:
                message = await _soon(receive)
                piece = message.get("body", b"")
                body += piece
                self._held += len(piece)
                if len(body) > LARGEST_BODY:
                    raise _Unread(413, f"A request may have {LARGEST_BODY:,} bytes at most.")
                if self._held > MOST_HELD:
                    raise _Unread(503, "Too many large requests at a time. Try again later.")
                more = message.get("more_body", False)
            yield bytes(body)
        finally:
            self._held -= len(body)

    async def _let_in(self, scope: Scope, body: bytes, receive: Receive, send: "_Answer") -> None:
        """Have the request answered; cancel that when the client goes away."""
        gone = asyncio.create_task(_gone(receive))
        parts = [body]

        async def replay() -> Message:
            if parts:
                return {"type": "http.request", "body": parts.pop(), "more_body": False}
            await asyncio.wait([gone])
            return {"type": "http.disconnect"}

        work = asyncio.ensure_future(self._inside(scope, replay, send))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done() and not work.cancelled():
                work.result()
        finally:
            gone.cancel()
            work.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)


class _Unread(Exception):
    """The request's body did not come in full."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status


class _Answer:
    """Sends an answer, and remembers its status."""

    def __init__(self, send: Send) -> None:
        self.status: int | None = None
        self._send = send

    async def __call__(self, message: Message) -> None:
        """Send a part of the answer; a client that does not take it is one that has gone."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        work = asyncio.current_task()
        assert work is not None  # noqa: S101 - an ASGI server runs applications in tasks
        alarm = asyncio.get_running_loop().call_later(TAKE_S, work.cancel)
        try:
            await self._send(message)
        finally:
            alarm.cancel()


async def _soon(receive: Receive) -> Message:
    """Return the next part of a request's body.

    Raises:
        _Unread: it does not come in time, or the client has gone.
    """
    try:
        async with asyncio.timeout(BODY_IDLE_S):
            message = await receive()
    except TimeoutError:
        said = f"Nothing came for {BODY_IDLE_S:g} s in the middle of the request."
        raise _Unread(408, said) from None
    if message["type"] == "http.disconnect":
        raise _Unread(GONE)
    return message


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def client_of(request: Request) -> Client:
    """Return who asks."""
    key = _key(request)
    host = request.client.host if request.client else ""
    return Client(host, hashlib.sha256(key.encode()).hexdigest()[:16] if key else "")


def _key(request: Request) -> str:
    """Return the key that the request comes with, "" if with none."""
    kind, _, bearer = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and bearer.strip():
        return bearer.strip()
    return request.headers.get("x-api-key", "").strip()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
