"""OpenAI's interface, as its own client and plain requests see it."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from apr.providers.http import Response
from apr.serve.backend import Passage
from apr.serve.engine import Engine
from apr.serve.metrics import Meter
from apr.serve.openai import relayed
from tests.apr.engine.processes import eventually
from tests.apr.providers.raw_server import STREAM_HEAD, Exchange, RawServer, chunked
from tests.apr.serve.servers import HELLO, TOOL, Server, ask, chat, metric, serving

LONG = "word " * 9000
VAST = "word " * 1_000_000
UNCOUNTED = "characters cannot be"
READ = {"type": "function", "function": {"name": "Read"}}
Client = Any  # openai.OpenAI, whose signatures take no plain dict for a message
PIXEL = "data:image/png;base64,AAAA"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home"), "--no-cache") as server:
        yield server


@pytest.fixture
def client(server: Server) -> Client:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def test_the_client_finds_the_model(client: Client) -> None:
    (model,) = client.models.list()
    assert model.id == "demo"
    assert client.models.retrieve("demo").owned_by == "apr"
    with pytest.raises(openai.NotFoundError, match="'demo' is served"):
        client.models.retrieve("some/other")


def test_a_stream_says_what_the_whole_answer_says(client: Client) -> None:
    asked: Any = {"model": "demo", "messages": HELLO, "max_tokens": 12, "temperature": 0}
    whole = client.chat.completions.create(**asked)
    chunks = list(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == whole.choices[0].message.content
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens
    assert whole.choices[0].finish_reason == "length"


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_a_stream_with_tools_says_what_the_whole_answer_says(client: Client, choice: Any) -> None:
    asked: Any = {"model": "demo", "messages": HELLO, "max_tokens": 12, "temperature": 0}
    asked |= {"tools": [TOOL], "tool_choice": choice}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "length"


def test_a_call_that_is_asked_for_comes(client: Client) -> None:
    asked: Any = {"model": "demo", "messages": HELLO, "max_tokens": 400, "temperature": 0}
    asked |= {"tools": [TOOL], "tool_choice": READ}
    (choice,) = client.chat.completions.create(**asked).choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    call: Any = choice.message.tool_calls[0]
    assert call.function.name == "Read"
    json.loads(call.function.arguments)
    chunks = list(client.chat.completions.create(**asked, stream=True))
    (delta,) = (
        delta
        for chunk in chunks
        for delta in chunk.choices[0].delta.tool_calls or ()
        if delta.index == 0
    )
    assert delta.id
    assert delta.function
    assert (delta.function.name, delta.function.arguments) == ("Read", call.function.arguments)


def test_a_call_that_was_cut_off_is_not_offered(server: Server) -> None:
    answer = chat(server, tools=[TOOL], tool_choice="required", max_tokens=2).body
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "length"
    assert "tool_calls" not in choice["message"]


def test_answers_to_calls_are_part_of_the_conversation(server: Server) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "Read", "arguments": "{}"}}
    history = [
        {"role": "system", "content": "Be good."},
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "a\nb"},
    ]
    with_tools = chat(server, history, tools=[TOOL])
    assert with_tools.status == 200
    shorter = chat(server, history[:-2], tools=[TOOL])
    counts = [a.body["usage"]["prompt_tokens"] for a in (shorter, with_tools)]
    assert counts[0] < counts[1]


def test_the_engines_own_abilities_are_passed_on(client: Client) -> None:
    asked: Any = {"model": "demo", "messages": HELLO, "max_tokens": 4}
    several = client.chat.completions.create(**asked, n=2, logprobs=True, top_logprobs=3)
    assert len(several.choices) == 2
    for choice in several.choices:
        assert choice.logprobs is not None
        assert choice.logprobs.content is not None
        assert len(choice.logprobs.content[0].top_logprobs) == 3
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    shaped = client.chat.completions.create(
        model="demo",
        messages=HELLO,
        max_tokens=200,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )
    assert isinstance(json.loads(shaped.choices[0].message.content or "")["a"], bool)


def test_bare_prompts_and_embeddings_are_answered(client: Client) -> None:
    completion = client.completions.create(model="demo", prompt=["Hello", "You"], max_tokens=3)
    assert [choice.index for choice in completion.choices] == [0, 1]
    embedded = client.embeddings.create(model="demo", input=["one text", "another"])
    assert [len(item.embedding) for item in embedded.data] == [128, 128]
    assert embedded.data[0].embedding != embedded.data[1].embedding


@pytest.mark.parametrize("tools", [None, [TOOL]])
def test_a_header_that_changes_every_time_costs_nothing(server: Server, tools: Any) -> None:
    def ask_with(header: str) -> dict[str, int]:
        system = [
            {"type": "text", "text": f"x-anthropic-billing-header: cch={header};"},
            {"type": "text", "text": "Be good. " * 50},
        ]
        messages = [{"role": "system", "content": system}, *HELLO]
        usage = chat(server, messages, tools=tools).body["usage"]
        return {"sent": usage["prompt_tokens"], **usage["prompt_tokens_details"]}

    ask_with("abc")
    again = ask_with("xyz")
    assert again["cached_tokens"] == again["sent"] - 1


def test_another_model_than_is_served_is_answered_for_and_named(server: Server) -> None:
    assert "x-apr-model-fallback" not in chat(server, model="demo").headers
    for tools in (None, [TOOL]):
        answer = chat(server, model="gpt-4o", tools=tools)
        assert answer.headers["x-apr-model-fallback"] == answer.body["model"] == "demo"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"messages": [{"role": "user", "content": LONG}]}, "context is too small"),
        ({"messages": [{"role": "user", "content": LONG}], "tools": [TOOL]}, "too small"),
        ({"messages": [{"role": "user", "content": LONG}], "stream": True}, "too small"),
        ({"messages": [{"role": "user", "content": VAST}]}, UNCOUNTED),
        ({"messages": [{"role": "user", "content": VAST}], "tools": [TOOL]}, UNCOUNTED),
        ({"messages": []}, "at least one"),
        ({"messages": "hello"}, "Expected `array`"),
        ({"messages": [{"content": "x"}]}, "missing required field `role`"),
        ({"messages": [{"role": "judge", "content": "x"}], "tools": [TOOL]}, "no role 'judge'"),
        ({"temperature": "hot"}, "temperature"),
        ({"tools": [{"type": "function"}]}, "missing required field `function`"),
        ({"tools": [TOOL], "tool_choice": {"function": {"name": "Lost"}}}, "tool_choice"),
        ({"tools": [TOOL], "logprobs": True}, "together with tools"),
        ({"tools": [TOOL], "n": 3}, "n must be 1"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": 1}}}}, ""),
        ({"grammar": "root ::= ("}, "grammar"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": PIXEL}]}
                ]
            },
            "cannot be shown images",
        ),
    ],
)
def test_what_cannot_be_answered_is_said(server: Server, fields: dict[str, Any], said: str) -> None:
    answer = chat(server, **fields)
    assert answer.status == 400
    assert said in answer.body["error"]["message"]
    assert answer.body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/completions", {}, "prompt: there must be one"),
        ("/v1/completions", {"prompt": LONG}, "context is too small"),
        ("/v1/completions", {"prompt": ["a", VAST]}, UNCOUNTED),
        ("/v1/embeddings", {}, "must be provided"),
        ("/v1/embeddings", {"input": ["a", VAST]}, UNCOUNTED),
        ("/v1/embeddings", {"input": LONG}, "too large"),
    ],
)
def test_other_routes_say_it_too(server: Server, path: str, body: Any, said: str) -> None:
    answer = ask(server, path, body)
    assert answer.status == 400
    assert said in answer.body["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"messages": 1}'])
def test_a_body_that_is_no_request_is_told_so(server: Server, body: bytes) -> None:
    answer = ask(server, "/v1/chat/completions", body)
    assert answer.status == 400
    assert answer.body["error"]["message"]


def test_only_what_is_there_is_answered(server: Server) -> None:
    assert ask(server, "/v1/nothing").status == 404
    wrong = ask(server, "/v1/chat/completions")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert "does not answer GET" in wrong.body["error"]["message"]


def test_a_client_that_goes_away_stops_the_model(server: Server, client: Client) -> None:
    before = metric(server, 'apr_tokens_total{kind="generated"}')
    for tools in ([], [TOOL]):
        more: dict[str, Any] = {"tools": tools} if tools else {}
        stream = client.chat.completions.create(
            model="demo",
            messages=HELLO,
            max_tokens=8000,
            stream=True,
            extra_body={"ignore_eos": True},
            **more,
        )
        next(iter(stream))
        stream.close()
        eventually(lambda: metric(server, "apr_requests_in_flight") == 0)
    eventually(lambda: metric(server, 'apr_tokens_total{kind="generated"}') > before)
    assert metric(server, 'apr_tokens_total{kind="generated"}') < before + 8000


def test_an_abandoned_whole_answer_stops_the_model_too(server: Server, tmp_path: Path) -> None:
    impatient: Client = openai.OpenAI(
        base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=0.2
    )
    with pytest.raises(openai.APITimeoutError):
        impatient.chat.completions.create(
            model="demo",
            messages=HELLO,
            max_tokens=8000,
            extra_body={"ignore_eos": True},
        )
    eventually(lambda: metric(server, "apr_requests_in_flight") == 0)


async def test_an_engine_that_dies_in_the_middle_of_an_event_leaves_whole_ones() -> None:
    async def die(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD + chunked(b'data: {"a"', b': 1}\n\ndata: {"b"'))
        exchange.hang_up()

    async with RawServer(die) as server:
        engine = Engine(urlsplit(server.url).port or 0, "key", "model")

        @asynccontextmanager
        async def opened() -> AsyncIterator[Response]:
            yield await engine.open("/x", {})

        passage = Passage(opened(), Meter().watch())
        *events, last = b"".join([piece async for piece in relayed(passage)]).split(b"\n\n")[:-1]
        assert events == [b'data: {"a": 1}']
        assert "error" in json.loads(last.removeprefix(b"data: "))
