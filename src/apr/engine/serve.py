"""The engine process: one model, loaded once, served on loopback until nobody needs it any more.

It ends by itself: when it has had no request for its keep-alive time, when the process it belongs
to is gone, or on SIGTERM. The state file tells others where it is and with which key to ask.
"""

import contextlib
import os
import re
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from msgspec import Struct

from apr.engine import machine, process
from apr.engine import state as engines
from apr.engine.llama import library_version, load
from apr.engine.state import EngineError, EngineState
from apr.models import header

TICK_S = 0.5
"""How often it is looked for requests and for the owner. Signals are seen at once."""


class Options(Struct, frozen=True, kw_only=True):
    """How to serve a model."""

    model: Path
    ctx: int | None = None
    keep_alive: float | None = 600.0
    """Seconds without requests after which the engine ends; None for never."""
    parent_pid: int | None = None
    """A process that the engine ends with."""
    private: bool = False
    """Whether no other process attaches to it."""
    slots: int | None = None
    """Conversations at a time; None for as many as memory allows."""
    threads: int | None = None
    port: int = 0
    """0 for any that is free."""


def serve(options: Options) -> NoReturn:
    """Load the model, serve it until nobody needs it, and end the process.

    Raises:
        EngineError: it cannot be loaded.
        BadModel: the file is damaged or no model.
    """
    owner = None if options.parent_pid is None else _Owner(options.parent_pid)
    identity = engines.identity(options.model)
    info = header.check(options.model)
    plan = machine.plan(info, machine.free_memory(), context=options.ctx, slots=options.slots)
    key = os.urandom(24).hex()
    folder = engines.directory()
    server = load(
        info,
        plan,
        name=options.model.stem,
        key=key,
        port=options.port,
        threads=options.threads or machine.threads(info),
    )
    wake = _wake_on_signals()
    path = engines.announce(
        folder,
        EngineState(
            pid=os.getpid(),
            started=process.started(os.getpid()) or "",
            owner=options.parent_pid if options.private else None,
            port=urlsplit(server.listening_address).port or 0,
            api_key=key,
            model=str(options.model.absolute()),
            model_name=options.model.stem,
            identity=identity,
            context=plan.context,
            trained_context=info.context_length,
            keep_alive=options.keep_alive,
            template=info.chat_template,
            engine=f"xllamacpp {library_version()}",
        ),
    )
    sys.stderr.write(
        f"Serving {info.path} at {server.listening_address}/v1, the key is in {path}\n"
    )
    _stay(wake, owner, _Idleness(server, path, options.keep_alive))
    path.unlink(missing_ok=True)
    # Not through the native destructors: they wait for the batch in work, and nobody wants it.
    os._exit(0)


def _stay(wake: int, owner: "_Owner | None", idle: "_Idleness") -> None:
    """Return when nobody needs the engine any more, or it was told to end."""
    # Without the state file nobody can find the engine, so then it ends as well.
    with contextlib.suppress(FileNotFoundError):
        while not select.select([wake], [], [], TICK_S)[0]:
            if owner is not None and owner.is_gone():
                return
            if idle.is_over() and _retire(idle):
                return


def _wake_on_signals() -> int:
    """Return a descriptor that becomes readable when the process is told to end.

    A handler alone would not do: the signal may reach any of the engine's threads, and Python runs
    handlers in the main one, which sleeps.
    """
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    return readable


class _Owner:
    """The process that the engine ends with."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._started = process.started(pid)
        if self._started is None:
            raise EngineError(f"--parent-pid: there is no process {pid}")

    def is_gone(self) -> bool:
        return process.started(self._pid) != self._started


class _Idleness:
    """How long the engine has had nothing to do.

    There is no event to wait for, but there are counters: an engine is busy while a request is in
    work, and was used if anything has changed since the last look. A client that attaches touches
    the state file, and so gets the whole keep-alive time for its first request.
    """

    def __init__(self, server: Any, path: Path, keep_alive: float | None) -> None:
        self.path = path
        self._server = server
        self._keep_alive = keep_alive
        self._signs: tuple[str, int] | None = None
        self._since = time.monotonic()

    def is_over(self) -> bool:
        """Whether it has been idle for longer than it should be kept alive.

        Raises:
            FileNotFoundError: the state file was removed.
        """
        signs = (self._server.handle_metrics(), self.path.stat().st_mtime_ns)
        if signs != self._signs or re.search(r"(?m)^llamacpp:requests_\w+ [1-9]", signs[0]):
            self._signs = signs
            self._since = time.monotonic()
            return False
        return self._keep_alive is not None and time.monotonic() - self._since >= self._keep_alive


def _retire(idle: _Idleness) -> bool:
    """Withdraw the engine, unless somebody is attaching to it at this very moment."""
    with engines.try_lock(idle.path.parent, engines.model_of(idle.path)) as held:
        if not held or not idle.is_over():
            return False
        idle.path.unlink(missing_ok=True)
        return True
