"""The public clients of the three wires read what the scripted server says."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic, APIStatusError, BadRequestError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import BadRequestError as OpenAIBadRequestError
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageFunctionToolCall

from ccpa.scripted.script import Script
from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import AssistantTurn, Block, TextBlock, ThinkingBlock, ToolUseBlock, Usage
from tests.ccpa.scripted.talk import CALL, prompt, says, turn

ALL = (
    ThinkingBlock("Let me think about this — at length.", "c2lnbmF0dXJl"),
    TextBlock("Grüße 👋\r\n" * 9),
    CALL,
    TextBlock(""),
    ToolUseBlock("toolu_2", "Bash", {"command": "printf '\\n\u2028\x01\"'", "n": 2**53}),
    ToolUseBlock("toolu_3", "Nothing", {}),
)


class Clients:
    """One of each, made once: making them costs more than all they do here."""

    def __init__(self) -> None:
        self._anthropic = Anthropic(api_key="k", base_url="http://127.0.0.1", max_retries=0)
        self._openai = OpenAI(api_key="k", base_url="http://127.0.0.1", max_retries=0)

    def anthropic(self, url: str) -> Anthropic:
        return self._anthropic.with_options(base_url=url.removesuffix("/v1"))

    def openai(self, url: str) -> OpenAI:
        return self._openai.with_options(base_url=url)


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    made = Clients()
    yield made
    made._anthropic.close()
    made._openai.close()


def in_messages(client: Anthropic, *, stream: bool) -> Any:
    asked: Any = {
        "model": "m",
        "max_tokens": 99,
        "messages": [{"role": "user", "content": "go"}],
        "stop_sequences": ["STOP"],
    }
    if not stream:
        return client.messages.create(**asked)
    with client.messages.stream(**asked) as events:
        return events.get_final_message()


def in_chat(client: OpenAI, *, stream: bool) -> Any:
    asked: Any = {"model": "m", "messages": [{"role": "user", "content": "go"}]}
    if not stream:
        return client.chat.completions.create(**asked)
    with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
        return events.get_final_completion()


def in_responses(client: OpenAI, *, stream: bool) -> Any:
    asked: Any = {"model": "m", "input": "go"}
    if not stream:
        return client.responses.create(**asked)
    final = None
    with client.responses.stream(**asked) as events:
        for event in events:
            if event.type in {"response.completed", "response.incomplete"}:
                final = event.response
    return final


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_reads_every_kind_of_block(clients: Clients, stream: bool) -> None:
    with serving(ScriptedModel([turn(*ALL, stop="tool_use")])) as url:
        answer = in_messages(clients.anthropic(url), stream=stream)
    assert blocks_of_message(answer) == list(ALL)
    assert answer.stop_reason == "tool_use"
    assert answer.usage.input_tokens == 6
    assert answer.usage.cache_read_input_tokens == 5
    assert answer.usage.output_tokens == 7
    assert answer.model == "m"


@pytest.mark.parametrize("stream", [False, True])
def test_openai_reads_a_chat_completion(clients: Clients, stream: bool) -> None:
    with serving(ScriptedModel([turn(*ALL, stop="tool_use")])) as url:
        answer = in_chat(clients.openai(url), stream=stream)
    choice = answer.choices[0]
    assert choice.message.content == "Grüße 👋\r\n" * 9
    assert calls_of_chat(choice.message) == [b for b in ALL if isinstance(b, ToolUseBlock)]
    assert choice.finish_reason == "tool_calls"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 7)
    assert answer.usage.prompt_tokens_details.cached_tokens == 5


@pytest.mark.parametrize("stream", [False, True])
def test_openai_reads_a_response(clients: Clients, stream: bool) -> None:
    with serving(ScriptedModel([turn(*ALL, stop="tool_use")])) as url:
        answer = in_responses(clients.openai(url), stream=stream)
    assert blocks_of_response(answer) == list(ALL)
    assert answer.status == "completed"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 7)
    assert answer.usage.input_tokens_details.cached_tokens == 5


def test_the_streams_are_made_of_the_events_that_the_documentation_names(clients: Clients) -> None:
    """No client checks the order of the events; an agent's own reader may."""
    script = [turn(TextBlock("Hello"), CALL, stop="tool_use") for _ in range(2)]
    asked: Any = {"model": "m", "stream": True}
    with serving(ScriptedModel(script)) as url:
        said = clients.anthropic(url).messages.create(
            messages=[{"role": "user", "content": "go"}], max_tokens=9, **asked
        )
        of_messages = [event.type for event in said]
        responded = clients.openai(url).responses.create(input="go", **asked)
        of_responses = [(event.sequence_number, event.type) for event in responded]
    assert once(of_messages) == [  # the client keeps `ping` to itself
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [number for number, _ in of_responses] == list(range(len(of_responses)))
    assert once([kind.removeprefix("response.") for _, kind in of_responses]) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]


