"""`apr serve`: the engine and the HTTP server in one process, from loading to the last answer."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
import uvloop
from msgspec import Struct

from apr.engine import llama, machine
from apr.engine.state import EngineError, identity
from apr.models import header
from apr.models.header import ModelInfo
from apr.serve.app import Gauges, application
from apr.serve.backend import Backend, Served
from apr.serve.conversation import Answers
from apr.serve.door import LOOPBACK_NAMES, Rules
from apr.serve.embedder import Embedder
from apr.serve.engine import Engine
from apr.serve.metrics import Meter
from apr.serve.prefixes import Prefixes
from apr.serve.queue import FairQueue
from apr.serve.slots import Slots

MOST_SLOTS = 16
REMEMBERED_BYTES = 64 * 1024 * 1024
"""Characters of past answers whose exact text is remembered."""
BACKLOG = 512
TIDY_S = 5.0
"""How often it is looked for conversations that rest."""
SAVE_S = 60.0
"""How long the server takes, at its end, to save conversations."""

_log = logging.getLogger(__name__)


class Options(Struct, frozen=True, kw_only=True):
    """How to serve a model."""

    model: Path
    name: str
    """Its public name."""
    host: str = "127.0.0.1"
    port: int = 8642
    """0 for any that is free."""
    keys: frozenset[str] = frozenset()
    ctx: int | None = None
    slots: int | None = None
    """Conversations at a time; None for as many as memory allows, up to `MOST_SLOTS`."""
    threads: int | None = None
    projector: Path | None = None
    """The `mmproj` file of a model that can be shown images."""
    most_waiting: int = 64
    cache: Path | None = None
    """Where evaluated prompts are kept; None for nowhere."""
    cache_bytes: int = 0
    grace: float | None = 10.0
    """Seconds that answers in work get to end when the server is told to; None for no limit."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; a name counts by all its addresses.

    Raises:
        OSError: there is no such host.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return all(
        ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in found
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, with the first address of the host.

    Raises:
        OSError: it cannot be had.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    listening = socket.create_server(
        (str(address[0]), int(address[1])), family=family, backlog=BACKLOG
    )
    listening.setblocking(False)
    return listening


def serve(options: Options, listening: socket.socket, ready: Callable[[Served, str], None]) -> int:
    """Load the model and serve it until SIGINT or SIGTERM; return which of them it was.

    `ready` is told what is served at which URL, once it can be asked.

    Raises:
        EngineError: the model cannot be loaded.
        BadModel: the file is damaged or no model.
    """
    os.umask(0o077)  # the engine writes conversations to files
    info = header.check(options.model)
    plan = machine.plan(
        info,
        machine.free_memory(),
        context=options.ctx,
        slots=options.slots,
        most_slots=MOST_SLOTS,
    )
    threads = options.threads or machine.threads(info)
    prefixes = _prefixes(options)
    key = os.urandom(24).hex()
    native = llama.load(
        info,
        # Conversations make room by way of files, or else of memory.
        plan if prefixes is None else machine.Plan(plan.context, plan.slots, 0),
        name=options.name,
        key=key,
        port=0,
        threads=threads,
        slots_folder=prefixes.folder if prefixes else None,
        projector=options.projector,
    )
    served = Served(
        model=options.name,
        context=plan.context,
        template=info.chat_template,
        vision=options.projector is not None,
        created=int(time.time()),
    )
    parts = _Parts(options, info, plan, native, key, threads, prefixes, served)
    # A loop in C: what a token takes here, the model has not.
    return uvloop.run(parts.run(listening, lambda url: ready(served, url)))


def _prefixes(options: Options) -> Prefixes | None:
    """Return the saved prompts, if any are to be kept: llama.cpp saves none that have images."""
    if options.cache is None or not options.cache_bytes or options.projector is not None:
        return None
    model = f"{identity(options.model)} {llama.installed_version()}"
    try:
        return Prefixes(options.cache, model, options.cache_bytes)
    except OSError as error:
        raise EngineError(
            f"Evaluated prompts cannot be kept in {options.cache}: {error}\n"
            "Name another folder with --cache-dir, or keep none with --no-cache."
        ) from error


class _Parts:
    """All that a running server is made of."""

    def __init__(
        self,
        options: Options,
        info: ModelInfo,
        plan: machine.Plan,
        native: Any,
        key: str,
        threads: int | None,
        prefixes: Prefixes | None,
        served: Served,
    ) -> None:
        self._options = options
        port = urlsplit(native.listening_address).port or 0
        engine = Engine(port, key, options.name)
        answers = Answers(REMEMBERED_BYTES)
        meter = Meter()
        self._queue = FairQueue(plan.slots, options.most_waiting)
        self._slots = Slots(plan.slots, engine, prefixes, answers)
        self._places = plan.slots
        self._backend = Backend(
            served,
            engine,
            queue=self._queue,
            slots=self._slots,
            answers=answers,
            meter=meter,
        )
        self._embedder = Embedder(
            lambda key: llama.load_embedder(info, name=options.name, key=key, threads=threads),
            options.name,
            most_waiting=options.most_waiting,
        )
        self._app = application(
            self._backend,
            self._embedder,
            rules=_rules(options),
            meter=meter,
            engine_metrics=native.handle_metrics,
            gauges=self._gauges,
        )

    async def run(self, listening: socket.socket, ready: Callable[[str], None]) -> int:
        """Serve until a signal; return its number."""
        grace = self._options.grace
        server = _Server(
            uvicorn.Config(
                self._app,
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                http="h11",  # bounds heads, and takes what asks for an upgrade as a request
                ws="none",
                proxy_headers=False,  # an address is what it is, not what a client says
                timeout_graceful_shutdown=None if grace is None else max(1, round(grace)),
            )
        )
        told: list[int] = []
        hurry = asyncio.Event()

        def stop(number: int) -> None:
            if told:  # the second time, nothing is waited for
                server.force_exit = True
                hurry.set()
            server.should_exit = True
            told.append(number)

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        tidying = asyncio.create_task(self._tidy())
        ready(_url(listening))
        try:
            await server.serve(sockets=[listening])
        finally:
            tidying.cancel()
            await asyncio.gather(tidying, return_exceptions=True)
            await self._save(hurry)
            await self._backend.close()
            await self._embedder.close()
        return told[0] if told else signal.SIGTERM

    async def _save(self, hurry: asyncio.Event) -> None:
        """Save the conversations, unless it takes too long or there is no time."""
        saving = asyncio.create_task(self._slots.save_all())
        hurrying = asyncio.create_task(hurry.wait())
        await asyncio.wait({saving, hurrying}, timeout=SAVE_S, return_when=asyncio.FIRST_COMPLETED)
        for task in (saving, hurrying):
            task.cancel()
        await asyncio.gather(saving, hurrying, return_exceptions=True)

    async def _tidy(self) -> None:
        """Save conversations that rest."""
        while True:
            await asyncio.sleep(TIDY_S)
            await self._slots.save_rested()

    def _gauges(self) -> Gauges:
        return {
            "requests_in_flight": ("Requests that are computed.", self._queue.in_flight),
            "requests_waiting": ("Requests that wait for their turn.", self._queue.waiting),
            "slots": ("Conversations that can be computed at a time.", self._places),
            "conversations_saved": ("Times a conversation was saved to disk.", self._slots.saves),
            "conversations_read_back": (
                "Times a conversation was read back from disk.",
                self._slots.restores,
            ),
        }


class _Server(uvicorn.Server):
    """Uvicorn, with signals left to us: it would raise them again, and nothing would be saved."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _rules(options: Options) -> Rules:
    """Return who may ask. A server that needs a key can be called anything."""
    if not is_loopback(options.host):
        return Rules(keys=options.keys)
    return Rules(keys=options.keys, hosts=LOOPBACK_NAMES | {options.host.lower()})


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
