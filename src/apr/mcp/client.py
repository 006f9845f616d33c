"""One connection to one server, by the protocol's own package.

Importing this costs a second on a slow machine: only who talks to a server does (`served.py`).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from mcp import Client, MCPError
from mcp import types as wire
from mcp.client.session import ClientRequestContext, IncomingMessage
from mcp.shared.dispatcher import ProgressFnT
from pydantic import BaseModel, ValidationError

from apr import __version__
from apr.mcp.config import Server
from apr.mcp.content import Answer, answer
from apr.mcp.failures import Failed, Gone
from apr.mcp.listing import MOST, Listing, clean, prompts, tools
from apr.mcp.remote import Line
from apr.mcp.stdio import Program

_PAGES = 100
"""Pages of a list that are asked for."""
_LEAVE_S = 3.0
"""Seconds that a connection may take to be closed."""
_OLDER_FIRST = ("legacy", "auto")
"""Every server knows the handshake of 2025, and some end at any other first word. One that knows
only what came after it says so, and is asked again."""

for _name in ("mcp", "client", "httpx2"):  # what a server says is no business of standard error's
    logging.getLogger(_name).addHandler(logging.NullHandler())


class Way(Protocol):
    """How a server is reached."""

    over: bool
    """Whether nothing more can come from it."""

    def account(self) -> str:
        """Say what went wrong, for a person; empty where nothing did."""
        ...


Transport = AbstractAsyncContextManager[Any]
"""A transport of the package: entered, it gives a stream to read and one to write."""


class Connection:
    """A server that is talked to.

    The package's client must be left by the task that has entered it, so there is a task for that.

    Args:
        server: whom to talk to.
        folder: where its process runs.
        environment: what its process finds in its environment.
        changed: called when it says that it offers something else now.
        transport: how to reach a server of kind `sdk`.
    """

    def __init__(
        self,
        server: Server,
        folder: Path,
        environment: Mapping[str, str],
        changed: Callable[[], None],
        transport: Callable[[], Transport] | None = None,
    ) -> None:
        self._server = server
        self._folder = folder
        self._environment = environment
        self._changed = changed
        self._transport = transport
        self._way: Way | None = None
        self._client: Client | None = None
        self._leave = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether an answer can be hoped for."""
        return self._client is not None and not (self._way and self._way.over)

    async def open(self, seconds: float) -> None:
        """Start the server, or find it, and shake hands.

        Raises:
            Gone: it is not there, or did not answer in time.
        """
        for mode in _OLDER_FIRST:
            opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._leave = asyncio.Event()
            self._task = asyncio.create_task(self._live(mode, opened))
            try:
                async with asyncio.timeout(seconds):
                    await asyncio.shield(opened)
                return
            except _SpeaksAnother:
                await self.close()
            except TimeoutError:
                why = self._why(f"it did not answer within {seconds:g} s")
                await self.close()
                raise Gone(why) from None
            except BaseException:
                await self.close()
                raise
        raise Gone("it speaks no version of the protocol that is known here")

    async def _live(self, mode: str, opened: "asyncio.Future[None]") -> None:
        """Hold the connection open until it is to be closed."""
        try:
            async with self._made(mode) as client:
                self._client = client
                opened.set_result(None)
                await self._leave.wait()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if not opened.done():
                opened.set_exception(self._failure(error))
        finally:
            self._client = None
            opened.cancel()  # of no effect on one that has its answer

    def _made(self, mode: str) -> Client:
        transport: Transport
        if self._transport is not None:
            transport = self._transport()
        elif self._server.kind == "stdio":
            environment = {**self._environment, **self._server.env}
            transport = program = Program(self._server, self._folder, environment)
            self._way = program
        else:
            line = Line(self._server)
            transport, self._way = line.transport(), line
        return Client(
            transport,
            mode=mode,
            cache=None,
            client_info=wire.Implementation(name="apr", version=__version__),
            message_handler=self._hear,
            list_roots_callback=self._roots,
        )

    async def _hear(self, message: IncomingMessage) -> None:
        if isinstance(
            message,
            wire.ToolListChangedNotification
            | wire.PromptListChangedNotification
            | wire.ResourceListChangedNotification,
        ):
            self._changed()

    async def _roots(self, context: ClientRequestContext) -> wire.ListRootsResult:
        root = wire.Root.model_validate({"uri": self._folder.as_uri(), "name": self._folder.name})
        return wire.ListRootsResult(roots=[root])

    async def listing(self, seconds: float) -> Listing:
        """Ask what the server offers.

        Raises:
            Gone: it has ended, or did not answer in time.
            Failed: it answered with an error.
        """
        able, name = self._entered().server_capabilities, self._server.name
        given: list[dict[str, Any]] = []
        prompted: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(seconds):
                if able.tools:
                    given = await self._pages(
                        wire.ListToolsRequest, wire.ListToolsResult, "tools", seconds
                    )
                if able.prompts:
                    prompted = await self._pages(
                        wire.ListPromptsRequest, wire.ListPromptsResult, "prompts", seconds
                    )
        except TimeoutError:
            raise Failed(f"it did not list what it offers within {seconds:g} s") from None
        found, problems = tools(name, given)
        return Listing(
            tools=tuple(found),
            prompts=tuple(prompts(name, prompted)),
            resources=able.resources is not None,
            problems=tuple(problems),
        )

    async def call(
        self,
        tool: str,
        arguments: dict[str, Any],
        seconds: float,
        show: Callable[[str], None],
    ) -> Answer:
        """Have the server do something.

        Raises:
            Gone: it has ended.
            Failed: it answered with an error, or not in time.
        """

        async def heard(progress: float, total: float | None, message: str | None) -> None:
            if message:
                show(f"{message}\n")

        params = wire.CallToolRequestParams(name=tool, arguments=arguments)
        request = wire.CallToolRequest(params=params)
        return answer(await self._ask(request, wire.CallToolResult, seconds, heard))

    async def resources(self, seconds: float) -> list[dict[str, Any]]:
        """List what the server has to read; raises as `call` does."""
        return await self._pages(
            wire.ListResourcesRequest, wire.ListResourcesResult, "resources", seconds
        )

    async def read(self, uri: str, seconds: float) -> Answer:
        """Read a resource; raises as `call` does."""
        request = wire.ReadResourceRequest(params=wire.ReadResourceRequestParams(uri=uri))
        found = await self._ask(request, wire.ReadResourceResult, seconds)
        content = [{"type": "resource", "resource": item} for item in found.get("contents", ())]
        return answer({"content": content})

    async def prompt(self, name: str, arguments: dict[str, str], seconds: float) -> str:
        """Return what a prompt says with these arguments; raises as `call` does."""
        params = wire.GetPromptRequestParams(name=name, arguments=arguments)
        request = wire.GetPromptRequest(params=params)
        found = await self._ask(request, wire.GetPromptResult, seconds)
        content = [message["content"] for message in found.get("messages", ())]
        return answer({"content": content}).text

    async def close(self) -> None:
        """Leave the server; a process of ours ends with all it has started."""
        task, self._task = self._task, None
        if task is None:
            return
        self._leave.set()
        if self._client is None:
            task.cancel()  # it is still knocking
        await asyncio.wait([task], timeout=_LEAVE_S)
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_LEAVE_S)

    async def _pages(
        self, kind: Any, result: type[BaseModel], key: str, seconds: float
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        for _ in range(_PAGES):
            params = wire.PaginatedRequestParams(cursor=cursor) if cursor else None
            page = await self._ask(kind(params=params), result, seconds)
            found += page.get(key, ())
            cursor = page.get("nextCursor")
            if not cursor or len(found) > MOST:
                break
        return found

    async def _ask(
        self,
        request: Any,
        result: type[BaseModel],
        seconds: float,
        heard: ProgressFnT | None = None,
    ) -> dict[str, Any]:
        """Ask one thing. The answer is checked against the protocol, and given as plain data."""
        session = self._entered().session
        try:
            async with asyncio.timeout(seconds):
                found = await session.send_request(request, result, progress_callback=heard)
        except TimeoutError:
            why = self._why(f"it did not answer within {seconds:g} s")
            raise (Failed(why) if self.alive else Gone(why)) from None
        except MCPError as error:
            if error.code == wire.CONNECTION_CLOSED or not self.alive:
                raise Gone(self._why("it has closed the connection")) from None
            raise Failed(clean(error.message)) from None
        except ValidationError as error:
            where = ".".join(str(step) for step in error.errors()[0]["loc"])
            raise Failed(clean(f"its answer is not what the protocol says: {where}", 300)) from None
        return found.model_dump(by_alias=True, mode="json", exclude_none=True)

    def _entered(self) -> Client:
        if self._client is None:
            raise Gone(self._why("it is not connected"))
        return self._client

    def _failure(self, error: BaseException) -> Exception:
        """Return what went wrong when a connection was to be opened."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, MCPError):
            if error.code in {wire.UNSUPPORTED_PROTOCOL_VERSION, wire.METHOD_NOT_FOUND}:
                return _SpeaksAnother()
            if error.code == wire.CONNECTION_CLOSED:
                return Gone(self._why("it closed the connection"))
            return Gone(self._why(error.message))
        if isinstance(error, FileNotFoundError):
            return Gone(f"there is no program {self._server.command!r}")
        return Gone(self._why(str(error) or type(error).__name__))

    def _why(self, otherwise: str) -> str:
        """Return the most telling reason there is."""
        account = self._way.account() if self._way is not None else ""
        return clean(f"{otherwise} ({account})" if account else otherwise, 1_000)


class _SpeaksAnother(Exception):
    """The server does not know the handshake that was tried."""
