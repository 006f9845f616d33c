"""Passing requests on to a server: streams as they come, keys by our own hand, faults told."""

import asyncio
import socket
from contextlib import aclosing
from typing import Any

import pytest

from ccpa.agents.base import KEY
from ccpa.errors import CcpaError
from ccpa.record.upstream import Upstream, Where, where
from ccpa.scripted.chaos import Chaos
from ccpa.scripted.http import MAX_BODY, HttpRequest
from ccpa.scripted.server import ScriptedModel, serving
from tests.ccpa.scripted.talk import says

BODY = b'{"model":"m","messages":[{"role":"user","content":"go"}],"stream":true}'


def request(
    headers: dict[str, str] | None = None, path: str = "/v1/chat/completions"
) -> HttpRequest:
    return HttpRequest("POST", path, headers or {}, BODY, len(BODY))


async def test_a_stream_is_passed_on_while_it_is_still_being_said() -> None:
    model = ScriptedModel([says("in pieces")])
    model.pause_after = 1
    with serving(model) as url:
        response = await Upstream(where(url))(request())
        assert not isinstance(response.body, bytes)
        async with aclosing(response.body) as stream:
            first = await anext(stream)
            assert b"chat.completion.chunk" in first  # the server waits, and we have this already
            model.go_on()
            rest = b"".join([piece async for piece in stream])
    assert response.content_type == "text/event-stream"
    assert (first + rest).endswith(b"data: [DONE]\n\n")


async def test_the_users_key_takes_the_place_of_the_agents() -> None:
    model = ScriptedModel([says("one"), says("two"), says("three")])
    with serving(model) as url:
        await drained(Upstream(where(url), "sk-real"), request({"authorization": f"Bearer {KEY}"}))
        await drained(Upstream(where(url)), request({"authorization": "Bearer own"}))
        await drained(Upstream(where(url)), request({"authorization": f"Bearer {KEY}"}))
    keys = [headers.get("authorization") for headers in model.headers]
    assert keys == ["Bearer sk-real", "Bearer own", None]


async def test_what_is_about_the_agents_connection_is_not_passed_on() -> None:
    model = ScriptedModel([says("one")])
    given = {"te": "trailers", "accept-encoding": "gzip", "x-own": "yes", "host": "elsewhere"}
    with serving(model) as url:
        await drained(Upstream(where(url)), request(given))
    assert "te" not in model.headers[0]
    assert model.headers[0]["accept-encoding"] == "identity"
    assert model.headers[0]["x-own"] == "yes"
    assert model.headers[0]["host"].startswith("127.0.0.1:")


async def test_errors_of_the_server_come_with_their_headers() -> None:
    model = ScriptedModel([says("x")], chaos=[Chaos(on_request=1, status=429, retry_after_s=7)])
    with serving(model) as url:
        response = await Upstream(where(url))(request())
    assert response.status == 429
    assert ("retry-after", "7") in response.headers


async def test_a_server_that_is_not_there_is_an_answer() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        upstream = Upstream(Where("127.0.0.1", taken.getsockname()[1], "", tls=False))
        response = await upstream(request())
    assert response.status == 502
    assert isinstance(response.body, bytes)
    assert b"cannot be reached" in response.body


async def test_a_server_that_breaks_off_is_an_answer_or_a_broken_stream() -> None:
    model = ScriptedModel([says("x")], chaos=[Chaos(on_request=1, drop_after_events=1)])
    with serving(model) as url, pytest.raises(ConnectionError):
        await drained(Upstream(where(url)), request())

    async def hang_up(_reader: Any, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        response = await Upstream(Where("127.0.0.1", port, "", tls=False))(request())
    assert response.status == 502


async def test_a_request_that_is_too_large_is_not_passed_on_without_its_body() -> None:
    large = HttpRequest("POST", "/v1/messages", {}, b"", MAX_BODY + 1)
    response = await Upstream(Where("127.0.0.1", 1, "", tls=False))(large)
    assert response.status == 413


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://127.0.0.1:8080/v1", Where("127.0.0.1", 8080, "", tls=False)),
        ("http://localhost:8080", Where("localhost", 8080, "", tls=False)),
        ("https://models.example/v1/", Where("models.example", 443, "", tls=True)),
        ("https://models.example/api/v1", Where("models.example", 443, "/api", tls=True)),
        ("http://[::1]:9/v1", Where("::1", 9, "", tls=False)),
    ],
)
def test_a_base_url_may_end_in_v1_or_not(url: str, server: Where) -> None:
    assert where(url) == server


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "ftp://x/v1", "http://", "http://u:p@x/v1", "http://x:port/", ""]
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(CcpaError, match="--upstream"):
        where(url)


@pytest.mark.parametrize(
    "url", ["https://api.anthropic.com", "https://API.Anthropic.com./v1", "http://claude.ai/v1"]
)
def test_the_teachers_servers_are_never_contacted(url: str) -> None:
    with pytest.raises(CcpaError, match="never contacted"):
        where(url)


async def drained(upstream: Upstream, asked: HttpRequest) -> bytes:
    response = await upstream(asked)
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([piece async for piece in response.body])
