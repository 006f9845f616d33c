"""Chat completions: what a server is sent."""

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.providers import openai_request
from apr.providers.base import (
    AssistantMessage,
    Image,
    Message,
    Request,
    ToolAnswer,
    ToolMessage,
    UserMessage,
)
from apr.providers.openai_chat import OpenAIChat
from ccpa.trace import TextBlock, ThinkingBlock, ToolUseBlock
from tests.apr.providers.chats import CALL, TOOLS, request
from tests.apr.providers.raw_server import (
    RawServer,
    answer,
    delta,
    says,
    stream,
)

HISTORY: tuple[Message, ...] = (
    UserMessage("Look"),
    AssistantMessage(
        (TextBlock("I look."), ToolUseBlock("t1", "Bash", {"command": 'echo "é"'})),
        raw="I look.\n\n<tool_call>as it was</tool_call>",
    ),
    ToolMessage((ToolAnswer("t1", "Bash", "out"), ToolAnswer("t2", "Read", "no", ok=False))),
    AssistantMessage((ThinkingBlock("hm"), TextBlock("Done."))),
    UserMessage("More"),
)


async def sent(family: Any, *requests: Request) -> list[bytes]:
    script = says(stream(delta("x", finish="stop")))
    async with RawServer(*[script] * len(requests)) as server:
        provider = OpenAIChat(server.url, "m", family=family, api_key="k\n")
        for each in requests:
            await answer(provider, each)
        await provider.close()
        assert {r.line for r in server.received} == {"POST /v1/chat/completions HTTP/1.1"}
        assert {r.headers["authorization"] for r in server.received} == {"Bearer k"}
        return [r.body for r in server.received]


async def test_another_server_is_sent_the_calls_as_the_standard_shapes_them() -> None:
    (body,) = await sent(None, request(*HISTORY, max_tokens=9, temperature=0.5))
    assert msgspec.json.decode(body) == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
        "temperature": 0.5,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                },
            }
            for tool in TOOLS
        ],
        "messages": [
            {"role": "system", "content": "Be good."},
            {"role": "user", "content": "Look"},
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [
                    {
                        "id": "t1",
                        "type": "function",
                        "function": {"name": "Bash", "arguments": '{"command":"echo \\"é\\""}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "t1", "content": "out"},
            {"role": "tool", "tool_call_id": "t2", "content": "no"},
            {"role": "assistant", "content": "Done."},
            {"role": "user", "content": "More"},
        ],
    }


async def test_the_engine_is_asked_for_exact_text_and_sent_the_exact_text_back() -> None:
    (body,) = await sent("qwen_xml", request(*HISTORY))
    fields = msgspec.json.decode(body)
    assert fields["tool_choice"] == "none"
    assert fields["parse_tool_calls"] is False
    assert fields["reasoning_format"] == "none"
    assert fields["cache_prompt"] is True
    assert fields["return_progress"] is True
    assert len(fields["tools"]) == 3
    assert fields["messages"][2] == {
        "role": "assistant",
        "content": "I look.\n\n<tool_call>as it was</tool_call>",
    }
    assert fields["messages"][5] == {"role": "assistant", "content": "Done."}


async def test_a_call_without_its_exact_text_is_written_as_the_model_would() -> None:
    message = AssistantMessage((TextBlock("I look."), ToolUseBlock("t", "Bash", {"command": "ls"})))
    (body,) = await sent("qwen_xml", request(UserMessage("Look"), message))
    assert msgspec.json.decode(body)["messages"][-1]["content"] == f"I look.\n{CALL}"


@pytest.mark.parametrize("family", [None, "qwen_xml"])
async def test_each_request_begins_with_the_bytes_of_the_one_before(family: Any) -> None:
    turns = [request(*HISTORY[:count], max_tokens=count) for count in range(1, 6)]
    bodies = await sent(family, *turns)
    for before, after in itertools.pairwise(bodies):
        shared = before[: before.rindex(b'],"max_tokens"')]
        assert after.startswith(shared)


async def test_a_server_named_without_a_path_is_asked_under_v1() -> None:
    async with RawServer(says(stream(delta("x", finish="stop")))) as server:
        await answer(OpenAIChat(server.url.removesuffix("/v1"), "m"))
        assert server.received[0].line.startswith("POST /v1/chat/completions")


@pytest.mark.parametrize("family", [None, "qwen_xml"])
async def test_pictures_of_results_stand_behind_all_results(family: Any) -> None:
    pixel = Image("image/png", "AAAA")
    answers = ToolMessage(
        (
            ToolAnswer("t1", "Read", "[a.png]", images=(pixel,)),
            ToolAnswer("t2", "Bash", "out"),
        )
    )
    (body,) = await sent(family, request(*HISTORY[:2], answers))
    *_, first, second, see = msgspec.json.decode(body)["messages"]
    assert (first["content"], second["content"]) == ("[a.png]", "out")
    assert see == {
        "role": "user",
        "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "text", "text": "[to see, from the result of Read: [a.png]]"},
        ],
    }


@pytest.mark.parametrize("family", [None, "qwen_xml"])
@given(st.lists(st.lists(st.sampled_from(HISTORY), max_size=6), max_size=5))
def test_what_was_written_before_changes_nothing(family: Any, asked: list[list[Message]]) -> None:
    written = openai_request.Written()
    for messages in asked:
        wanted = request(*messages)
        assert openai_request.encode(wanted, "m", family, written) == openai_request.encode(
            wanted, "m", family
        )
