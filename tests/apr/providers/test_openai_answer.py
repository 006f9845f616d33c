"""Chat completions: what is made of an answer."""

from typing import Any

import msgspec
import pytest

from apr.agent.events import PrefillProgress, TextDelta, ThinkingDelta
from apr.providers.base import (
    AssistantMessage,
    Completion,
    Message,
    Speed,
    UserMessage,
)
from apr.providers.openai_chat import OpenAIChat
from ccpa.trace import MAX_INTEGER, TextBlock, ThinkingBlock, ToolUseBlock, Usage
from tests.apr.providers.chats import CALL, call_delta, calls, complete, request, uses
from tests.apr.providers.raw_server import (
    Exchange,
    RawServer,
    answer,
    ask,
    delta,
    reply,
    says,
    stream,
)


async def test_text_is_shown_as_it_comes_and_whole_at_the_end() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    details = {"prompt_tokens_details": {"cached_tokens": 5}}
    body = stream(
        delta(role="assistant"),
        delta("Hel"),
        delta("lo"),
        delta(finish="stop"),
        {"choices": [], "usage": {**usage, **details}},
    )
    async with RawServer(says(body)) as server:
        shown = await ask(OpenAIChat(server.url, "m"))
    assert shown == [
        TextDelta("Hel"),
        TextDelta("lo"),
        Completion(
            blocks=(TextBlock("Hello"),),
            stop_reason="end_turn",
            usage=Usage(input_tokens=7, output_tokens=2, cache_read_tokens=5),
            model="m",
        ),
    ]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_is_told_apart(field: str) -> None:
    body = stream(delta(**{field: "hm"}), delta("So."), delta(finish="stop"))
    async with RawServer(says(body)) as server:
        *shown, last = await ask(OpenAIChat(server.url, "m"))
    assert shown == [ThinkingDelta("hm"), TextDelta("So.")]
    assert isinstance(last, Completion)
    assert last.blocks == (ThinkingBlock("hm"), TextBlock("So."))


async def test_the_engines_progress_and_counts_are_passed_on() -> None:
    body = stream(
        {**delta(role="assistant"), "prompt_progress": {"total": 9, "cache": 4, "processed": 6}},
        delta("x"),
        {
            **delta(finish="stop"),
            "timings": {
                "cache_n": 4,
                "prompt_n": 5,
                "prompt_ms": 250.0,
                "predicted_n": 1,
                "predicted_ms": 20,
            },
        },
    )
    async with RawServer(says(body)) as server:
        first, _, last = await ask(OpenAIChat(server.url, "m", family="qwen_xml"))
    assert first == PrefillProgress(done=6, total=9, cached=4)
    assert isinstance(last, Completion)
    assert last.usage == Usage(input_tokens=9, output_tokens=1, cache_read_tokens=4)
    assert last.speed == Speed(prefill_tokens=5, prefill_s=0.25, output_tokens=1, output_s=0.02)


@pytest.mark.parametrize(("said", "kept"), [(-1, 0), (10**30, MAX_INTEGER)])
async def test_counts_that_cannot_be_are_kept_as_ones_that_can(said: int, kept: int) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": said}}
    counts = {"prompt_tokens": said, "completion_tokens": said, **details}
    completion = await complete(delta("x", finish="stop"), {"choices": [], "usage": counts})
    written = msgspec.json.encode(completion.usage)
    assert msgspec.json.decode(written, type=Usage) == Usage(
        input_tokens=kept, output_tokens=kept, cache_read_tokens=kept
    )


async def test_counts_that_the_server_does_not_give_are_zero() -> None:
    assert (await complete(delta("x", finish="stop"))).usage == Usage(
        input_tokens=0, output_tokens=0
    )


@pytest.mark.parametrize(
    ("chunk", "stop"),
    [
        (delta("x", finish="stop"), "end_turn"),
        (delta("x", finish="eos"), "end_turn"),
        (delta("x", finish="length"), "max_tokens"),
        (calls(call_delta(name="List", arguments="{}")) | {}, "tool_use"),
        (
            {
                "choices": [
                    {"delta": {"content": "x"}, "finish_reason": "stop", "stop_reason": "END"}
                ]
            },
            "stop_sequence",
        ),
    ],
)
async def test_the_reason_to_stop_is_named_as_in_the_trace(chunk: Any, stop: str) -> None:
    assert (await complete(chunk)).stop_reason == stop


async def test_an_empty_answer_is_an_answer() -> None:
    assert (await complete(delta(finish="stop"))).blocks == ()


