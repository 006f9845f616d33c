"""The models that subagents work with: which is meant, and whether a server has it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from apr.errors import AprError
from apr.providers.base import Provider
from apr.providers.openai_chat import OpenAIChat
from apr.subagents.models import Models, own


@asynccontextmanager
async def server(*answers: tuple[str, str]) -> AsyncIterator[str]:
    """Serve these bodies by their paths, and 404 for any other; yields the base URL."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = dict(answers).get(head.split()[1].decode())
        status = "404 Not Found" if body is None else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body or '')}\r\n".encode())
        writer.write(f"Connection: close\r\n\r\n{body or ''}".encode())
        writer.close()

    async with await asyncio.start_server(converse, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"


def models_of(url: str) -> Models:
    def open_model(name: str) -> tuple[Provider, str]:
        return OpenAIChat(url, name), name

    return Models(open_model)


LISTED = ("/v1/models", '{"data": [{"id": "small"}, {"id": "large"}]}')


@pytest.mark.parametrize(
    "written", [None, "", "inherit", "sonnet", "Opus", "haiku", "sonnet[1m]", "claude-sonnet-5-5"]
)
def test_what_only_a_vendor_serves_stands_for_the_sessions_model(written: str | None) -> None:
    assert own(written) is None


def test_any_other_name_is_a_models() -> None:
    assert own(" qwen3-coder ") == "qwen3-coder"


async def test_a_model_that_the_server_lists_is_opened_once() -> None:
    async with server(LISTED) as url:
        models = models_of(url)
        assert await models.get("small") is await models.get("small")
        assert await models.get("large") is not await models.get("small")
        await models.close()


async def test_a_model_that_the_server_only_knows_is_opened() -> None:
    async with server(LISTED, ("/v1/models/alias", "{}")) as url:
        models = models_of(url)
        await models.get("alias")
        await models.close()


async def test_a_model_that_the_server_has_not_is_not_to_be_had() -> None:
    async with server(LISTED) as url:
        with pytest.raises(AprError, match=r"no model 'tiny'\. It has: small, large"):
            await models_of(url).get("tiny")


async def test_a_server_that_lists_nothing_is_asked_for_any_model() -> None:
    async with server() as url:
        models = models_of(url)
        await models.get("tiny")
        await models.close()


async def test_several_that_want_a_model_at_once_open_it_once() -> None:
    opened = []

    def open_model(name: str) -> tuple[Provider, str]:
        opened.append(name)
        return OpenAIChat("http://127.0.0.1:9/v1", name), name

    models = Models(open_model)
    first, second = await asyncio.gather(models.get("small"), models.get("small"))
    assert first is second
    assert opened == ["small"]
