"""Servers that others wrote: the protocol's own package over each transport, and installed ones."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from apr.agent.parts import Expansion
from apr.mcp.config import Kind, Server
from apr.mcp.failures import Failed, Gone
from apr.mcp.servers import Servers
from apr.tools.base import Context
from apr.tools.files import FileLedger
from apr.tools.inputs import parse
from apr.tools.shells import Shells
from tests.apr.mcp import real_server
from tests.apr.mcp.conftest import House, statuses

REAL = str(Path(__file__).with_name("real_server.py"))


def server(kind: Kind, url: str = "", *command: str) -> Server:
    program, *args = command or ("",)
    return Server(
        name="real",
        scope="user",
        source="test",
        kind=kind,
        command=program,
        args=tuple(args),
        url=url,
    )


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[str]:
    """Serve on a free port of this machine."""
    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="on")
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    while not running.started:
        await asyncio.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        running.should_exit = running.force_exit = True
        await task


@asynccontextmanager
async def reached_over(kind: Kind) -> AsyncIterator[Server]:
    if kind == "stdio":
        yield server(kind, "", sys.executable, REAL)
    elif kind == "sse":
        async with listening(real_server.server.sse_app()) as url:
            yield server(kind, f"{url}/sse")
    else:
        async with listening(real_server.server.streamable_http_app()) as url:
            yield server(kind, f"{url}/mcp")


async def used(servers: Servers, house: House, name: str, **given: object) -> tuple[bool, str]:
    """Use a tool as the agent does."""
    root = house.folder
    tool = next(tool for tool in servers.tools() if tool.name == name)
    context = Context(root=root, cwd=root, files=FileLedger(), shells=Shells())
    outcome = await tool.run(parse(tool, given), context)
    return outcome.ok, outcome.content


@pytest.mark.parametrize("kind", ["stdio", "http", "sse"])
async def test_everything_works_over_each_transport(house: House, kind: Kind) -> None:
    async with reached_over(kind) as reached:
        servers = house(reached)
        await servers.ready()
        assert house.told == []
        assert [tool.name for tool in servers.tools()] == [
            "mcp__real__add",
            "mcp__real__mirror",
            "mcp__real__slow",
            "mcp__real__fail",
            "ListMcpResourcesTool",
            "ReadMcpResourceTool",
        ]
        assert await used(servers, house, "mcp__real__add", a=2, b=3) == (True, "5")
        ok, said = await used(servers, house, "mcp__real__mirror", point={"x": 1, "y": 2})
        assert ok
        assert msgspec.json.decode(said) == {"x": -1, "y": -2}
        ok, said = await used(servers, house, "mcp__real__fail")
        assert not ok
        assert "fail" in said
        _, said = await used(servers, house, "ListMcpResourcesTool")
        assert msgspec.json.decode(said)["uri"] == "notes://today"
        uri = "notes://today"
        read = await used(servers, house, "ReadMcpResourceTool", server="real", uri=uri)
        assert read == (True, "Buy milk.")
        (command,) = servers.prompts()
        assert (command.name, command.arguments) == ("mcp__real__review", ("path", "tone"))
        expanded = await servers.expand("mcp__real__review", '"my file.py" strict')
        assert expanded == Expansion(command.name, "Review my file.py and be strict.")
        await servers.close()


async def test_progress_is_shown(house: House) -> None:
    shown: list[str] = []
    async with reached_over("stdio") as reached:
        servers = house(reached)
        await servers.ready()
        await servers.all[0].call("slow", {"steps": 2}, shown.append)
    assert shown == ["step 0\n", "step 1\n"]


async def test_a_command_that_fails_says_so_in_its_place(house: House) -> None:
    async with reached_over("http") as reached:
        servers = house(reached)
        await servers.ready()
        expanded = await servers.expand("mcp__real__review", "")
        assert expanded is not None
        assert "needs path" in expanded.text
        assert await servers.expand("mcp__real__other", "") is None
        await servers.close()


async def test_headers_are_sent(house: House) -> None:
    seen: list[str | None] = []

    async def refuse(request: object) -> Response:
        seen.append(getattr(request, "headers", {}).get("authorization"))
        return PlainTextResponse("no", status_code=401)

    async with listening(Starlette(routes=[Route("/mcp", refuse, methods=["POST"])])) as url:
        secret = {"Authorization": "Bearer sesame"}
        servers = house(msgspec.structs.replace(server("http", f"{url}/mcp"), headers=secret))
        await servers.ready()
    assert set(seen) == {"Bearer sesame"}
    (told,) = house.told
    assert "HTTP 401: it wants to know who you are" in told
    assert "sesame" not in told


async def test_nobody_at_an_address_is_told(house: House) -> None:
    servers = house(server("http", "http://127.0.0.1:9/mcp"), server("sse", "http://127.0.0.1:9/"))
    await servers.ready()
    assert statuses(servers) == ["failed", "failed"]


async def test_a_server_that_has_forgotten_the_session_is_met_anew(house: House) -> None:
    app = real_server.server.streamable_http_app()
    forgetful = Forgetful(app)
    async with listening(forgetful) as url:
        servers = house(server("http", f"{url}/mcp"))
        await servers.ready()
        assert await used(servers, house, "mcp__real__add", a=2, b=3) == (True, "5")
        forgetful.forgets = True
        ok, said = await used(servers, house, "mcp__real__add", a=2, b=3)
        assert not ok
        assert "forgotten our session" in said
        forgetful.forgets = False
        assert await used(servers, house, "mcp__real__add", a=2, b=3) == (True, "5")
        await servers.close()


class Forgetful:
    """Passes on what it is asked, until it knows no session any more."""

    def __init__(self, app: Starlette) -> None:
        self.app = app
        self.forgets = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.forgets and scope["type"] == "http":
            await PlainTextResponse("no such session", status_code=404)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def endless(kind: str, piece: bytes) -> Callable[[object], object]:
    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield piece
            await asyncio.sleep(0)

    async def answer(_request: object) -> Response:
        return StreamingResponse(pieces(), media_type=kind)

    return answer


@pytest.mark.parametrize(
    ("kind", "piece"),
    [
        ("application/json", b"[" * 65_536),
        ("text/event-stream", b"data: {}\n\n" * 1_000),
        ("text/event-stream", b"data: " + b"x" * 65_536),
    ],
)
async def test_an_answer_without_end_fills_no_memory(house: House, kind: str, piece: bytes) -> None:
    route = Route("/mcp", endless(kind, piece), methods=["POST"])
    async with listening(Starlette(routes=[route])) as url:
        servers = house(server("http", f"{url}/mcp"))
        await servers.ready()
        assert statuses(servers) == ["failed"]
        with pytest.raises((Gone, Failed)):
            await servers.all[0].call("x", {}, lambda _text: None)
        await servers.close()


INSTALLED = {
    "mcp-server-time": ("mcp__real__get_current_time", {"timezone": "UTC"}, "UTC"),
    "mcp-server-everything": ("mcp__real__echo", {"message": "hi"}, "hi"),
}


@pytest.mark.parametrize("program", INSTALLED)
async def test_an_installed_server_is_used(house: House, program: str) -> None:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    name, given, expected = INSTALLED[program]
    servers = house(server("stdio", "", path))
    await servers.ready()
    ok, said = await used(servers, house, name, **given)
    assert ok
    assert expected in said
