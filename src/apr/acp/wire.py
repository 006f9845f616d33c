"""Messages on two pipes: JSON objects, one a line, checked before anything acts on them.

The package's own transport believes what it reads: a number in place of a message, or an error that
is a text, ends its connection. Nor does it notice that nobody reads what it writes. Here what is no
message is answered, as JSON-RPC wants it, and a pipe that is gone is an error for who writes to it.
"""

import asyncio
import json
import os
import queue
import threading
from contextlib import suppress
from typing import Any

import msgspec
from acp import RequestError
from msgspec import UNSET, Struct, UnsetType

from apr.headless.arrivals import BadLine
from apr.headless.stdin import lines

_LAST_WORDS_S = 1.0
"""How long an editor that has closed its side may take to read what it was sent before."""
Id = int | str | None
"""Of a request: what its answer is known by."""


class _Failure(Struct):
    code: int = -32603
    message: str = ""
    data: Any = None


class _Message(Struct):
    """A request, a notification, or the answer to a request of ours."""

    id: Id | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Any = UNSET
    result: Any = UNSET
    error: _Failure | UnsetType = UNSET


class Pipes:
    """The two directions, as the package's `Connection` wants them.

    Args:
        source: the descriptor that messages come from.
        out: the descriptor that they go to.
    """

    def __init__(self, source: int, out: int) -> None:
        self._lines = lines(source)
        self._out = out
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]] | None]
        self._waiting = queue.SimpleQueue()
        self._broken: str | None = None
        self._deaf = asyncio.Event()
        """Set when what we send is not read any more."""
        self._closed = False
        # A thread, for whoever does not read must not keep us from hearing that they cancel.
        self._writing = threading.Thread(target=self._write_all, name="stdout", daemon=True)
        self._writing.start()

    async def receive(self) -> dict[str, Any] | None:
        """Return the next message; None at the end."""
        while True:
            try:
                line = await self._line()
            except BadLine as error:
                with suppress(ConnectionError):
                    await self._refuse(None, RequestError.invalid_request({"reason": str(error)}))
                return None
            if line is None:
                return None
            try:
                return checked(line)
            except BadMessage as bad:
                with suppress(ConnectionError):
                    await self._refuse(bad.id, bad.error)

    async def _line(self) -> bytes | None:
        """Return the next line, None where there is none, or no use in hearing it."""
        reading = asyncio.ensure_future(anext(self._lines, None))
        deaf = asyncio.ensure_future(self._deaf.wait())
        try:
            await asyncio.wait((reading, deaf), return_when=asyncio.FIRST_COMPLETED)
            return await reading if reading.done() else None
        finally:
            reading.cancel()
            deaf.cancel()

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message.

        Raises:
            ConnectionError: nobody reads any more.
        """
        if self._broken is not None or self._closed:
            raise ConnectionError(self._broken or "the connection is closed")
        sent: asyncio.Future[None] = self._loop.create_future()
        self._waiting.put((encoded(message), sent))
        await sent

    async def close(self) -> None:
        """Send nothing more, and wait a moment for what is on its way to be read."""
        self._closed = True
        self._waiting.put(None)
        await asyncio.to_thread(self._writing.join, _LAST_WORDS_S)

    async def _refuse(self, request: Id, error: RequestError) -> None:
        await self.send({"jsonrpc": "2.0", "id": request, "error": error.to_error_obj()})

    def _write_all(self) -> None:
        while (item := self._waiting.get()) is not None:
            data, sent = item
            try:
                while self._broken is None and data:
                    data = data[os.write(self._out, data) :]
            except OSError as error:
                self._broken = f"the editor is gone: {error.strerror}"
            with suppress(RuntimeError):  # the loop is over, and with it who waits
                self._loop.call_soon_threadsafe(self._written, sent)

    def _written(self, sent: asyncio.Future[None]) -> None:
        if self._broken is not None:
            self._deaf.set()
        if sent.done():
            return
        if self._broken is None:
            sent.set_result(None)
        else:
            sent.set_exception(ConnectionError(self._broken))


class BadMessage(ValueError):
    """A line that is no message, and what its sender is told."""

    def __init__(self, error: RequestError, request: Id = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.id = request


def checked(line: bytes) -> dict[str, Any]:
    """Return the message that a line is.

    An answer that is none fails the request that waits for it: nobody else would ever answer that.

    Raises:
        BadMessage: it is none.
    """
    said = _decoded(line)
    try:
        message = msgspec.convert(said, _Message)
    except (msgspec.ValidationError, RecursionError) as error:
        request = _id_of(said)
        if isinstance(said, dict) and "method" not in said and request is not None:
            failure = {"code": -32603, "message": f"an answer that is none: {error}"}
            return {"id": request, "error": failure}
        wrong = RequestError.invalid_request({"reason": str(error)})
        raise BadMessage(wrong, request) from None
    if message.method is UNSET and message.id is UNSET:
        reason = "a message has a method, or the id that it answers"
        raise BadMessage(RequestError.invalid_request({"reason": reason}))
    builtins: dict[str, Any] = msgspec.to_builtins(message)
    return builtins


def _decoded(line: bytes) -> Any:
    try:
        try:
            return msgspec.json.decode(line)
        except msgspec.DecodeError:  # half a surrogate pair? JavaScript writes such
            text = json.dumps(json.loads(line), ensure_ascii=False)
            return msgspec.json.decode(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise BadMessage(RequestError.parse_error({"reason": str(error)})) from None


def _id_of(said: Any) -> Id:
    known = said.get("id") if isinstance(said, dict) else None
    return known if isinstance(known, int | str) and not isinstance(known, bool) else None


def encoded(message: dict[str, Any]) -> bytes:
    """Return a message as a line. What JSON cannot hold is put in other words, never left out."""
    try:
        return msgspec.json.encode(message) + b"\n"
    except (TypeError, OverflowError, UnicodeEncodeError):  # in a model's words: half a character
        text = json.dumps(message, default=str, ensure_ascii=False)
        return text.encode("utf-8", "replace") + b"\n"
