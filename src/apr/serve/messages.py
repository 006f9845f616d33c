"""The routes of the Messages API: `/v1/messages` and `/v1/messages/count_tokens`.

A request is read in a thread, since a large one takes a while. The first event of the model comes
before the head of the answer, so that a refusal has its own status. A client that goes away is
noticed at once, and the model stops.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from apr.providers.base import Completion, ContextOverflow, ModelEvent, ProviderError, Request
from apr.serve.backend import Backend, Client
from apr.serve.messages_answer import PING, Stream, new_message_id, whole
from apr.serve.messages_errors import Refusal, envelope, new_request_id, refusal
from apr.serve.messages_request import LARGEST_BODY, Asked, read_request, too_large

if TYPE_CHECKING:
    from starlette.requests import Request as HTTPRequest
    from starlette.responses import Response
    from starlette.routing import Route

PING_S = 10.0
"""Seconds without an event after which a stream tells that it is alive."""

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_Events = AsyncGenerator[ModelEvent, None]


def routes(backend: Backend, client_of: Callable[["HTTPRequest"], Client]) -> "list[Route]":
    """Return the routes. `client_of` says who asks, as far as fairness goes."""
    from starlette.routing import Route

    async def create(request: "HTTPRequest", request_id: str) -> "Response":
        asked = await _asked(request, backend)
        events = backend.stream(asked.request, client_of(request))
        return await _answer(backend, request, asked, events, request_id)

    async def count(request: "HTTPRequest", request_id: str) -> "Response":
        asked = await _asked(request, backend, counting=True)
        try:
            tokens = await _while_connected(request, backend.count(asked.request))
        except ProviderError as error:
            raise await _refused(error, backend, asked.request) from error
        return _json({"input_tokens": tokens}, headers=_headers(backend, asked, request_id))

    return [
        Route("/v1/messages", _guarded(create), methods=["POST"]),
        Route("/v1/messages/count_tokens", _guarded(count), methods=["POST"]),
    ]


def error_response(refused: Refusal, request_id: str | None = None) -> "Response":
    """Return a refusal as this wire tells it, also of what never reached a route."""
    request_id = request_id or new_request_id()
    headers = {"request-id": request_id}
    if refused.retry_after is not None:
        headers["retry-after"] = str(max(1, round(refused.retry_after)))
    body = envelope(refused.status, str(refused), request_id)
    return _json(body, status=refused.status, headers=headers)


def _guarded(
    handler: Callable[["HTTPRequest", str], Awaitable["Response"]],
) -> Callable[["HTTPRequest"], Awaitable["Response"]]:
    """Return the handler of a route that answers whatever happens in this wire's own form."""

    async def handle(request: "HTTPRequest") -> "Response":
        from starlette.requests import ClientDisconnect
        from starlette.responses import Response

        request_id = new_request_id()
        try:
            return await handler(request, request_id)
        except Refusal as refused:
            return error_response(refused, request_id)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it; the log tells it from a failure
        except Exception:
            _log.exception("a request to %s failed (%s)", request.url.path, request_id)
            return error_response(Refusal("Internal server error", status=500), request_id)

    return handle


async def _asked(request: "HTTPRequest", backend: Backend, *, counting: bool = False) -> Asked:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise too_large()
    return await asyncio.to_thread(read_request, bytes(body), backend.info, counting=counting)


async def _answer(
    backend: Backend, request: "HTTPRequest", asked: Asked, events: _Events, request_id: str
) -> "Response":
    from starlette.responses import StreamingResponse

    model = backend.info.model
    headers = _headers(backend, asked, request_id)
    try:
        if not asked.stream:
            completion = await _while_connected(request, _completed(events))
            message = whole(completion, asked, model=model, id_=new_message_id())
            return _json(message, headers=headers)
        first = await _while_connected(request, anext(events))
    except ProviderError as error:
        raise await _refused(error, backend, asked.request) from error
    stream = Stream(asked, model=model, id_=new_message_id())
    return StreamingResponse(
        _told(first, events, stream, request_id),
        media_type="text/event-stream",
        headers=headers | {"cache-control": "no-cache", "x-accel-buffering": "no"},
    )


async def _completed(events: _Events) -> Completion:
    async with contextlib.aclosing(events):
        async for event in events:
            if isinstance(event, Completion):
                return event
    raise ProviderError("The model ended its answer without a word.")


async def _told(
    first: ModelEvent, events: _Events, stream: Stream, request_id: str
) -> AsyncGenerator[bytes, None]:
    """Yield an answer in Server-Sent Events; a failure becomes the last of them."""
    try:
        for told in stream.take(first):
            yield _sse(told)
        async with contextlib.aclosing(_beating(events)) as beating:
            async for event in beating:
                for told in stream.take(event) if event else [PING]:
                    yield _sse(told)
    except ProviderError as error:
        status = refusal(error, context=0, tokens=None).status
        yield _sse(envelope(status, str(error), request_id))


async def _beating(events: _Events) -> AsyncGenerator[ModelEvent | None, None]:
    """Yield the events, and None whenever none has come for `PING_S`."""
    coming: asyncio.Task[ModelEvent] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(_next(events))
            if not (await asyncio.wait({coming}, timeout=PING_S))[0]:
                yield None
                continue
            done, coming = coming, None
            try:
                event = done.result()
            except StopAsyncIteration:
                return
            yield event
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await events.aclose()


async def _next(events: _Events) -> ModelEvent:
    return await anext(events)


async def _while_connected(request: "HTTPRequest", work: Awaitable[_Result]) -> _Result:
    """Return the result of some work, which is cancelled when the client goes away.

    Raises:
        ClientDisconnect: it has gone.
    """
    from starlette.requests import ClientDisconnect

    async def worked() -> _Result:
        return await work

    working = asyncio.create_task(worked())
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: "HTTPRequest") -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _refused(error: ProviderError, backend: Backend, request: Request) -> Refusal:
    tokens = None
    if isinstance(error, ContextOverflow):
        with contextlib.suppress(ProviderError):
            tokens = await backend.count(request)
    return refusal(error, context=backend.info.context, tokens=tokens)


def _headers(backend: Backend, asked: Asked, request_id: str) -> dict[str, str]:
    headers = {"request-id": request_id, **backend.info.fallback(asked.model)}
    if asked.left_out:
        headers["x-apr-left-out"] = ", ".join(asked.left_out)
    return headers


def _json(body: Any, *, status: int = 200, headers: dict[str, str]) -> "Response":
    from starlette.responses import Response

    encoded = msgspec.json.encode(body)
    return Response(encoded, status, headers=headers, media_type="application/json")


def _sse(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(event))
