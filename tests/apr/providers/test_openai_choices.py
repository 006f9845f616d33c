"""What a request may ask for besides words: a call, an end, an image, a setting."""

from typing import Any, get_args

import msgspec
import pytest

from apr.providers.base import Forced, Image, Request, ToolChoice, UserMessage
from apr.providers.openai_chat import OpenAIChat
from apr.providers.openai_request import beginning
from apr.providers.toolcalls import Family, render
from ccpa.trace import TextBlock, ToolUseBlock
from tests.apr.providers.chats import CALL, TOOLS, request
from tests.apr.providers.raw_server import RawServer, answer, delta, says, stream

FORCED_READ = Forced("Read")


async def sent(family: Family | None, asked: Request) -> Any:
    async with RawServer(says(stream(delta("x", finish="stop")))) as server:
        provider = OpenAIChat(server.url, "m", family=family)
        await answer(provider, asked)
        await provider.close()
        return msgspec.json.decode(server.received[0].body)


@pytest.mark.parametrize("family", get_args(Family))
@pytest.mark.parametrize("name", ["Read", None])
def test_a_call_is_forced_by_its_beginning(family: Family, name: str | None) -> None:
    begun = beginning(request(tool_choice=Forced(name)), family)
    written = render(family, "Read", {"file_path": "a"})
    assert begun
    assert written.startswith(begun)
    assert ("Read" in begun) == (name is not None)


async def test_the_beginning_is_put_into_the_models_mouth_and_is_part_of_its_answer() -> None:
    asked = request(UserMessage("Hi"), tool_choice=Forced("Bash"))
    rest = CALL.removeprefix("<tool_call>\n<function=Bash>")
    async with RawServer(says(stream(delta(rest, finish="stop")))) as server:
        provider = OpenAIChat(server.url, "m", family="qwen_xml")
        completion = await answer(provider, asked)
        await provider.close()
        body = msgspec.json.decode(server.received[0].body)
    assert body["messages"][-1] == {
        "role": "assistant",
        "content": "<tool_call>\n<function=Bash>",
    }
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert completion.raw == CALL
    (block,) = completion.blocks
    assert isinstance(block, ToolUseBlock)
    assert (block.name, block.input) == ("Bash", {"command": "ls"})


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        ("none", "none"),
        (Forced(), "required"),
        (FORCED_READ, {"type": "function", "function": {"name": "Read"}}),
    ],
)
async def test_another_server_is_told_the_choice(choice: ToolChoice, written: Any) -> None:
    body = await sent(None, request(tool_choice=choice))
    assert body["tool_choice"] == written


async def test_where_no_tool_may_be_called_what_looks_like_a_call_is_text() -> None:
    async with RawServer(says(stream(delta(CALL, finish="stop")))) as server:
        provider = OpenAIChat(server.url, "m", family="qwen_xml")
        completion = await answer(provider, request(tool_choice="none"))
        await provider.close()
        body = msgspec.json.decode(server.received[0].body)
    assert len(body["tools"]) == len(TOOLS)
    assert completion.blocks == (TextBlock(CALL),)


async def test_the_text_that_ended_an_answer_is_named() -> None:
    end = {**delta(finish="stop"), "__verbose": {"stopping_word": "END"}}
    async with RawServer(says(stream(delta("Hello"), end))) as server:
        provider = OpenAIChat(server.url, "m", family="qwen_xml")
        completion = await answer(provider, request(stop=("END", "STOP")))
        await provider.close()
        body = msgspec.json.decode(server.received[0].body)
    assert body["stop"] == ["END", "STOP"]
    assert (completion.stop_reason, completion.stop_sequence) == ("stop_sequence", "END")


async def test_a_call_that_a_stop_text_cut_off_must_not_run() -> None:
    cut = CALL.partition("\n</parameter>")[0]
    end = {**delta(finish="stop"), "__verbose": {"stopping_word": "</parameter>"}}
    async with RawServer(says(stream(delta(cut), end))) as server:
        provider = OpenAIChat(server.url, "m", family="qwen_xml")
        completion = await answer(provider, request(stop=("</parameter>",)))
        await provider.close()
    assert completion.malformed


async def test_images_stand_before_the_text_and_settings_are_passed_on() -> None:
    shown = UserMessage("What is this?", (Image("image/png", "AAAA"),))
    body = await sent(None, request(shown, options={"top_p": 0.5, "model": "another"}))
    assert body["messages"][-1]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "text", "text": "What is this?"},
    ]
    assert (body["top_p"], body["model"]) == (0.5, "m")
