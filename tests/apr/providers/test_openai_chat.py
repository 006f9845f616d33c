"""Chat completions: every way to fail, and to end early."""

import asyncio
import contextlib
from typing import Any

import msgspec
import pytest

from apr.agent.events import TextDelta
from apr.providers.base import (
    Completion,
    ContextOverflow,
    ProviderError,
)
from apr.providers.openai_chat import OpenAIChat
from ccpa.trace import TextBlock
from tests.apr.providers.chats import (
    CALL,
    SHORT,
    call_delta,
    calls,
    failure,
    request,
)
from tests.apr.providers.raw_server import (
    STREAM_HEAD,
    Exchange,
    RawServer,
    answer,
    chunked,
    delta,
    event,
    events,
    reply,
    says,
    stream,
)


def error_reply(status: str, message: str, **headers: str) -> bytes:
    body = msgspec.json.encode({"error": {"message": message, "type": "t"}})
    return reply(body, status, **headers)


@pytest.mark.parametrize(
    ("data", "says_", "retryable"),
    [
        (error_reply("401 Unauthorized", "bad key"), "--api-key-env", False),
        (error_reply("404 Not Found", "model 'm' not found"), "'m'.*/v1/models", False),
        (error_reply("400 Bad Request", "no such field"), "refused.*no such field", False),
        (error_reply("429 Too Many Requests", "slow down"), "cannot answer now", True),
        (error_reply("503 Service Unavailable", "Loading model"), "Loading model", True),
        (reply("<html><h1>502</h1>", "502 Bad Gateway", "text/html"), "a web page", True),
        (reply("", "500 Internal Server Error"), "no reason given", True),
        (reply('{"detail": "x"}', "422 Unprocessable Entity"), "422: x", False),
        (reply('{"error": "x"}', "400 Bad Request"), "400: x", False),
        (
            reply("", "308 Permanent Redirect", Location="https://other/v1"),
            "redirects to https://other/v1.*--base-url",
            False,
        ),
        (reply("<html>Welcome", kind="text/html"), "a web page.*--base-url", False),
        (reply(b"\x1f\x8b", Content_Encoding="gzip"), "compresses its answers .'gzip'", False),
        (reply("", kind="text/event-stream"), "ended in the middle", True),
        (reply(""), "ended in the middle", True),
        (reply("what?", kind="application/json"), "no chat completion", True),
        (stream("{"), "no chat completion", True),
        (stream("[" * 100000), "no chat completion", True),
        (stream({"choices": "x"}), "no chat completion", True),
        (stream(delta("Hel"), done=False), "ended in the middle", True),
        (stream({"error": {"message": "out of memory", "code": 500}}), "out of memory", True),
        (stream({"error": {"message": "bad", "code": 400}}), "bad", False),
        (stream({"error": "no"}), "broke off its answer: no", True),
        (stream({"object": "error", "message": "no", "code": 400}), "answer: no", False),
        (
            STREAM_HEAD + chunked(b'event: error\ndata: {"message": "no"}\n\n'),
            "broke off its answer: no",
            True,
        ),
        (stream(), "ended in the middle", True),
        (stream(delta("x", finish="abort")), "abort", True),
        (stream(delta("x", finish="content_filter")), "content_filter", False),
        (STREAM_HEAD + chunked(event(delta("Hel"))), "broke off in the middle", True),
    ],
)
async def test_a_failure_says_what_happened_and_what_to_do(
    data: bytes, says_: str, retryable: bool
) -> None:
    error = await failure(data)
    assert error.retryable is retryable
    with pytest.raises(ProviderError, match=says_):
        raise error


@pytest.mark.parametrize(
    "data",
    [
        error_reply(
            "400 Bad Request",
            "request (18016 tokens) exceeds the available context size (2048 tokens)",
        ),
        error_reply("400 Bad Request", "This model's maximum context length is 4096 tokens."),
        error_reply("500 Oops", "the request exceeds the available context size"),
        stream({"error": {"message": "the context window is full", "code": 400}}),
    ],
)
async def test_a_conversation_that_is_too_long_is_told_apart(data: bytes) -> None:
    error = await failure(data)
    assert isinstance(error, ContextOverflow)
    assert "longer than the model's context" in str(error)


async def test_a_server_may_say_how_long_to_wait() -> None:
    busy = error_reply("429 Too Many Requests", "slow", Retry_After="7")
    assert (await failure(busy)).retry_after == 7
    dated = error_reply("503 Nope", "slow", Retry_After="Fri, 31 Dec 1999 23:59:59 GMT")
    assert (await failure(dated)).retry_after is None


async def test_nothing_that_a_server_says_reaches_a_terminal_raw() -> None:
    error = await failure(error_reply("400 Bad Request", "\x1b[2J\x9b31m" + "x" * 10000))
    assert "\x1b" not in str(error)
    assert "\x9b" not in str(error)
    assert len(str(error)) < 600


async def test_half_a_call_is_never_returned_when_the_connection_breaks() -> None:
    sent = chunked(event(delta(CALL[:-15])), event(calls(call_delta(name="List", arguments="{}"))))

    async def crash(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD + sent)
        exchange.reset()

    shown: list[Any] = []

    async def collect(provider: OpenAIChat) -> None:
        async for each in provider.stream(request()):
            shown.append(each)  # noqa: PERF401 - an error must leave what came before it

    async with RawServer(crash) as server:
        with pytest.raises(ProviderError) as error:
            await collect(OpenAIChat(server.url, "m"))
    assert error.value.retryable
    assert not any(isinstance(each, Completion) for each in shown)


async def test_a_connection_that_breaks_behind_the_answer_costs_nothing() -> None:
    async def crash(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD + chunked(event(delta("Hi", finish="stop"))))
        exchange.hang_up()

    async with RawServer(crash) as server:
        completion = await answer(OpenAIChat(server.url, "m"))
    assert completion.blocks == (TextBlock("Hi"),)


async def test_an_answer_is_whole_at_done_although_the_connection_stays_open() -> None:
    async def linger(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD + chunked(event(delta("Hi")), event("[DONE]")))
        await exchange.gone()

    async with RawServer(linger) as server:
        completion = await answer(OpenAIChat(server.url, "m", timeouts=SHORT))
    assert completion.blocks == (TextBlock("Hi"),)


async def test_closing_the_stream_early_hangs_up() -> None:
    gone = asyncio.Event()

    async def talk(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD + chunked(event(delta("Hi"))))
        await exchange.gone()
        gone.set()

    async with RawServer(talk) as server:
        answering = OpenAIChat(server.url, "m").stream(request())
        async with contextlib.aclosing(answering):
            assert await events(answering, 1) == [TextDelta("Hi")]
        await gone.wait()


async def test_the_connection_is_used_again_for_the_next_turn() -> None:
    async with RawServer(*[says(stream(delta("x", finish="stop")))] * 2) as server:
        provider = OpenAIChat(server.url, "m")
        await answer(provider)
        await answer(provider)
        assert server.connections == 1
        await provider.close()
