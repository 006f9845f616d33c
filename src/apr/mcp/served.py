"""One server over a session: known from the cache, started when it is needed, and once again."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from msgspec import Struct

from apr.mcp.cache import Cache
from apr.mcp.config import Server
from apr.mcp.content import Answer
from apr.mcp.failures import Failed, Gone
from apr.mcp.listing import Listing, clean

if TYPE_CHECKING:
    from apr.mcp.client import Connection, Transport

_CALM_S = 1.0
"""Seconds between two questions to a server that says again and again that it has changed."""

_MOST_TOLD = 10
"""Things that a person is told of one server: it must not talk to them through us."""

ResultT = TypeVar("ResultT")
Status = Literal["cached", "pending", "connected", "failed", "disabled"]


class Times(Struct, frozen=True, kw_only=True):
    """How long servers may take, in seconds."""

    wait: float = 5.0
    """The first request waits so long for servers of which nothing is known."""
    start: float = 30.0
    call: float = 300.0


def times(env: Mapping[str, str]) -> Times:
    """Return what `MCP_TIMEOUT` and `MCP_TOOL_TIMEOUT` say (milliseconds); else the defaults."""
    start, call = _seconds(env.get("MCP_TIMEOUT")), _seconds(env.get("MCP_TOOL_TIMEOUT"))
    default = Times()
    return Times(
        wait=start or default.wait, start=start or default.start, call=call or default.call
    )


def _seconds(milliseconds: str | None) -> float | None:
    with contextlib.suppress(ValueError):
        if (found := int(milliseconds or "")) > 0:
            return found / 1000
    return None


class Served:
    """One server of a session.

    A server that has gone is started again when it is needed next. One that goes twice without an
    answer between is not: its calls are answered with what is wrong.

    Args:
        server: which.
        folder: the project: where its process runs.
        environment: what its process finds in its environment.
        times: how long it may take.
        cache: what is known of servers; None to ask them always.
        changed: called when it offers something else than before.
        tell: told what a person should know, each thing once.
        transport: how to reach a server of kind `sdk`.
    """

    def __init__(
        self,
        server: Server,
        folder: Path,
        environment: Mapping[str, str],
        *,
        times: Times,
        cache: Cache | None,
        changed: Callable[[], None],
        tell: Callable[[str], None],
        transport: "Callable[[], Transport] | None" = None,
    ) -> None:
        self.server = server
        self.failure: str | None = None
        """Why it cannot be used now."""
        self.enabled = True
        """Whether it may be used: it can be turned off while the session runs."""
        self._folder = folder
        self._environment = environment
        self._times = times
        self._cache = cache
        self._changed = changed
        self._tell = tell
        self._transport = transport
        kept = cache.get(server) if cache is not None else None
        self.listing: Listing | None = kept.listing if kept else None
        self.stale = kept is None or not kept.fresh
        """Whether it should be asked what it offers."""
        self._connection: Connection | None = None
        self._opening: asyncio.Task[Connection] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._again = False
        self._lives = 2
        self._told: set[str] = set()

    @property
    def status(self) -> Status:
        """How it is with the server."""
        if not self.enabled:
            return "disabled"
        if self._connection is not None and self._connection.alive:
            return "connected"
        if self.failure is not None:
            return "failed"
        return "cached" if self.listing is not None else "pending"

    @property
    def offers(self) -> Listing | None:
        """What it offers now; None where that is nothing, or not known."""
        return self.listing if self.enabled else None

    async def reconnect(self) -> None:
        """Begin anew with it, whatever has happened before.

        Raises:
            Gone: it is not there.
        """
        if self._connection is not None:
            await self._connection.close()
        self._lives, self.failure = 2, None
        await self._connected()

    async def learn(self) -> None:
        """Find out what the server offers. Where that fails a person is told."""
        try:
            await self._connected()
        except Gone as error:
            self._report(f"cannot be used: {error}")

    async def call(
        self, tool: str, arguments: dict[str, Any], progress: Callable[[str], None]
    ) -> Answer:
        """Have the server do something.

        Raises:
            Gone: it is not there, or has ended meanwhile.
            Failed: it answered with an error, or not in time.
        """
        limit = self.server.timeout_s or self._times.call
        return await self._use(lambda up: up.call(tool, arguments, limit, progress))

    async def resources(self) -> list[dict[str, Any]]:
        """List what the server has to read; raises as `call` does."""
        return await self._use(lambda up: up.resources(self._times.call))

    async def read(self, uri: str) -> Answer:
        """Read a resource; raises as `call` does."""
        return await self._use(lambda up: up.read(uri, self._times.call))

    async def prompt(self, name: str, arguments: dict[str, str]) -> str:
        """Return what a prompt says; raises as `call` does."""
        return await self._use(lambda up: up.prompt(name, arguments, self._times.call))

    async def close(self) -> None:
        """End it."""
        for task in (self._asking, self._opening):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if self._connection is not None:
            await self._connection.close()

    async def _use(self, what: "Callable[[Connection], Awaitable[ResultT]]") -> ResultT:
        connection = await self._connected()
        try:
            result = await what(connection)
        except Failed:
            self._lives = max(self._lives, 1)
            raise
        except Gone as error:
            self.failure = str(error)
            await connection.close()
            raise
        self._lives = max(self._lives, 1)
        return result

    async def _connected(self) -> "Connection":
        """Return the connection, which is opened if there is none. Two who ask share it."""
        if self._connection is not None and self._connection.alive:
            return self._connection
        if self._opening is None or self._opening.done():
            if self._lives == 0:
                raise Gone(f"{self.failure or 'it has ended'}; it is not started again")
            self._lives -= 1
            self._opening = asyncio.create_task(self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> "Connection":
        module = await loaded()
        if self._connection is not None:
            await self._connection.close()
        connection: Connection = module.Connection(
            self.server, self._folder, self._environment, self._ask_again, self._transport
        )
        self._connection = connection
        try:
            until = asyncio.get_running_loop().time() + self._times.start
            await connection.open(self._times.start)
            left = max(until - asyncio.get_running_loop().time(), 0.1)
            self._take(await connection.listing(left))
        except (Gone, Failed) as error:
            self.failure = str(error)
            await connection.close()
            raise Gone(str(error)) from None
        except BaseException:
            await connection.close()
            raise
        self.failure = None
        return connection

    def _take(self, listing: Listing) -> None:
        for problem in listing.problems:
            self._report(problem)
        if self._cache is not None:
            self._cache.put(self.server, listing)
        self.stale = False
        if listing != self.listing:
            self.listing = listing
            self._changed()

    def _ask_again(self) -> None:
        """Take the server's word that it offers something else now."""
        self._again = True
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._relist())

    async def _relist(self) -> None:
        while self._again:
            self._again = False
            connection = self._connection
            if connection is None or not connection.alive:
                return
            with contextlib.suppress(Gone, Failed):
                self._take(await connection.listing(self._times.start))
            await asyncio.sleep(_CALM_S)

    def _report(self, text: str) -> None:
        if text not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(text)
            self._tell(f"MCP server {clean(self.server.name, 60)}: {text}")


async def loaded() -> Any:
    """Return the module that talks to servers; loaded in a thread, as a model may be talking."""
    import importlib

    return await asyncio.to_thread(importlib.import_module, "apr.mcp.client")
