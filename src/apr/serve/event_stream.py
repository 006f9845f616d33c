"""An answer in Server-Sent Events."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PING_S = 10.0
"""Seconds without an event after which a stream tells that it is alive."""

Events = AsyncGenerator[bytes, None]


class EventStream(Response):
    """An answer in events, the first of which is there already.

    The generator is closed when the answer has ended, or its client has gone.

    Args:
        first: the first event.
        events: the others.
        headers: of the answer.
        ping: the event that is sent when none has come for a while; none is, if it is empty.
    """

    def __init__(
        self, first: bytes, events: Events, headers: dict[str, str], *, ping: bytes = b""
    ) -> None:
        super().__init__(
            headers={**headers, "cache-control": "no-cache", "x-accel-buffering": "no"},
            media_type="text/event-stream",
        )
        del self.headers["content-length"]
        self._first = first
        self._events = events
        self._ping = ping
        self._sent = 0.0
        """When the last event was."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        now = asyncio.get_running_loop().time
        async with contextlib.aclosing(self._events) as events:
            head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(head)
            self._sent = now()
            await send(_part(self._first))
            async with self._beating(send):
                async for event in events:
                    self._sent = now()
                    await send(_part(event))
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    @contextlib.asynccontextmanager
    async def _beating(self, send: Send) -> AsyncIterator[None]:
        beat = asyncio.create_task(self._beat(send)) if self._ping else None
        try:
            yield
        finally:
            if beat is not None:
                beat.cancel()
                await asyncio.gather(beat, return_exceptions=True)

    async def _beat(self, send: Send) -> None:
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._sent + PING_S - now())
            if now() >= self._sent + PING_S:
                self._sent = now()
                await send(_part(self._ping))


def _part(event: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": event, "more_body": True}
