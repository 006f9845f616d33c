"""The Messages API over a real engine, served on loopback as `apr serve` does it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HTTPRequest

from apr.engine.client import Endpoint, attach
from apr.engine.process import end, started
from apr.serve.backend import Backend, Client, Served
from apr.serve.conversation import Answers
from apr.serve.engine import Engine
from apr.serve.messages import routes
from apr.serve.metrics import Meter
from apr.serve.queue import FairQueue
from apr.serve.slots import Slots

SLOTS = 2


@contextmanager
def engine(model: Path, home: Path, *, ctx: int | None = None) -> Iterator[Endpoint]:
    """Run an engine of its own for a model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APR_HOME", str(home))
        endpoint = asyncio.run(attach(model, ctx=ctx))
    since = started(endpoint.pid)
    try:
        yield endpoint
    finally:
        assert since is None or end(endpoint.pid, since)


def backend_of(endpoint: Endpoint, *, waiting: int = 16) -> Backend:
    """Return what stands between the routes and an engine."""
    native = Engine(urlsplit(endpoint.base_url).port or 0, endpoint.api_key, endpoint.model_name)
    answers = Answers(1 << 20)
    return Backend(
        Served(
            model=endpoint.model_name, context=endpoint.context, template=endpoint.template
        ),
        native,
        queue=FairQueue(SLOTS, waiting),
        slots=Slots(SLOTS, native, None, answers),
        answers=answers,
        meter=Meter(),
    )


@contextmanager
def served(backend: Backend) -> Iterator[str]:
    """Serve a backend's routes; yields the base URL."""
    app = Starlette(routes=routes(backend, _client_of))
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def _client_of(request: HTTPRequest) -> Client:
    return Client(request.client.host if request.client else "", "")
