"""Faults on request, to see what an agent makes of them: always the same ones at the same place."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator

from msgspec import Struct

from ccpa.errors import CcpaError
from ccpa.scripted.http import HttpResponse


class Chaos(Struct, frozen=True, kw_only=True):
    """What goes wrong with one request for a turn.

    Args:
        on_request: which one, counted from 1 over all requests for turns.
        latency_s: seconds before the answer begins.
        drip_s: seconds before each event of a stream.
        drop_after_events: close the connection after this many events of a stream; a whole answer
            is dropped in its middle.
        status: answer with this error instead, 429 or 500 or any from 400 on.
        retry_after_s: seconds that the error's `Retry-After` asks to wait.
        malformed_sse: the data of the event in a stream's middle is cut, so that it is no JSON;
            what follows is as it should be.
        truncated_json: the answer ends in the middle of its JSON, and HTTP says that this is all: a
            whole answer, or the event in a stream's middle.

    A turn whose answer is an error, dropped, malformed or truncated is not said: the next request
    gets it.
    """

    on_request: int
    latency_s: float = 0.0
    drip_s: float = 0.0
    drop_after_events: int | None = None
    status: int | None = None
    retry_after_s: int | None = None
    malformed_sse: bool = False
    truncated_json: bool = False

    def __post_init__(self) -> None:
        if self.on_request < 1:
            raise CcpaError(f"on_request: requests are counted from 1, not from {self.on_request}")
        if self.status is not None and not 400 <= self.status <= 599:
            raise CcpaError(f"status: {self.status} is no error; use one from 400 to 599")

    def spoils(self, *, stream: bool) -> bool:
        """Say whether the client does not get the turn."""
        return (
            self.drop_after_events is not None
            or self.truncated_json
            or (self.malformed_sse and stream)
        )


class Dropped(ConnectionError):
    """The connection is to be closed in the middle of an answer."""


def whole(chaos: Chaos, body: bytes) -> HttpResponse:
    """Return a whole answer with the faults that can befall one."""
    half = body[: len(body) // 2]
    if chaos.drop_after_events is not None:
        return HttpResponse(body=_dropped(half), length=len(body))
    return HttpResponse(body=half) if chaos.truncated_json else HttpResponse(body=body)


async def _dropped(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
    raise Dropped


async def streamed(chaos: Chaos, events: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield the events of a stream with the faults that can befall one."""
    if chaos.malformed_sse or chaos.truncated_json:
        events = _damaged(list(events), end=chaos.truncated_json)
    for number, event in enumerate(events):
        if number == chaos.drop_after_events:
            raise Dropped
        if chaos.drip_s:
            await asyncio.sleep(chaos.drip_s)
        yield event
    if chaos.drop_after_events is not None:
        raise Dropped


def _damaged(events: list[bytes], *, end: bool) -> Iterator[bytes]:
    """Cut the event in the middle, and end there or go on."""
    middle = len(events) // 2
    yield from events[:middle]
    cut = events[middle][: events[middle].index(b"{") + 2]  # behind the first key's quote
    if end:
        yield cut
    else:
        yield cut + b"\n\n"
        yield from events[middle + 1 :]
