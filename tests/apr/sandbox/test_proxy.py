"""The way out: which hosts a confined command reaches, through a real proxy and real sockets."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from apr.sandbox.proxy import Allowed
from tests.apr.sandbox.conftest import PYTHON, Opened, needs_sandbox


@pytest.fixture
async def server() -> AsyncIterator[tuple[int, list[bytes]]]:
    """An HTTP server on this machine, and the requests that it gets."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nreached")
        await writer.drain()
        writer.close()

    serving = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with serving:
        yield serving.sockets[0].getsockname()[1], heard


FETCH = """
import sys, urllib.request, urllib.error
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())
except urllib.error.URLError as error:
    print(getattr(error, "code", None), error)
"""
TUNNEL = """
import http.client, sys
through = http.client.HTTPConnection("127.0.0.1", 3128)
through.set_tunnel("localhost", int(sys.argv[1]))
through.request("GET", "/x")
print(through.getresponse().read().decode())
"""


def fetch(url: str, script: str = FETCH) -> str:
    # NO_PROXY names this machine, for the servers that commands start themselves
    return f"no_proxy= NO_PROXY= {PYTHON} -c '{script}' {url}"


@needs_sandbox
async def test_a_host_that_is_allowed_is_reached_by_its_name(
    opened: Opened, server: tuple[int, list[bytes]]
) -> None:
    port, heard = server
    here = await opened({"network": {"allowedDomains": ["localhost"]}})
    assert await here.run(fetch(f"http://localhost:{port}/page?q=1")) == (0, "reached\n")
    assert heard[0].startswith(b"GET /page?q=1 HTTP/1.1\r\nHost: localhost:")
    assert await here.run(fetch(str(port), TUNNEL)) == (0, "reached\n")


@needs_sandbox
async def test_others_are_refused_with_the_reason(
    opened: Opened, server: tuple[int, list[bytes]]
) -> None:
    port, heard = server
    here = await opened({"network": {"allowedDomains": ["example.com"]}})
    _, said = await here.run(fetch(f"http://127.0.0.1:{port}/"))
    assert "403" in said
    status, said = await here.run(fetch(str(port), TUNNEL))
    assert status != 0
    assert "403" in said
    status, _ = await here.run(f"exec 3<>/dev/tcp/127.0.0.1/{port}")
    assert status != 0, "there is no way but through the proxy"
    assert heard == []


@needs_sandbox
async def test_a_wildcard_never_leads_to_this_machine(
    opened: Opened, server: tuple[int, list[bytes]]
) -> None:
    port, heard = server
    here = await opened({"network": {"allowedDomains": ["*"]}})
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1"):
        _, said = await here.run(fetch(f"http://{host}:{port}/"))
        assert "502" in said, host
    assert heard == []


@needs_sandbox
async def test_what_is_denied_is_denied_also_where_all_is_allowed(
    opened: Opened, server: tuple[int, list[bytes]]
) -> None:
    network = {"allowedDomains": ["*", "localhost"], "deniedDomains": ["localhost"]}
    here = await opened({"network": network})
    _, said = await here.run(fetch(f"http://localhost:{server[0]}/"))
    assert "403" in said


@needs_sandbox
async def test_a_proxy_of_the_users_own_decides_in_our_place(
    opened: Opened, server: tuple[int, list[bytes]]
) -> None:
    port, heard = server
    here = await opened({"network": {"httpProxyPort": port}})
    assert await here.run(fetch("http://anything.example/")) == (0, "reached\n")
    assert heard[0].startswith(b"GET http://anything.example/ HTTP/1.1")


@needs_sandbox
@pytest.mark.parametrize(
    "request_", ["GET / HTTP/1.1", "CONNECT x HTTP/1.1", "GET ftp://x/ HTTP/1.1", "x", "\\xff y z"]
)
async def test_what_is_no_request_for_a_proxy_is_answered_and_ended(
    opened: Opened, request_: str
) -> None:
    here = await opened({"network": {"allowedDomains": ["*"]}})
    _, said = await here.run(
        f"exec 3<>/dev/tcp/127.0.0.1/3128; printf '{request_}\\r\\n\\r\\n' >&3; cat <&3"
    )
    assert said.startswith("HTTP/1.1 400 ")


def test_names_are_compared_as_names_of_hosts() -> None:
    allowed = Allowed(("example.com", "*.example.org"), ("bad.example.org",))
    permitted = {"example.com", "EXAMPLE.com.", "a.example.org", "a.b.example.org"}
    refused = {"www.example.com", "example.org", "xexample.com", "bad.example.org", "", "com"}
    assert all(map(allowed.permits, permitted))
    assert not any(map(allowed.permits, refused))
