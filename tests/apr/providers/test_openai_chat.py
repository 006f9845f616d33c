"""OpenAI chat completions: what is sent, what is made of the answer, and every way to fail."""

import asyncio
import contextlib
import itertools
from typing import Any

import msgspec
import pytest

from apr.agent.events import PrefillProgress, TextDelta, ThinkingDelta
from apr.providers.base import (
    AssistantMessage,
    Completion,
    ContextOverflow,
    Message,
    ProviderError,
    Request,
    ToolAnswer,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from apr.providers.http import Timeouts
from apr.providers.openai_chat import OpenAIChat
from ccpa.trace import TextBlock, ThinkingBlock, ToolUseBlock, Usage
from tests.apr.providers.raw_server import (
    STREAM_HEAD,
    Exchange,
    RawServer,
    answer,
    ask,
    chunked,
    delta,
    event,
    events,
    reply,
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


# What is sent


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


# Answers


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
        {**delta(finish="stop"), "timings": {"cache_n": 4, "prompt_n": 5, "predicted_n": 1}},
    )
    async with RawServer(says(body)) as server:
        first, _, last = await ask(OpenAIChat(server.url, "m", family="qwen_xml"))
    assert first == PrefillProgress(done=6, total=9, cached=4)
    assert isinstance(last, Completion)
    assert last.usage == Usage(input_tokens=9, output_tokens=1, cache_read_tokens=4)


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


# Ids


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


# Failures


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
