"""The HTTP client against a server that says what the test gives it, byte for byte."""

import asyncio
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from apr.providers import http
from apr.providers.base import ProviderError
from apr.providers.http import Client, Timeouts, parse_url
from tests.apr.providers.raw_server import (
    STREAM_HEAD,
    Exchange,
    RawServer,
    chunked,
    reply,
    says,
)

SHORT = Timeouts(connect=0.05, first_byte=0.05, idle=0.05, drain=0.05)


async def post(client: Client) -> bytes:
    response = await client.post("/x", b"{}", {})
    return await response.read(1000)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("http://localhost:8080/v1/", "http://localhost:8080/v1"),
        ("HTTPS://Example.com", "https://example.com"),
        ("http://[::1]:11434/v1", "http://[::1]:11434/v1"),
        ("http://host:80", "http://host"),
    ],
)
def test_a_base_url_is_split_into_where_to_connect_and_what_to_ask(url: str, seen: str) -> None:
    assert str(parse_url(url)) == seen


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8080",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://u:p@h",
        "http://h?q=1",
        "http://[::1",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(ProviderError, match="is not a server's URL"):
        parse_url(url)


async def test_a_request_says_what_it_must() -> None:
    async with RawServer(says(reply("ok"))) as server:
        client = Client(parse_url(server.url))
        response = await client.post("/x", b"{}", {"Authorization": "Bearer k"})
        assert response.status == 200
        assert await response.read(10) == b"ok"
        (request,) = server.received
        assert request.line == "POST /v1/x HTTP/1.1"
        assert request.headers["host"] == server.url.removeprefix("http://").removesuffix("/v1")
        assert request.headers["authorization"] == "Bearer k"
        assert request.body == b"{}"
        await client.close()


async def test_one_connection_serves_many_requests() -> None:
    async with RawServer(*[says(reply("ok"))] * 3) as server:
        client = Client(parse_url(server.url))
        assert [await post(client) for _ in range(3)] == [b"ok"] * 3
        assert server.connections == 1
        await client.close()


async def test_requests_at_the_same_time_get_connections_of_their_own() -> None:
    both = asyncio.Barrier(2)

    async def meet(exchange: Exchange) -> None:
        await both.wait()
        await exchange.send(reply("ok"))

    async with RawServer(meet, meet) as server:
        client = Client(parse_url(server.url))
        assert [*await asyncio.gather(post(client), post(client))] == [b"ok", b"ok"]
        assert server.connections == 2
        await client.close()


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced() -> None:
    async def close_after(exchange: Exchange) -> None:
        await exchange.send(reply("ok"))
        exchange.hang_up()

    async with RawServer(close_after, says(reply("again"))) as server:
        client = Client(parse_url(server.url))
        assert await post(client) == b"ok"
        assert await post(client) == b"again"
        assert server.connections == 2
        await client.close()


async def test_what_a_server_says_unasked_is_not_the_next_answer() -> None:
    idle = asyncio.Event()

    async def say_more(exchange: Exchange) -> None:
        await exchange.send(reply("ok"))
        await idle.wait()
        await exchange.send(reply("too late", "408 Request Timeout"))

    async with RawServer(say_more, says(reply("again"))) as server:
        client = Client(parse_url(server.url))
        assert await post(client) == b"ok"
        idle.set()
        (connection,) = client._idle
        while not connection._reader._buffer:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        assert await post(client) == b"again"
        assert server.connections == 2
        await client.close()


async def test_an_ipv6_address_is_reached() -> None:
    try:
        server = RawServer(says(reply("ok")), host="::1")
        await server.__aenter__()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    client = Client(parse_url(server.url))
    assert await post(client) == b"ok"
    assert server.received[0].headers["host"].startswith("[::1]:")
    await client.close()
    await server.__aexit__(None, None, None)


async def test_a_body_may_come_byte_by_byte() -> None:
    async def drip(exchange: Exchange) -> None:
        await exchange.drip(STREAM_HEAD + chunked(b"one", b"two") + b"0\r\n\r\n")

    async with RawServer(drip) as server:
        assert await post(Client(parse_url(server.url))) == b"onetwo"


async def test_a_body_may_end_with_the_connection() -> None:
    async def old(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        exchange.hang_up()

    async with RawServer(old) as server:
        assert await post(Client(parse_url(server.url))) == b"all of it"


async def test_a_refused_connection_says_where_and_what_to_do() -> None:
    async with RawServer() as server:
        url = server.url
    with pytest.raises(
        ProviderError, match=rf"Nothing listens at {url}.*Start the server"
    ) as error:
        await post(Client(parse_url(url)))
    assert error.value.retryable


async def test_a_name_of_several_addresses_that_all_refuse_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 1))
        for host in ("127.0.0.1", "127.0.0.2")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(ProviderError, match="Nothing listens at http://localhost:1"):
        await post(Client(parse_url("http://localhost:1")))


