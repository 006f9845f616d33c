"""What the tests of chat completions share: a request, and what a server's answer comes to."""

from typing import Any

import pytest

from apr.providers.base import (
    Completion,
    Message,
    ProviderError,
    Request,
    ToolSpec,
    UserMessage,
)
from apr.providers.http import Timeouts
from apr.providers.openai_chat import OpenAIChat
from ccpa.trace import ToolUseBlock
from tests.apr.providers.raw_server import (
    Exchange,
    RawServer,
    answer,
    delta,
    says,
    stream,
)
from tests.apr.providers.toolcalls.sample_tools import BASH, LIST, READ

SHORT = Timeouts(connect=1, first_byte=0.05, idle=0.05, drain=0.05)
TOOLS = (READ, BASH, LIST)
CALL = (
    "<tool_call>\n<function=Bash>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>"
)


def request(*messages: Message, tools: tuple[ToolSpec, ...] = TOOLS, **fields: Any) -> Request:
    return Request(
        system="Be good.", messages=messages or (UserMessage("Hi"),), tools=tools, **fields
    )


async def complete(*chunks: Any, family: Any = None) -> Completion:
    """Return the answer that a server's chunks come to."""
    async with RawServer(says(stream(*chunks))) as server:
        provider = OpenAIChat(server.url, "m", family=family)
        completion = await answer(provider, request())
        await provider.close()
        return completion


async def failure(data: bytes, **options: Any) -> ProviderError:
    """Return the error that a server's bytes come to."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(data)
        exchange.hang_up()

    async with RawServer(script) as server:
        with pytest.raises(ProviderError) as error:
            await answer(OpenAIChat(server.url, "m", **options), request())
        return error.value


def uses(completion: Completion) -> list[tuple[str, dict[str, Any]]]:
    return [(b.name, b.input) for b in completion.blocks if isinstance(b, ToolUseBlock)]


def call_delta(index: int | None = 0, id: str | None = None, **function: Any) -> Any:  # noqa: A002
    fields = {"index": index, "id": id, "function": function}
    return {key: value for key, value in fields.items() if value is not None}


def calls(*deltas: Any) -> Any:
    return delta(tool_calls=list(deltas))
