"""A model's events are told as the Messages API tells them: its own client puts them together."""

from collections.abc import Iterable
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from apr.agent.events import PrefillProgress, TextDelta, ThinkingDelta
from apr.providers.base import Completion, ModelEvent, Request, UserMessage
from apr.serve.messages_answer import Stream, new_message_id, whole
from apr.serve.messages_request import Asked, Reasoning
from ccpa.trace import Block, TextBlock, ThinkingBlock, ToolUseBlock, TurnStop, Usage

EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
CALL = ToolUseBlock("toolu_1", "Read", {"file_path": "src/calc.py", "note": "ä" * 100})


def ask(
    *, max_tokens: int | None = 100, reasoning: Reasoning = "shown", one_call: bool = False
) -> Asked:
    request = Request(system="", messages=(UserMessage("a"),), max_tokens=max_tokens)
    return Asked(request=request, model="demo", reasoning=reasoning, one_call=one_call)


def complete(
    *blocks: Block, stop: TurnStop = "end_turn", output: int = 20, **fields: Any
) -> Completion:
    usage = Usage(input_tokens=50, output_tokens=output, cache_read_tokens=30)
    return Completion(blocks=blocks, stop_reason=stop, usage=usage, model="demo", **fields)


def deltas(blocks: Iterable[Block]) -> Iterable[ModelEvent]:
    """Yield what a provider shows of an answer before it is complete."""
    for block in blocks:
        text = getattr(block, "text", "") or getattr(block, "thinking", "")
        kind = ThinkingDelta if isinstance(block, ThinkingBlock) else TextDelta
        yield from (kind(text[at : at + 3]) for at in range(0, len(text), 3))


def stream(events: Iterable[ModelEvent], asked: Asked) -> list[dict[str, Any]]:
    told = Stream(asked, model="demo", id_="msg_1")
    return [each for event in events for each in told.take(event)]


def streamed(completion: Completion, asked: Asked) -> list[dict[str, Any]]:
    return stream([*deltas(completion.blocks), completion], asked)