STRUCTURED: dict[str, list[Any]] = {
    "arguments in pieces": [
        calls(call_delta(id="a", name="Bash", arguments="")),
        calls(call_delta(arguments='{"comm')),
        calls(call_delta(arguments='and": "ls"}')),
        calls(call_delta(1, "b", name="Read", arguments='{"file_path"')),
        calls(call_delta(1, arguments=': "f"}')),
    ],
    "each call in one piece": [
        calls(call_delta(0, "a", name="Bash", arguments='{"command": "ls"}')),
        calls(call_delta(1, "b", name="Read", arguments='{"file_path": "f"}')),
    ],
    "both calls in one chunk": [
        calls(
            call_delta(0, "a", name="Bash", arguments='{"command": "ls"}'),
            call_delta(1, "b", name="Read", arguments='{"file_path": "f"}'),
        )
    ],
    "one index for both, ids differ": [
        calls(call_delta(0, "a", name="Bash", arguments='{"command":')),
        calls(call_delta(0, "a", arguments=' "ls"}')),
        calls(call_delta(0, "b", name="Read", arguments='{"file_path": "f"}')),
    ],
    "one index for both, no ids": [
        calls(call_delta(0, name="Bash", arguments='{"command": "ls"}')),
        calls(call_delta(0, name="Read", arguments='{"file_path": "f"}')),
    ],
    "neither index nor id": [
        calls(call_delta(None, name="Bash", arguments='{"command": "ls"}')),
        calls(call_delta(None, name="Read", arguments='{"file_path":')),
        calls(call_delta(None, arguments=' "f"}')),
    ],
    "no ids": [
        calls(call_delta(0, name="Bash", arguments='{"command": "ls"}')),
        calls(call_delta(1, name="Read", arguments='{"file_path": "f"}')),
    ],
    "the id only later": [
        calls(call_delta(0, name="Bash")),
        calls(call_delta(0, "a", arguments='{"command": "ls"}')),
        calls(call_delta(1, name="Read")),
        calls(call_delta(1, "b", arguments='{"file_path": "f"}')),
    ],
    "name and id in every piece": [
        calls(call_delta(0, "a", name="Bash", arguments='{"command":')),
        calls(call_delta(0, "a", name="Bash", arguments=' "ls"}')),
        calls(call_delta(1, "b", name="Read", arguments='{"file_path": "f"}')),
    ],
    "the name in pieces": [
        calls(call_delta(0, "a", name="Ba")),
        calls(call_delta(0, name="sh", arguments='{"command": "ls"}')),
        calls(call_delta(1, "b", name="Read", arguments='{"file_path": "f"}')),
    ],
    "arguments as objects": [
        calls(call_delta(0, "a", name="Bash", arguments={"command": "ls"})),
        calls(call_delta(1, "b", name="Read", arguments={"file_path": "f"})),
    ],
    "pieces of two calls mixed": [
        calls(call_delta(0, "a", name="Bash"), call_delta(1, "b", name="Read")),
        calls(call_delta(1, arguments='{"file_path": ')),
        calls(call_delta(0, arguments='{"command": "ls"}'), call_delta(1, arguments='"f"}')),
    ],
    "a piece of one call twice in a chunk": [
        calls(
            call_delta(0, "a", name="Bash", arguments='{"command"'), call_delta(0, arguments=": ")
        ),
        calls(call_delta(0, arguments='"ls"}')),
        calls(call_delta(1, "b", name="Read", arguments='{"file_path": "f"}')),
    ],
}


@pytest.mark.parametrize("how", STRUCTURED)
async def test_calls_are_put_together_however_they_come(how: str) -> None:
    completion = await complete(*STRUCTURED[how], delta(finish="tool_calls"))
    assert uses(completion) == [("Bash", {"command": "ls"}), ("Read", {"file_path": "f"})]
    assert completion.malformed == {}
    assert completion.stop_reason == "tool_use"
    ids = [block.id for block in completion.blocks if isinstance(block, ToolUseBlock)]
    assert len(set(ids)) == 2
    assert all(ids)


@pytest.mark.parametrize(
    ("chunk", "finish", "name", "reason"),
    [
        (call_delta(0, "a", name="Fly", arguments="{}"), "stop", "Fly", "no tool named"),
        (call_delta(0, "a", name="Bash", arguments="{}"), "stop", "Bash", "without `command`"),
        (call_delta(0, "a", name="Bash", arguments='{"command": "l'), "stop", "Bash", "JSON"),
        (call_delta(0, "a", name="Bash", arguments='{"comm'), "length", "Bash", "output limit"),
        (call_delta(0, "a", arguments='{"command": "ls"}'), "stop", "invalid", "no tool named"),
    ],
)
async def test_a_call_that_cannot_run_is_kept_with_the_reason(
    chunk: Any, finish: str, name: str, reason: str
) -> None:
    completion = await complete(calls(chunk), delta(finish=finish))
    (block,) = completion.blocks
    assert isinstance(block, ToolUseBlock)
    assert block.name == name
    assert reason in completion.malformed[block.id]


