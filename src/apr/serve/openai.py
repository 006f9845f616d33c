"""The routes of OpenAI's interface.

A chat in which tools play a part goes through `Backend.stream`: its calls are read from the model's
own text. All else is passed on to the engine, which knows OpenAI's interface (log-probabilities,
response formats, several answers).
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response
from starlette.routing import Route

from apr.providers.base import Completion, ProviderError, Request
from apr.serve.backend import Backend, Passage
from apr.serve.conversation import chain_of_body, chain_of_prompt
from apr.serve.embedder import Embedder
from apr.serve.event_stream import Events, EventStream
from apr.serve.openai_answer import Writer
from apr.serve.openai_body import passed_on, read, request_of
from apr.serve.openai_refusal import Refusal, json_response, refusal_of
from apr.serve.queue import Client
from apr.serve.volatile import without_headers

DONE = "[DONE]"
_EVENT_END = b"\n\n"

ClientOf = Callable[[HTTPRequest], Client]
_Handler = Callable[[HTTPRequest], Awaitable[Response]]


def routes(backend: Backend, embedder: Embedder, client_of: ClientOf) -> list[Route]:
    """Return the routes; `client_of` says who asks, as far as fairness goes."""
    info = backend.info

    async def chat(http: HTTPRequest) -> Response:
        body = await _body(http)
        asked = read(body, vision=info.vision)
        headers = info.fallback(asked.model)
        if asked.concerns_tools:
            writer = Writer(info.model, parallel=asked.parallel_tool_calls is not False)
            request = request_of(asked, body)
            if not asked.stream:
                completion = await _completion(backend, request, client_of(http))
                return json_response(writer.whole(completion), headers=headers)
            usage = asked.stream_options is not None and asked.stream_options.include_usage
            events = _chunks(backend, request, client_of(http), writer, usage=usage)
            return EventStream(await anext(events), events, headers)
        body = _without_headers(passed_on(body))
        chain = None if (asked.n or 1) > 1 else chain_of_body(body)
        return await _pass_on(
            backend.passage("/v1/chat/completions", body, chain, client_of(http)), body, headers
        )

    async def complete(http: HTTPRequest) -> Response:
        body = passed_on(await _body(http))
        prompt = body.get("prompt")
        if prompt is None:
            raise Refusal("prompt: there must be one", param="prompt")
        one = isinstance(prompt, str) and body.get("n", 1) == 1
        chain = chain_of_prompt(prompt) if one and isinstance(prompt, str) else None
        passage = backend.passage("/v1/completions", body, chain, client_of(http))
        return await _pass_on(passage, body, info.fallback(_model(body)))

    async def embed(http: HTTPRequest) -> Response:
        body = passed_on(await _body(http))
        answer = await embedder.embed(body, client_of(http))
        return json_response(answer, headers=info.fallback(_model(body)))

    async def models(_http: HTTPRequest) -> Response:
        return json_response({"object": "list", "data": [_card(backend)]})

    async def model(http: HTTPRequest) -> Response:
        name = http.path_params["name"]
        if name != info.model:
            said = f"There is no model {name!r} here; {info.model!r} is served."
            raise Refusal(said, status=404, code="model_not_found", param="model")
        return json_response(_card(backend))

    return [
        Route("/v1/chat/completions", _told(chat), methods=["POST"]),
        Route("/v1/completions", _told(complete), methods=["POST"]),
        Route("/v1/embeddings", _told(embed), methods=["POST"]),
        Route("/v1/models", _told(models), methods=["GET"]),
        Route("/v1/models/{name:path}", _told(model), methods=["GET"]),
    ]


def _told(handler: _Handler) -> _Handler:
    """Return the handler of a route that tells refusals in this wire's form."""

    async def handle(http: HTTPRequest) -> Response:
        try:
            return await handler(http)
        except Refusal as refusal:
            return refusal.response()
        except ProviderError as error:
            return refusal_of(error).response()

    return handle


async def _body(http: HTTPRequest) -> dict[str, Any]:
    """Return a request's JSON object.

    Raises:
        Refusal: it is none.
    """
    try:
        body = msgspec.json.decode(await http.body())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(f"The request is no JSON: {error}") from None
    except RecursionError:
        raise Refusal("The request is no JSON that can be read: it is nested too deeply") from None
    if not isinstance(body, dict):
        raise Refusal("The request is no JSON object")
    return body


async def _completion(backend: Backend, request: Request, client: Client) -> Completion:
    async with contextlib.aclosing(backend.stream(request, client)) as events:
        async for event in events:
            if isinstance(event, Completion):
                return event
    raise ProviderError("The model ended its answer without a word.", retryable=True)


async def _chunks(
    backend: Backend, request: Request, client: Client, writer: Writer, *, usage: bool
) -> Events:
    """Yield an answer in chunks; a failure in the middle becomes the last of them."""
    begun = False
    try:
        async with contextlib.aclosing(backend.stream(request, client)) as events:
            async for event in events:
                if not begun:
                    begun = True
                    yield _sse(writer.begin())
                for chunk in writer.chunks(event, usage=usage):
                    yield _sse(chunk)
        yield f"data: {DONE}\n\n".encode()
    except ProviderError as error:
        if not begun:
            raise
        yield _sse(refusal_of(error).body())


async def _pass_on(passage: Passage, body: dict[str, Any], headers: dict[str, str]) -> Response:
    if body.get("stream"):
        events = relayed(passage)
        return EventStream(await anext(events), events, headers)
    return json_response(await passage.whole(), headers=headers)


async def relayed(passage: Passage) -> Events:
    """Yield the engine's own events; a failure in the middle becomes the last of them."""
    begun, rest = False, b""
    try:
        async with contextlib.aclosing(passage.pieces()) as pieces:
            async for piece in pieces:
                whole, end, rest = (rest + piece).rpartition(_EVENT_END)
                if end:
                    begun = True
                    yield whole + end
        if rest:
            yield rest
    except ProviderError as error:
        if not begun:
            raise
        yield _sse(refusal_of(error).body())


def _sse(value: Any) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(value)


def _model(body: dict[str, Any]) -> str | None:
    model = body.get("model")
    return model if isinstance(model, str) else None


def _without_headers(body: dict[str, Any]) -> dict[str, Any]:
    """Return a chat's body without the lines of its system prompt that change every time."""
    return {**body, "messages": [_without_header(message) for message in body["messages"]]}


def _without_header(message: dict[str, Any]) -> dict[str, Any]:
    if message.get("role") not in ("system", "developer"):
        return message
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": without_headers(content)}
    parts = [_without_header_in(part) for part in content or ()]
    return {**message, "content": [part for part in parts if part.get("text") != ""]}


def _without_header_in(part: dict[str, Any]) -> dict[str, Any]:
    text = part.get("text")
    return {**part, "text": without_headers(text)} if isinstance(text, str) else part


def _card(backend: Backend) -> dict[str, Any]:
    """Return what `/v1/models` says of the model."""
    return {
        "id": backend.info.model,
        "object": "model",
        "created": backend.info.created,
        "owned_by": "apr",
        "context_length": backend.info.context,
    }
