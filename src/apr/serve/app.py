"""All routes, behind one door."""

import asyncio
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from apr.serve import messages, openai
from apr.serve.backend import Backend
from apr.serve.door import Door, Rules, client_of
from apr.serve.embedder import Embedder
from apr.serve.messages_errors import Refusal as MessagesRefusal
from apr.serve.metrics import CONTENT_TYPE, Meter
from apr.serve.openai_refusal import Refusal, json_response

MESSAGES = "/v1/messages"

Gauges = dict[str, tuple[str, float]]


def application(
    backend: Backend,
    embedder: Embedder,
    *,
    rules: Rules,
    meter: Meter,
    engine_metrics: Callable[[], str],
    gauges: Callable[[], Gauges],
) -> Door:
    """Return the application that a server runs.

    Args:
        backend: the model.
        embedder: the model, as far as it embeds texts.
        rules: who may ask.
        meter: what is counted.
        engine_metrics: returns the engine's own metrics; it may take its time.
        gauges: returns what else there is to measure.
    """

    async def health(_request: Request) -> Response:
        return json_response({"status": "ok", "model": backend.info.model})

    async def metrics(_request: Request) -> Response:
        engine = await asyncio.to_thread(engine_metrics)
        return Response(meter.text(engine, gauges()), headers={"content-type": CONTENT_TYPE})

    routes = [
        Route("/health", health, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
        *openai.routes(backend, embedder, client_of),
        *messages.routes(backend, client_of),
    ]
    starlette = Starlette(routes=routes, exception_handlers={HTTPException: _not_found})
    return Door(starlette, rules, meter, {route.path for route in routes}, refuse)


def refuse(path: str, status: int, message: str) -> Response:
    """Return a refusal in the wire that the path belongs to."""
    if path.startswith(MESSAGES):
        return messages.error_response(MessagesRefusal(message, status=status))
    return Refusal(message, status=status).response()


async def _not_found(request: Request, error: Exception) -> Response:
    """Answer a request that no route takes."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    path = request.url.path
    if status == 405:
        message = f"{path} does not answer {request.method}"
    else:
        message = f"There is nothing at {path}"
    response = refuse(path, status, message)
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    return response
