"""The routes of the Messages API: `/v1/messages` and `/v1/messages/count_tokens`.

The first event of the model comes before the head of the answer, so that a refusal has a status of
its own. When the client goes away, the door cancels what is done here, and so the model stops.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response
from starlette.routing import Route

from apr.providers.base import Completion, ModelEvent, ProviderError
from apr.serve.backend import Backend
from apr.serve.event_stream import EventStream
from apr.serve.messages_answer import PING, Stream, new_message_id, whole
from apr.serve.messages_errors import Refusal, envelope, new_request_id, refusal
from apr.serve.messages_request import Asked, read_request
from apr.serve.queue import Client

_Events = AsyncGenerator[ModelEvent, None]
_Handler = Callable[[HTTPRequest, str], Awaitable[Response]]


def routes(backend: Backend, client_of: Callable[[HTTPRequest], Client]) -> list[Route]:
    """Return the routes. `client_of` says who asks, as far as fairness goes."""
    model, context = backend.info.model, backend.info.context

    async def create(http: HTTPRequest, request_id: str) -> Response:
        asked = await _asked(http, backend)
        headers = _headers(backend, asked, request_id)
        events = backend.stream(asked.request, client_of(http))
        try:
            if asked.stream:
                stream = Stream(asked, model=model, id_=new_message_id())
                told = _told(events, stream, context, request_id)
                return EventStream(await anext(told), told, headers, ping=_sse(PING))
            completion = await _completed(events)
        except ProviderError as error:
            raise refusal(error, context=context) from error
        message = whole(completion, asked, model=model, id_=new_message_id())
        return _json(message, headers=headers)

    async def count(http: HTTPRequest, request_id: str) -> Response:
        asked = await _asked(http, backend, counting=True)
        try:
            tokens = await backend.count(asked.request)
        except ProviderError as error:
            raise refusal(error, context=context) from error
        return _json({"input_tokens": tokens}, headers=_headers(backend, asked, request_id))

    return [
        Route("/v1/messages", _refusing(create), methods=["POST"]),
        Route("/v1/messages/count_tokens", _refusing(count), methods=["POST"]),
    ]


def error_response(refused: Refusal, request_id: str | None = None) -> Response:
    """Return a refusal as this wire tells it, also of what never reached a route."""
    request_id = request_id or new_request_id()
    headers = {"request-id": request_id}
    if refused.retry_after is not None:
        headers["retry-after"] = str(math.ceil(refused.retry_after))
    return _json(envelope(refused, request_id), status=refused.status, headers=headers)


def _refusing(handler: _Handler) -> Callable[[HTTPRequest], Awaitable[Response]]:
    """Return a route's handler: it gives each request an id, and tells what is refused."""

    async def handle(http: HTTPRequest) -> Response:
        request_id = new_request_id()
        try:
            return await handler(http, request_id)
        except Refusal as refused:
            return error_response(refused, request_id)

    return handle


async def _asked(http: HTTPRequest, backend: Backend, *, counting: bool = False) -> Asked:
    """Read the request in a thread: a large one takes a while, and a PDF longer."""
    body = await http.body()
    return await asyncio.to_thread(read_request, body, backend.info, counting=counting)


async def _completed(events: _Events) -> Completion:
    async with contextlib.aclosing(events):
        async for event in events:
            if isinstance(event, Completion):
                return event
    raise ProviderError("The model ended its answer without a word.")


async def _told(
    events: _Events, stream: Stream, context: int, request_id: str
) -> AsyncGenerator[bytes, None]:
    """Yield an answer in Server-Sent Events; a failure in the middle becomes the last of them."""
    begun = False
    try:
        async with contextlib.aclosing(events):
            async for event in events:
                begun = True
                for told in stream.take(event):
                    yield _sse(told)
    except ProviderError as error:
        if not begun:
            raise
        yield _sse(envelope(refusal(error, context=context), request_id))


def _headers(backend: Backend, asked: Asked, request_id: str) -> dict[str, str]:
    headers = {"request-id": request_id, **backend.info.fallback(asked.model)}
    if asked.left_out:
        headers["x-apr-left-out"] = ", ".join(asked.left_out)
    return headers


def _json(body: Any, *, status: int = 200, headers: dict[str, str]) -> Response:
    encoded = msgspec.json.encode(body)
    return Response(encoded, status, headers=headers, media_type="application/json")


def _sse(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(event))
