"""What clients are told of the engine's failures."""

import asyncio
import logging
from urllib.parse import urlsplit

import pytest

from apr.providers.base import ContextOverflow, ProviderError
from apr.providers.http import Response
from apr.serve.engine import Engine, plainly
from tests.apr.providers.raw_server import Exchange, RawServer

WHERE = "http://127.0.0.1:41007/v1"


def test_a_refusal_is_told_in_the_engines_words() -> None:
    with pytest.raises(ProviderError) as told, plainly():
        raise ProviderError(f"{WHERE} refused the request (400: no such field).", said="no field")
    assert (str(told.value), told.value.invalid) == ("no field", True)
    with pytest.raises(ContextOverflow) as told, plainly():
        raise ContextOverflow(f"{WHERE}: 9 tokens. Start a new session.", said="9 tokens")
    assert str(told.value) == "9 tokens"


def test_of_a_failure_only_the_log_says_where(caplog: pytest.LogCaptureFixture) -> None:
    failure = ProviderError(f"{WHERE} cannot answer now (503: busy).", retryable=True)
    with caplog.at_level(logging.WARNING), pytest.raises(ProviderError) as told, plainly():
        raise failure
    assert "127.0.0.1" not in str(told.value)
    assert (told.value.invalid, told.value.retryable) == (False, True)
    assert caplog.messages == [str(failure)]


async def test_who_goes_away_in_the_middle_of_a_refusal_leaves_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, gone = asyncio.Event(), asyncio.Event()
    read = Response.read

    async def watched(response: Response, limit: int) -> bytes:
        reading.set()
        return await read(response, limit)

    async def refuse(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\nno")
        await exchange.gone()
        gone.set()

    monkeypatch.setattr(Response, "read", watched)
    async with RawServer(refuse) as server:
        engine = Engine(urlsplit(server.url).port or 0, "key", "model")
        asking = asyncio.create_task(engine.call("/x", {}))
        await reading.wait()
        asking.cancel()
        await gone.wait()
        with pytest.raises(asyncio.CancelledError):
            await asking
