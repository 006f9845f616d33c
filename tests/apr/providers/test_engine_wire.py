"""The wire to the real engine, with a model of random weights: the facts that raw text rests on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apr.agent.events import PrefillProgress
from apr.engine.client import attach
from apr.providers.base import (
    AssistantMessage,
    Completion,
    ContextOverflow,
    Message,
    Request,
    UserMessage,
)
from apr.providers.openai_chat import OpenAIChat
from tests.apr.engine.processes import end_engines
from tests.apr.providers.raw_server import ask
from tests.apr.providers.toolcalls.sample_tools import BASH, READ


@pytest.fixture
def apr_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test engines of its own, and end them."""
    home = tmp_path / "apr-home"
    monkeypatch.setenv("APR_HOME", str(home))
    yield home
    end_engines(home)


@pytest.mark.usefixtures("apr_home")
async def test_a_second_turn_evaluates_only_what_is_new(tiny: Path) -> None:
    endpoint = await attach(tiny)
    provider = OpenAIChat(endpoint.base_url, "tiny", api_key=endpoint.api_key, family="qwen_xml")

    def after(*messages: Message) -> Request:
        return Request(
            system="Be good.",
            messages=(UserMessage("Hello there"), *messages),
            tools=(READ, BASH),
            max_tokens=12,
            temperature=0.0,
        )

    progress, *_, first = await ask(provider, after())
    assert isinstance(progress, PrefillProgress)
    assert isinstance(first, Completion)
    assert progress.total == first.usage.input_tokens > 0
    assert first.usage.output_tokens > 0
    said = AssistantMessage(first.blocks, first.raw)
    *_, second = await ask(provider, after(said, UserMessage("More")))
    assert isinstance(second, Completion)
    assert second.usage.cache_read_tokens >= first.usage.input_tokens - 1
    assert second.usage.input_tokens > second.usage.cache_read_tokens
    await provider.close()


@pytest.mark.usefixtures("apr_home")
async def test_a_conversation_longer_than_the_context_is_told_apart(tiny: Path) -> None:
    endpoint = await attach(tiny, ctx=512)
    provider = OpenAIChat(endpoint.base_url, "tiny", api_key=endpoint.api_key, family="qwen_xml")
    with pytest.raises(ContextOverflow, match="longer than the model's context"):
        await ask(provider, Request(system="", messages=(UserMessage("x y " * 9000),)))
    await provider.close()