def put_together(events: list[dict[str, Any]]) -> Message:
    """Return the message that the vendor's client makes of events, each of a type it knows."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in events:
        if event["type"] != "ping":
            read = EVENT.validate_python(event)
            snapshot = accumulate_event(event=read, current_snapshot=snapshot, json_bufs=buffers)
    return Message.model_validate(snapshot.to_dict())


def shape(events: list[dict[str, Any]]) -> list[str]:
    """Return the types of events in order, a run of one type as one."""
    kinds = [event["type"] for event in events if event["type"] != "ping"]
    return [kind for at, kind in enumerate(kinds) if not at or kind != kinds[at - 1]]


def test_a_stream_goes_from_message_start_to_message_stop() -> None:
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    events = streamed(complete(ThinkingBlock("Hm."), TextBlock("Yes."), CALL), ask())
    assert shape(events) == ["message_start", *block * 3, "message_delta", "message_stop"]
    starts = [event for event in events if event["type"] == "content_block_start"]
    assert [event["index"] for event in starts] == [0, 1, 2]


def test_the_arguments_of_a_call_come_in_pieces() -> None:
    events = streamed(complete(CALL, stop="tool_use"), ask())
    pieces = [e["delta"]["partial_json"] for e in events if e["type"] == "content_block_delta"]
    assert pieces[0] == ""
    assert len(pieces) > 2
    assert put_together(events).content[0].to_dict()["input"] == CALL.input


def test_an_answer_of_nothing_has_no_blocks() -> None:
    assert shape(streamed(complete(), ask())) == ["message_start", "message_delta", "message_stop"]


def test_the_prompt_is_counted_when_the_stream_starts() -> None:
    first, *_ = stream([PrefillProgress(30, 50, 30)], ask())
    assert first["message"]["usage"] == {
        "input_tokens": 20,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 30,
        "output_tokens": 0,
    }


def test_a_long_prompt_is_told_of_with_pings() -> None:
    progress = [PrefillProgress(at, 100) for at in range(0, 100, 25)]
    kinds = [event["type"] for event in stream(progress, ask())]
    assert kinds == ["message_start", *["ping"] * 5]


def test_the_usage_adds_up_to_the_whole_prompt() -> None:
    usage = put_together(streamed(complete(TextBlock("a")), ask())).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (20, 30)
    assert usage.cache_creation_input_tokens == 0
    assert usage.output_tokens == 20


@pytest.mark.parametrize(
    ("completion", "reason", "sequence"),
    [
        (complete(TextBlock("a")), "end_turn", None),
        (complete(CALL, stop="tool_use"), "tool_use", None),
        (complete(TextBlock("a"), stop="max_tokens", output=100), "max_tokens", None),
        (
            complete(TextBlock("a"), stop="max_tokens", output=99),
            "model_context_window_exceeded",
            None,
        ),
        (complete(TextBlock("a"), stop="stop_sequence", stop_sequence="X"), "stop_sequence", "X"),
        (complete(CALL, stop="tool_use", stop_sequence="X"), "tool_use", None),
        (complete(stop="tool_use", stop_sequence="X"), "stop_sequence", "X"),
    ],
)
def test_why_an_answer_ended(completion: Completion, reason: str, sequence: str | None) -> None:
    message = put_together(streamed(completion, ask()))
    assert (message.stop_reason, message.stop_sequence) == (reason, sequence)


def test_thinking_is_signed() -> None:
    (thinking,) = put_together(streamed(complete(ThinkingBlock("Hm.")), ask())).content
    assert thinking.type == "thinking"
    assert thinking.thinking == "Hm."
    assert thinking.signature


def test_thinking_may_be_left_out_of_its_block() -> None:
    asked = ask(reasoning="omitted")
    message = put_together(streamed(complete(ThinkingBlock("Hm.")), asked))
    (thinking,) = message.content
    assert thinking.type == "thinking"
    assert thinking.thinking == ""
    assert thinking.signature


def test_thinking_that_nobody_asked_for_is_not_told() -> None:
    completion = complete(ThinkingBlock("Hm."), TextBlock("Yes."))
    message = put_together(streamed(completion, ask(reasoning="hidden")))
    assert [block.type for block in message.content] == ["text"]


def test_a_call_that_must_not_run_goes_by_a_name_that_no_tool_has() -> None:
    completion = complete(CALL, stop="tool_use", malformed={"toolu_1": "Without `path`."})
    (call,) = put_together(streamed(completion, ask())).content
    assert call.type == "tool_use"
    assert call.name == "invalid_tool_call"
    assert call.input == {"error": "Without `path`.", "tool": "Read", "arguments": CALL.input}


def test_one_call_is_all_where_only_one_is_wanted() -> None:
    completion = complete(CALL, ToolUseBlock("toolu_2", "Read", {}), stop="tool_use")
    message = put_together(streamed(completion, ask(one_call=True)))
    assert [block.to_dict()["id"] for block in message.content] == ["toolu_1"]


def test_with_no_tokens_to_generate_the_prompt_is_only_evaluated() -> None:
    completion = complete(TextBlock("A"), stop="max_tokens", output=1)
    message = put_together(streamed(completion, ask(max_tokens=0)))
    assert (message.content, message.stop_reason) == ([], "max_tokens")
    assert message.usage.output_tokens == 0


def test_ids_are_as_the_vendor_writes_them() -> None:
    assert new_message_id().startswith("msg_")
    assert new_message_id() != new_message_id()


TEXTS = st.text(min_size=1, max_size=12)
CALLS = st.lists(
    st.builds(ToolUseBlock, st.uuids().map(str), TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3)),
    max_size=3,
)


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    """Draw an answer as models give it: thinking, then text, then calls, each perhaps."""
    calls = draw(CALLS)
    blocks: list[Block] = [ThinkingBlock(text) for text in draw(st.lists(TEXTS, max_size=1))]
    blocks += [TextBlock(text) for text in draw(st.lists(TEXTS, max_size=1))]
    bad = draw(st.sets(st.sampled_from([c.id for c in calls]))) if calls else set()
    return complete(*blocks, *calls, malformed=dict.fromkeys(bad, "why"))


@given(
    completions(),
    st.sampled_from(["shown", "omitted", "hidden"]),
    st.booleans(),
    st.sampled_from([0, 100]),
)
@settings(max_examples=200, deadline=None)
def test_a_stream_comes_to_the_same_as_the_whole(
    completion: Completion, reasoning: Reasoning, one_call: bool, max_tokens: int
) -> None:
    asked = ask(max_tokens=max_tokens, reasoning=reasoning, one_call=one_call)
    told = whole(completion, asked, model="demo", id_="msg_1")
    assert put_together(streamed(completion, asked)) == Message.model_validate(told)