@pytest.mark.parametrize(
    ("stop", "message", "chat", "response"),
    [
        ("end_turn", ("end_turn", None), "stop", "completed"),
        ("stop_sequence", ("stop_sequence", "STOP"), "stop", "completed"),
        ("max_tokens", ("max_tokens", None), "length", "incomplete"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_each_wire_says_in_its_own_way_why_the_answer_ends(
    clients: Clients, stop: Any, message: object, chat: str, response: str, stream: bool
) -> None:
    with serving(ScriptedModel([turn(TextBlock("…"), stop=stop)] * 3)) as url:
        first = in_messages(clients.anthropic(url), stream=stream)
        assert (first.stop_reason, first.stop_sequence) == message
        if not (stream and stop == "max_tokens"):  # that client raises on a cut answer
            second = in_chat(clients.openai(url), stream=stream)
            assert second.choices[0].finish_reason == chat
        third = in_responses(clients.openai(url), stream=stream)
        assert third.status == response
        cut = third.incomplete_details and third.incomplete_details.reason
        assert cut == ("max_output_tokens" if stop == "max_tokens" else None)


def test_tokens_are_counted_without_saying_anything(clients: Clients) -> None:
    model = ScriptedModel([says("unsaid")])
    with serving(model) as url:
        count = clients.anthropic(url).messages.count_tokens
        short, long = (
            count(model="m", messages=[{"role": "user", "content": "word " * n}]).input_tokens
            for n in (1, 1000)
        )
    assert 0 < short < 100 < 1000 < long < 2000
    assert model.unsaid == 1
    assert model.requests == []


def test_models_are_listed_for_both_clients(clients: Clients) -> None:
    with serving(ScriptedModel([])) as url:
        assert [m.id for m in clients.anthropic(url).models.list()] == ["scripted"]
        assert [m.id for m in clients.openai(url).models.list()] == ["scripted"]
        assert clients.openai(url).models.retrieve("any/name").id == "any/name"


def test_a_refusal_is_an_error_of_each_client(clients: Clients) -> None:
    with serving(ScriptedModel([])) as url:
        with pytest.raises(BadRequestError, match="not in the recording") as anthropic_error:
            in_messages(clients.anthropic(url), stream=True)
        for ask in (in_chat, in_responses):
            with pytest.raises(OpenAIBadRequestError, match="not in the recording"):
                ask(clients.openai(url), stream=True)
    assert isinstance(anthropic_error.value, APIStatusError)
    assert anthropic_error.value.type == "invalid_request_error"


def test_a_response_may_go_on_from_the_one_before(clients: Clients) -> None:
    """`previous_response_id`: the client leaves out the history, and the server has it."""
    records = [prompt("Read it."), turn(CALL, stop="tool_use"), says("Read.", 3)]
    with serving(ScriptedModel(Script.from_trace(records))) as url:
        respond: Any = clients.openai(url).responses.create
        tools = [{"type": "function", "name": "Read", "parameters": {}, "strict": False}]
        first = respond(model="m", input="Read it.", tools=tools)
        output = {"type": "function_call_output", "call_id": "toolu_1", "output": "text"}
        second = respond(model="m", input=[output], tools=tools, previous_response_id=first.id)
        with pytest.raises(OpenAIBadRequestError, match="resp_nowhere"):
            respond(model="m", input=[output], previous_response_id="resp_nowhere")
    assert second.output_text == "Read."


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
BLOCKS: st.SearchStrategy[list[Block]] = st.lists(
    st.builds(TextBlock, st.text())
    | st.builds(ThinkingBlock, st.text(), st.text() | st.none())
    | st.builds(ToolUseBlock, NAMES, NAMES, st.dictionaries(st.text(), JSON, max_size=4)),
    min_size=1,
    max_size=4,
    unique_by=lambda block: block.id if isinstance(block, ToolUseBlock) else object(),
)


@st.composite
def any_turn(draw: st.DrawFn) -> AssistantTurn:
    blocks = draw(BLOCKS)
    tools = any(isinstance(block, ToolUseBlock) for block in blocks)
    numbers = st.integers(0, 2**53 - 1)
    usage = draw(st.none() | st.builds(Usage, input_tokens=numbers, output_tokens=numbers))
    stop: Any = "tool_use" if tools else draw(st.sampled_from(["end_turn", "stop_sequence"]))
    return AssistantTurn(v=1, turn=1, blocks=blocks, stop_reason=stop, usage=usage)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(said=any_turn(), stream=st.booleans())
def test_any_turn_survives_every_wire(clients: Clients, said: AssistantTurn, stream: bool) -> None:
    with serving(ScriptedModel([said] * 3)) as url:
        message = in_messages(clients.anthropic(url), stream=stream)
        completion = in_chat(clients.openai(url), stream=stream)
        response = in_responses(clients.openai(url), stream=stream)
    unsigned_as_empty = [
        ThinkingBlock(b.thinking, b.signature or None) if isinstance(b, ThinkingBlock) else b
        for b in said.blocks
    ]
    assert as_json(blocks_of_message(message)) == as_json(unsigned_as_empty)
    assert as_json(blocks_of_response(response)) == as_json(unsigned_as_empty)
    told = completion.choices[0].message
    assert (told.content or "") == "".join(b.text for b in said.blocks if isinstance(b, TextBlock))
    assert as_json(calls_of_chat(told)) == as_json(
        [block for block in said.blocks if isinstance(block, ToolUseBlock)]
    )
    thinking = "".join(b.thinking for b in said.blocks if isinstance(b, ThinkingBlock))
    assert (getattr(told, "reasoning_content", None) or "") == thinking


def as_json(blocks: list[Any]) -> list[str]:
    """Return blocks as text that tells 1 from 1.0 and True, and one order of keys from another."""
    return [json.dumps([type(block).__name__, *block_fields(block)]) for block in blocks]


def block_fields(block: Block) -> list[object]:
    match block:
        case TextBlock(text):
            return [text]
        case ThinkingBlock(thinking, signature):
            return [thinking, signature]
        case ToolUseBlock(id_, name, given):
            return [id_, name, given]


def blocks_of_message(message: Any) -> list[Block]:
    blocks: list[Block] = []
    for block in message.content:
        match block.type:
            case "text":
                blocks.append(TextBlock(block.text))
            case "thinking":
                blocks.append(ThinkingBlock(block.thinking, block.signature or None))
            case "tool_use":
                blocks.append(ToolUseBlock(block.id, block.name, block.input))
    return blocks


def blocks_of_response(response: Any) -> list[Block]:
    blocks: list[Block] = []
    for item in response.output:
        match item.type:
            case "message":
                blocks.append(TextBlock(item.content[0].text))
            case "reasoning":
                signature = item.encrypted_content or None
                blocks.append(ThinkingBlock(item.content[0].text, signature))
            case "function_call":
                given = json.loads(item.arguments)
                blocks.append(ToolUseBlock(item.call_id, item.name, given))
    return blocks


def calls_of_chat(message: Any) -> list[ToolUseBlock]:
    found: list[ToolUseBlock] = []
    for call in message.tool_calls or ():
        assert isinstance(call, ChatCompletionMessageFunctionToolCall)
        given = json.loads(call.function.arguments)
        found.append(ToolUseBlock(call.id, call.function.name, given))
    return found


def once(kinds: list[str]) -> list[str]:
    """Return the row with repetitions of one kind made one."""
    return [kind for at, kind in enumerate(kinds) if not at or kinds[at - 1] != kind]