async def test_two_like_calls_with_one_index_are_two_by_their_ids() -> None:
    deltas = [calls(call_delta(0, id_, name="List", arguments="")) for id_ in ("a", "b")]
    completion = await complete(*deltas, delta(finish="tool_calls"))
    assert uses(completion) == [("List", {}), ("List", {})]


async def test_a_call_that_the_server_left_in_the_text_is_found_there() -> None:
    completion = await complete(delta("I look.\n\n"), delta(CALL), delta(finish="stop"))
    assert completion.blocks[0] == TextBlock("I look.")
    assert uses(completion) == [("Bash", {"command": "ls"})]
    assert completion.stop_reason == "tool_use"
    assert completion.raw is None


async def test_a_call_that_comes_as_text_and_as_a_call_is_one_call() -> None:
    structured = calls(call_delta(0, "a", name="Bash", arguments='{"command": "ls"}'))
    completion = await complete(delta(CALL), structured, delta(finish="tool_calls"))
    assert uses(completion) == [("Bash", {"command": "ls"})]


async def test_the_engines_text_is_kept_as_it_was() -> None:
    text = f"<think>\nhm\n</think>\n\nI look.\n{CALL}\n"
    chunks = [delta(character) for character in text]
    completion = await complete(*chunks, delta(finish="stop"), family="qwen_xml")
    assert completion.raw == text
    assert completion.blocks[:2] == (ThinkingBlock("hm"), TextBlock("I look."))
    assert uses(completion) == [("Bash", {"command": "ls"})]


async def test_a_call_that_the_limit_cut_off_is_never_whole() -> None:
    completion = await complete(delta(CALL[:60]), delta(finish="length"), family="qwen_xml")
    assert completion.stop_reason == "max_tokens"
    (reason,) = completion.malformed.values()
    assert "output limit" in reason


async def test_an_answer_that_is_not_streamed_is_understood() -> None:
    message = {"role": "assistant", "content": "Hi", "tool_calls": [call_delta(name="List")]}
    whole = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    async with RawServer(says(reply(msgspec.json.encode(whole)))) as server:
        completion = await answer(OpenAIChat(server.url, "m"), request())
    assert completion.blocks[0] == TextBlock("Hi")
    assert uses(completion) == [("List", {})]


async def test_a_stream_may_drip_byte_by_byte() -> None:
    async def drip(exchange: Exchange) -> None:
        await exchange.drip(stream(delta("é"), delta(CALL), delta(finish="stop")))

    async with RawServer(drip) as server:
        completion = await answer(OpenAIChat(server.url, "m", family="qwen_xml"), request())
    assert completion.raw == "é" + CALL


async def test_ids_made_here_are_unique_in_a_session_and_the_same_when_it_is_repeated() -> None:
    async def session() -> list[str]:
        reply_ = says(stream(delta(CALL + "\n" + CALL), delta(finish="stop")))
        async with RawServer(*[reply_] * 3) as server:
            provider = OpenAIChat(server.url, "m", family="qwen_xml")
            messages: tuple[Message, ...] = (UserMessage("Go"),)
            ids: list[str] = []
            for _ in range(2):
                completion = await answer(provider, request(*messages))
                messages = (*messages, AssistantMessage(completion.blocks, completion.raw))
                ids += [b.id for b in completion.blocks if isinstance(b, ToolUseBlock)]
            resumed = OpenAIChat(server.url, "m", family="qwen_xml")
            completion = await answer(resumed, request(*messages))
            await provider.close()
            await resumed.close()
            return ids + [b.id for b in completion.blocks if isinstance(b, ToolUseBlock)]

    first = await session()
    assert len(set(first)) == len(first) == 6
    assert all(id_.startswith("toolu_") for id_ in first)
    assert await session() == first


async def test_an_id_that_the_server_uses_again_is_replaced() -> None:
    again = calls(call_delta(0, "call_0", name="List", arguments="{}"))
    async with RawServer(*[says(stream(again, delta(finish="stop")))] * 2) as server:
        provider = OpenAIChat(server.url, "m")
        blocks = [(await answer(provider, request())).blocks[0] for _ in range(2)]
        await provider.close()
    ids = [block.id for block in blocks if isinstance(block, ToolUseBlock)]
    assert ids[0] == "call_0"
    assert ids[1].startswith("toolu_")