async def test_an_unknown_host_is_named() -> None:
    with pytest.raises(ProviderError, match=r"no host 'nowhere\.invalid'") as error:
        await post(Client(parse_url("http://nowhere.invalid:1/v1")))
    assert not error.value.retryable


BROKEN = {
    "nothing at all": (b"", "closed the connection without an answer"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", "broke off in the middle"),
    "half a body": (reply("whole")[:-2], "broke off in the middle"),
    "half a chunk": (STREAM_HEAD + b"ff\r\nabc", "broke off in the middle"),
    "chunks without an end": (STREAM_HEAD + chunked(b"abc"), "broke off in the middle"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "does not speak HTTP/1.1"),
    "a head without an end": (
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000,
        "does not speak HTTP/1.1",
    ),
    "a length that is no number": (
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        "does not speak HTTP/1.1",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_broken_answer_is_an_error_that_may_be_retried(what: str) -> None:
    data, message = BROKEN[what]

    async def break_off(exchange: Exchange) -> None:
        await exchange.send(data)
        exchange.hang_up()

    async with RawServer(break_off) as server:
        with pytest.raises(ProviderError, match=message) as error:
            await post(Client(parse_url(server.url)))
        assert error.value.retryable


async def test_a_connection_that_is_reset_is_an_error_that_may_be_retried() -> None:
    async def crash(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD + chunked(b"abc"))
        exchange.reset()

    async with RawServer(crash) as server:
        with pytest.raises(ProviderError, match=r"broke off|without an answer") as error:
            await post(Client(parse_url(server.url)))
        assert error.value.retryable


async def test_a_server_that_stays_silent_is_given_up() -> None:
    for sent in (b"", STREAM_HEAD + chunked(b"abc")):

        async def wait(exchange: Exchange, sent: bytes = sent) -> None:
            await exchange.send(sent)
            await exchange.gone()

        async with RawServer(wait) as server:
            with pytest.raises(ProviderError, match=r"silent for 0\.05 s") as error:
                await post(Client(parse_url(server.url), SHORT))
            assert error.value.retryable


async def test_the_first_byte_of_a_body_is_waited_for_as_long_as_the_head() -> None:
    async def wait(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD)
        await exchange.gone()

    async with RawServer(wait) as server:
        with pytest.raises(ProviderError, match=r"silent for 0\.05 s"):
            await post(Client(parse_url(server.url), Timeouts(first_byte=0.05, idle=1000)))


async def test_a_body_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST_BODY", 1000)

    async def flood(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD + chunked(*[b"x" * 100] * 20))
        await exchange.gone()

    async with RawServer(flood) as server:
        response = await Client(parse_url(server.url)).post("/x", b"", {})
        with pytest.raises(ProviderError, match="more than 1000 bytes"):
            await response.read(10**6)


async def test_closing_an_answer_closes_the_connection() -> None:
    gone = asyncio.Event()

    async def stream(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD + chunked(b"abc"))
        await exchange.gone()
        gone.set()

    async with RawServer(stream) as server:
        response = await Client(parse_url(server.url)).post("/x", b"", {})
        assert await response.chunk() == b"abc"
        response.close()
        await gone.wait()


async def test_cancelling_a_request_closes_the_connection() -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        arrived.set()
        await exchange.gone()
        gone.set()

    async with RawServer(wait) as server:
        task = asyncio.create_task(post(Client(parse_url(server.url))))
        await arrived.wait()
        task.cancel()
        await gone.wait()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_refusal_is_read_although_the_request_was_not() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply("too large", "413 Payload Too Large", Connection="close"))
        await writer.drain()
        writer.write_eof()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = Client(parse_url(f"http://127.0.0.1:{port}"))
        response = await client.post("/x", b"x" * 4_000_000, {})
        assert response.status == 413
        assert await response.read(100) == b"too large"


@pytest.mark.parametrize("key", ["sec\nret", "sécret"])
async def test_a_key_that_cannot_be_a_header_is_reported_without_showing_it(key: str) -> None:
    client = Client(parse_url("http://127.0.0.1:1"))
    with pytest.raises(ProviderError, match="API key") as error:
        await client.post("/x", b"", {"Authorization": f"Bearer {key}"})
    assert key not in str(error.value)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate for 127.0.0.1 with its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    key = path.with_suffix(".key")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 "
        f"-subj /CN=test -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {path}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


async def test_https_is_spoken_and_certificates_are_checked(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply("secret"))
        await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(ProviderError, match=r"No secure connection.*SSL_CERT_FILE"):
            await post(Client(parse_url(url)))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert await post(Client(parse_url(url))) == b"secret"
