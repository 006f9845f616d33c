"""The vendor's own client, and programs built on it, work on a model that `apr serve` serves."""

import asyncio
import json
import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anthropic
import pytest
from anthropic.lib.tools import BetaFunctionTool
from anthropic.types import Message, Usage
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from apr.agent.calls import Checked, Ready, Refused, check, execute
from apr.agent.prompt import SYSTEM, first_prompt, look_around
from apr.tools.base import Context
from apr.tools.files import FileLedger
from apr.tools.registry import BUILTIN, specs
from apr.tools.shells import Shells
from ccpa.fixtures import load_fixture, materialise
from ccpa.trace import ToolUseBlock
from demo_model.sessions import FIXTURES, from_trace
from tests.apr.engine.processes import eventually
from tests.apr.serve.messages_served import client_for, post, serving

TOOLS: Any = [
    {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
    for tool in specs(BUILTIN)
]
READ = TOOLS[0]


def opening(project: Path, prompt: str) -> dict[str, Any]:
    """Return the first message of a session as the demo model was taught it."""
    return {"role": "user", "content": first_prompt(look_around(project), prompt)}


HELLO: Any = [opening(Path("/"), "Hello there")]
SURE = {"temperature": 0}
KNOWN: Any = {
    "model": "demo",
    "max_tokens": 64,
    "system": SYSTEM,
    "tools": TOOLS,
    "extra_body": SURE,  # the client itself has no word for it any more
}
"""What the demo model's answers to `HELLO` and its sessions need."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    with serving("demo", home) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> anthropic.Anthropic:
    return client_for(url)


@pytest.fixture(scope="module")
def random_url(tiny: Path, home: Path) -> Iterator[str]:
    """Serve a model that talks nonsense until it is stopped, with little context and one place."""
    with serving(tiny, home, "--ctx", "2048", "--slots", "1", "--queue", "0") as url:
        yield url


def ask(client: anthropic.Anthropic, **fields: Any) -> Message:
    given: Any = {**KNOWN, "messages": HELLO, **fields}
    message: Message = client.messages.create(**given)
    return message


def prompt_tokens(usage: Usage) -> int:
    read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    return usage.input_tokens + (read or 0) + (written or 0)


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def body(**fields: Any) -> dict[str, Any]:
    hello = [{"role": "user", "content": "Hello there"}]
    return {"model": "demo", "max_tokens": 4, "messages": hello, **fields}


NUMBERS = {"type": "array", "items": {"type": "integer"}, "minItems": 1900}
ENDLESS: Any = {"output_config": {"format": {"type": "json_schema", "schema": NUMBERS}}}
"""What keeps a model talking for longer than the context lasts."""


def test_a_message_is_answered(client: anthropic.Anthropic) -> None:
    message = ask(client)
    assert message.id.startswith("msg_")
    assert (message.role, message.model, message.stop_reason) == ("assistant", "demo", "end_turn")
    assert "I am the demo model" in text_of(message)


async def test_the_async_client_is_answered_alike(url: str, client: anthropic.Anthropic) -> None:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as other:
        message = await other.messages.create(messages=HELLO, **KNOWN)
        async with other.messages.stream(messages=HELLO, **KNOWN) as stream:
            streamed = await stream.get_final_message()
    assert text_of(message) == text_of(streamed) == text_of(ask(client))


def test_a_stream_comes_to_the_same_message(client: anthropic.Anthropic) -> None:
    with client.messages.stream(messages=HELLO, **KNOWN) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == text_of(message) == text_of(ask(client))
    assert message.stop_reason == "end_turn"


def test_a_stream_has_a_ping_and_tells_the_usage_at_its_start(url: str) -> None:
    raw = urllib.request.Request(f"{url}/v1/messages", json.dumps(body(stream=True)).encode())
    with urllib.request.urlopen(raw) as answer:
        kinds = re.findall(r"(?m)^event: (\w+)$", text := answer.read().decode())
    start = json.loads(text.partition("data: ")[2].partition("\n")[0])
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert prompt_tokens(Usage(**start["message"]["usage"])) > 0


CALL = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "a"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "line"}
COUNTED: dict[str, dict[str, Any]] = {
    "a prompt": {},
    "a system prompt": {"system": [{"type": "text", "text": "Be short."}]},
    "a header that changes": {"system": "x-anthropic-billing-header: cch=1\n\nBe short."},
    "tools": {"tools": TOOLS},
    "tools that are not to be used": {"tools": TOOLS, "tool_choice": {"type": "none"}},
    "a tool that must be used": {"tools": TOOLS, "tool_choice": {"type": "any"}},
    "an answer that is begun": {"messages": [*HELLO, {"role": "assistant", "content": "I am"}]},
    "a call and its result": {
        "tools": TOOLS,
        "messages": [
            *HELLO,
            {"role": "assistant", "content": [CALL]},
            {"role": "user", "content": [RESULT]},
        ],
    },
    "thinking": {"thinking": {"type": "adaptive"}},
}


@pytest.mark.parametrize("case", COUNTED)
def test_tokens_are_counted_as_they_are_used(case: str, client: anthropic.Anthropic) -> None:
    given: Any = {"model": "demo", "messages": HELLO, **COUNTED[case]}
    counted = client.messages.count_tokens(**given).input_tokens
    assert prompt_tokens(client.messages.create(max_tokens=4, **given).usage) == counted
    with client.messages.stream(max_tokens=4, **given) as stream:
        assert prompt_tokens(stream.get_final_message().usage) == counted


def test_another_models_name_is_answered_and_told(url: str) -> None:
    answer = post(url, body(model="claude-opus-5-5"))
    assert (answer.status, answer.body["model"]) == (200, "demo")
    assert answer.headers["x-apr-model-fallback"] == "demo"
    assert post(url, body()).headers["x-apr-model-fallback"] is None


def test_tools_of_the_vendor_are_left_out_and_named(url: str) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    answer = post(url, body(tools=[search, READ]))
    assert answer.headers["x-apr-left-out"] == "web_search_20250305"


def test_an_answer_ends_at_max_tokens(client: anthropic.Anthropic) -> None:
    message = ask(client, max_tokens=3)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 3)


def test_an_answer_ends_at_a_stop_sequence_and_says_at_which(client: anthropic.Anthropic) -> None:
    message = ask(client, stop_sequences=["never said", "demo model"])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "demo model")
    assert "demo model" not in text_of(message)


def test_a_call_that_a_stop_sequence_cuts_off_is_none(client: anthropic.Anthropic) -> None:
    prompt: Any = [opening(Path("/"), "Which port does the server listen on? See config.py.")]
    assert ask(client, messages=prompt, max_tokens=200).stop_reason == "tool_use"
    message = ask(client, messages=prompt, max_tokens=200, stop_sequences=["</function>"])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "</function>")
    assert [block for block in message.content if block.type == "tool_use"] == []


def test_an_answer_ends_with_the_context(random_url: str) -> None:
    message = client_for(random_url).messages.create(**body(max_tokens=10_000, **ENDLESS))
    assert message.stop_reason == "model_context_window_exceeded"
    assert prompt_tokens(message.usage) + message.usage.output_tokens == 2048


def test_no_tokens_evaluate_a_prompt_for_later(client: anthropic.Anthropic) -> None:
    prompt: Any = [{"role": "user", "content": "Evaluate me before I am needed"}]
    first = ask(client, max_tokens=0, messages=prompt)
    assert (first.content, first.stop_reason) == ([], "max_tokens")
    assert first.usage.output_tokens == 0
    assert ask(client, messages=prompt).usage.input_tokens == 1


def test_an_answer_goes_on_from_what_was_begun(client: anthropic.Anthropic) -> None:
    begun = {"role": "assistant", "content": "I am the demo"}
    message = ask(client, messages=[*HELLO, begun])
    assert text_of(message).startswith(" model")


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "Read"}])
def test_a_call_can_be_forced(choice: Any, client: anthropic.Anthropic) -> None:
    message = ask(client, tools=TOOLS, tool_choice=choice, max_tokens=200)
    assert message.stop_reason == "tool_use"
    assert message.content[-1].type == "tool_use"


def test_a_form_of_the_answer_is_kept(client: anthropic.Anthropic) -> None:
    class Port(BaseModel):
        port: int

    message = client.messages.parse(
        model="demo", max_tokens=200, messages=HELLO, output_format=Port, extra_body=SURE
    )
    assert isinstance(message.parsed_output, Port)


def run(call: ToolUseBlock, context: Context) -> dict[str, Any]:
    """Run a tool of apr's, and return the result as an agent sends it."""
    tools = {tool.name: tool for tool in BUILTIN}
    checked = check(call, {}, tools, context)
    if isinstance(checked, Refused):
        content, ok = checked.content, False
    else:
        assert isinstance(checked, Checked)
        ready = Ready(checked.call, checked.tool, checked.input)
        outcome = asyncio.run(execute(ready, context)).outcome
        content, ok = outcome.content, outcome.ok
    return {
        "type": "tool_result",
        "tool_use_id": call.id,
        "content": content,
        "is_error": not ok,
    }


@pytest.mark.parametrize("fixture_id", ["demo-fix-median", "demo-find-port"])
def test_an_agent_goes_through_a_session_and_nothing_is_evaluated_twice(
    fixture_id: str, client: anthropic.Anthropic, tmp_path: Path
) -> None:
    fixture = load_fixture(FIXTURES / fixture_id)
    materialise(fixture, tmp_path / "project")
    project = (tmp_path / "project").resolve()
    teacher = from_trace("", fixture.teacher_trace)
    context = Context(root=project, cwd=project, files=FileLedger(), shells=Shells())
    messages: list[Any] = [opening(project, teacher.prompts[0])]
    made, known = [], 0

    while True:
        with client.messages.stream(messages=messages, **KNOWN | {"max_tokens": 1000}) as stream:
            answer = stream.get_final_message()
        assert (answer.usage.cache_read_input_tokens or 0) >= known
        known = prompt_tokens(answer.usage) + answer.usage.output_tokens - 1
        calls = [block for block in answer.content if block.type == "tool_use"]
        made.append((text_of(answer), [(call.name, call.input) for call in calls]))
        messages.append(answer.to_param())
        if answer.stop_reason != "tool_use":
            break
        results = [run(ToolUseBlock(c.id, c.name, dict(c.input)), context) for c in calls]
        messages.append({"role": "user", "content": results})

    wanted = [(a.text, [(call.name, call.input) for call in a.calls]) for a in teacher.answers]
    assert made == wanted


def test_the_vendors_tool_runner_drives_a_session(
    client: anthropic.Anthropic, tmp_path: Path
) -> None:
    fixture = load_fixture(FIXTURES / "demo-write-editorconfig")
    (prompt,) = from_trace("", fixture.teacher_trace).prompts
    written = {}

    def write(file_path: str, content: str) -> str:
        written[file_path] = content
        return f"Wrote {file_path}."

    tool = next(tool for tool in TOOLS if tool["name"] == "Write")
    runnable = BetaFunctionTool(
        write, name="Write", description=tool["description"], input_schema=tool["input_schema"]
    )
    messages: Any = [opening(tmp_path, prompt)]
    runner = client.beta.messages.tool_runner(
        model="demo",
        max_tokens=1000,
        system=SYSTEM,
        tools=[runnable if tool["name"] == "Write" else tool for tool in TOOLS],
        messages=messages,
    )
    final = runner.until_done()
    assert [Path(path).name for path in written] == [".editorconfig"]
    assert final.stop_reason == "end_turn"


def test_a_wrong_request_is_an_error_of_the_vendors_client(client: anthropic.Anthropic) -> None:
    wrong: Any = [{"role": "user", "content": [{"type": "video"}]}]
    with pytest.raises(anthropic.BadRequestError) as refused:
        ask(client, messages=wrong)
    error: Any = refused.value.body
    assert error["type"] == "error"
    assert error["error"]["type"] == "invalid_request_error"
    assert error["error"]["message"].startswith("messages.0.content.0.type: ")
    assert error["request_id"] == refused.value.request_id


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_that_is_too_long_is_refused_with_its_length(
    stream: bool, random_url: str
) -> None:
    client = client_for(random_url)
    long: Any = [{"role": "user", "content": "word " * 4000}]
    counted = client.messages.count_tokens(model="demo", messages=long).input_tokens
    with pytest.raises(
        anthropic.BadRequestError, match=f"prompt is too long: {counted} tokens > 2048 maximum"
    ):
        client.messages.create(model="demo", max_tokens=4, messages=long, stream=stream)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_a_prompt_that_is_far_too_long_is_refused_without_a_count(url: str, path: str) -> None:
    vast = body(messages=[{"role": "user", "content": "word " * 1_000_000}])
    answer = post(url, vast, path=path)
    assert answer.status == 400
    message = answer.body["error"]["message"]
    assert message.startswith("prompt is too long: 5,000,0")
    assert "characters cannot be 16,384 tokens" in message


def test_what_the_engine_refuses_is_a_wrong_request(url: str) -> None:
    form = {"type": "json_schema", "schema": {"type": "no such type"}}
    answer = post(url, body(output_config={"format": form}))
    assert (answer.status, answer.body["error"]["type"]) == (400, "invalid_request_error")
    assert "127.0.0.1" not in answer.body["error"]["message"]


def test_other_refusals_are_told_alike(url: str) -> None:
    for path, sent, status, kind in [
        ("/v1/messages", b" " * (32 * 1024 * 1024 + 1), 413, "request_too_large"),
        ("/v1/messages/batches", b"{}", 404, "not_found_error"),
    ]:
        answer = post(url, sent, path)
        assert (answer.status, answer.body["type"]) == (status, "error")
        assert answer.body["error"]["type"] == kind


def test_a_key_is_asked_for_and_both_headers_carry_it(home: Path) -> None:
    key = home / "key"
    with serving("demo", home, "--api-key-file", str(key)) as url:
        assert post(url, body()).body["error"]["type"] == "authentication_error"
        assert post(url, body(), **{"x-api-key": "wrong"}).status == 401
        right = key.read_text().strip()
        assert post(url, body(), **{"x-api-key": right}).status == 200
        assert post(url, body(), Authorization=f"Bearer {right}").status == 200


def figure(url: str, name: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        found = re.search(rf"(?m)^{name} (\S+)$", answer.read().decode())
    assert found, name
    return float(found[1])


def test_a_client_that_goes_away_stops_the_model_and_a_full_server_says_so(
    random_url: str,
) -> None:
    address = urlsplit(random_url)
    sent = json.dumps(body(max_tokens=1900, stream=True, **ENDLESS)).encode()
    generated = 'apr_tokens_total{kind="generated"}'
    before = figure(random_url, generated)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = (
            f"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(sent)}\r\n\r\n"
        )
        connection.sendall(head.encode() + sent)
        with connection.makefile("rb") as lines:
            while b"content_block_delta" not in lines.readline():
                pass
        with pytest.raises(anthropic.APIStatusError) as refused:
            client_for(random_url).messages.create(**body())
        assert (refused.value.status_code, refused.value.type) == (529, "overloaded_error")
        assert int(refused.value.response.headers["retry-after"]) >= 1

    eventually(lambda: figure(random_url, "apr_requests_in_flight") == 0)
    assert post(random_url, body(max_tokens=1)).status == 200  # in the one slot that there is
    assert figure(random_url, generated) - before < 1900


WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
FULL = WORDS.filter(str.strip)
NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
INPUTS = st.dictionaries(NAMES, WORDS | st.integers() | st.booleans(), max_size=2)
TYPES = st.sampled_from(["string", "integer", "boolean", "number", "object", "array"])
SCHEMAS = st.fixed_dictionaries(
    {"type": TYPES},
    optional={"description": WORDS, "enum": st.lists(WORDS, min_size=1, max_size=2)},
)


@st.composite
def tools(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = draw(st.lists(NAMES, unique=True, max_size=3))
    return [
        {
            "name": name,
            "description": draw(WORDS),
            "input_schema": {
                "type": "object",
                "properties": draw(st.dictionaries(NAMES, SCHEMAS, max_size=2)),
            },
        }
        for name in names
    ]


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw a history in which calls are answered, and prompts are not empty."""
    messages: list[dict[str, Any]] = []
    for turn in range(draw(st.integers(0, 3))):
        messages.append({"role": "user", "content": draw(FULL)})
        ids = [f"toolu_{turn}_{n}" for n in range(draw(st.integers(0, 2)))]
        said = [{"type": "text", "text": draw(WORDS)}]
        used = [
            {"type": "tool_use", "id": id_, "name": draw(NAMES), "input": draw(INPUTS)}
            for id_ in ids
        ]
        messages.append({"role": "assistant", "content": [*said, *used]})
        results = [
            {"type": "tool_result", "tool_use_id": id_, "content": draw(WORDS)} for id_ in ids
        ]
        if results:
            messages.append({"role": "user", "content": results})
    return [*messages, {"role": "user", "content": draw(FULL)}]


@given(conversations(), tools(), WORDS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_right_request_is_answered_and_counted_alike(
    url: str,
    messages: list[dict[str, Any]],
    offered: list[dict[str, Any]],
    system: str,
    think: bool,
) -> None:
    thinking = {"type": "adaptive" if think else "disabled"}
    front: dict[str, Any] = {"model": "demo", "system": system, "tools": offered}
    asked = {**front, "messages": messages, "thinking": thinking}
    counted = post(url, asked, "/v1/messages/count_tokens")
    answer = post(url, asked | {"max_tokens": 1})
    assert (counted.status, answer.status) == (200, 200), (counted.body, answer.body)
    usage = Message.model_validate(answer.body).usage
    assert prompt_tokens(usage) == counted.body["input_tokens"]
