"""An answer is heard alike whether it comes whole or streamed, on every wire."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccpa.importers.notes import Notes
from ccpa.record import chat, messages, responses
from ccpa.record.heard import Heard, Listener
from ccpa.record.recorder import LISTENERS
from ccpa.record.sse import EventReader, EventTooLarge
from ccpa.scripted.server import WIRES
from ccpa.scripted.wire import Answer, Asked
from ccpa.trace import AssistantTurn, TextBlock, ThinkingBlock, ToolUseBlock, Usage

ASKED = Asked(model="m", stream=True, system="", tools=(), history=())
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
INPUTS = st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers(-9, 9), st.lists(TEXTS)), max_size=3)
COUNTS = st.integers(0, 10**6)


@st.composite
def turns(draw: st.DrawFn) -> AssistantTurn:
    """Return any answer that all three wires can tell: thinking, then a text, then calls."""
    uses = draw(st.lists(st.tuples(st.sampled_from(["Read", "Bash"]), INPUTS), max_size=3))
    blocks: list[Any] = [ThinkingBlock(draw(TEXTS.filter(bool)))] if draw(st.booleans()) else []
    blocks += [TextBlock(draw(TEXTS.filter(bool)))] if draw(st.booleans()) or not uses else []
    blocks += [ToolUseBlock(f"call_{n}", *use) for n, use in enumerate(uses)]
    usage = Usage(input_tokens=draw(COUNTS) + 10, output_tokens=draw(COUNTS), cache_read_tokens=3)
    stop: Any = "tool_use" if uses else draw(st.sampled_from(["end_turn", "max_tokens"]))
    return AssistantTurn(v=1, turn=1, blocks=blocks, stop_reason=stop, usage=usage)


def heard(listener: Listener, answer: Any) -> Heard:
    notes = Notes()
    found = listener.heard(answer, notes)
    assert found is not None
    assert notes == Notes()
    return found


@pytest.mark.parametrize("path", LISTENERS)
@settings(max_examples=30)
@given(turn=turns(), cut=st.integers(1, 50))
def test_whole_and_streamed_answers_are_heard_alike(
    path: str, turn: AssistantTurn, cut: int
) -> None:
    answer = Answer(turn=turn, asked=ASKED, key="k")
    listener = LISTENERS[path]
    stream = b"".join(WIRES[path].streamed(answer))
    events: list[Any] = []
    ended = []
    reader = EventReader()
    for at in range(0, len(stream), cut):
        for data in reader.feed(stream[at : at + cut]):
            event = None if data == b"[DONE]" else json.loads(data)
            events += [] if event is None else [event]
            ended.append(listener.ends(event))
    assert ended == [False] * (len(ended) - 1) + [True]
    streamed = listener.whole(events)
    assert streamed is not None
    whole = heard(listener, json.loads(WIRES[path].whole(answer)))
    assert heard(listener, streamed) == whole
    assert whole.blocks == turn.blocks
    assert whole.usage == turn.usage


@pytest.mark.parametrize("path", LISTENERS)
@settings(max_examples=30)
@given(turn=turns(), data=st.data())
def test_a_stream_that_breaks_off_is_no_answer(
    path: str, turn: AssistantTurn, data: st.DataObject
) -> None:
    pieces = list(WIRES[path].streamed(Answer(turn=turn, asked=ASKED, key="k")))
    kept = b"".join(pieces[: data.draw(st.integers(0, max(len(pieces) - 4, 0)))])
    events = [json.loads(one) for one in EventReader().feed(kept)]
    assert LISTENERS[path].whole(events) is None


def test_a_server_may_leave_the_items_out_of_the_last_event() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    events = [
        {"type": "response.output_item.done", "item": item},
        {"type": "response.completed", "response": {"status": "completed", "output": []}},
    ]
    whole = responses.whole(events)
    assert whole is not None
    assert heard(responses, whole).blocks == [ToolUseBlock("c", "f", {})]


def test_the_calls_of_codex_are_calls() -> None:
    output = [
        {"type": "custom_tool_call", "call_id": "a", "name": "apply_patch", "input": "*** x"},
        {"type": "local_shell_call", "call_id": "b", "action": {"command": ["ls"]}},
    ]
    blocks = heard(responses, {"status": "completed", "output": output}).blocks
    assert blocks == [
        ToolUseBlock("a", "apply_patch", {"input": "*** x"}),
        ToolUseBlock("b", "local_shell", {"command": ["ls"]}),
    ]


def test_what_an_answer_holds_that_is_not_known_is_counted() -> None:
    notes = Notes()
    found = responses.heard({"status": "completed", "output": [{"type": "dream"}]}, notes)
    assert found is not None
    assert found.blocks == []
    assert notes.unknown == {"item of an answer dream": 1}


def test_an_error_in_place_of_an_answer_is_none() -> None:
    error = {"error": {"message": "no"}}
    assert [one.heard(error, Notes()) for one in LISTENERS.values()] == [None, None, None]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_events_end_at_empty_lines_of_any_kind(line_end: bytes) -> None:
    lines = [b": hello", b"event: x", b"data: a", b"data:b", b"", b"id: 1", b"", b""]
    stream = line_end.join(lines)
    for cut in range(1, len(stream)):
        reader = EventReader()
        found = [*reader.feed(stream[:cut]), *reader.feed(stream[cut:]), *reader.feed(line_end)]
        assert found == [b"a\nb"]


def test_an_endless_event_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccpa.record.sse.LARGEST_EVENT", 100)
    with pytest.raises(EventTooLarge):
        list(EventReader().feed(b"x" * 101))
    with pytest.raises(EventTooLarge):
        list(EventReader().feed(b"data: 1234567890\n" * 10))


def test_results_are_read_from_each_wire() -> None:
    block = {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "x"}]}
    said = {"messages": [{"role": "user", "content": [{**block, "is_error": True}, block]}]}
    assert [(one.use, one.content, one.failed) for one in messages.results(said)] == [
        ("a", "x", True),
        ("a", "x", False),
    ]
    told = chat.results({"messages": [{"role": "tool", "tool_call_id": "b", "content": "y"}]})
    assert [(one.use, one.content, one.failed) for one in told] == [("b", "y", None)]
    said_so = {"content": "", "success": True}
    items = [
        {"type": "function_call_output", "call_id": "c", "output": "Exit code: 3\nOutput:\nno"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": said_so},
    ]
    found = responses.results({"input": items})
    assert [(one.use, one.failed, one.exit_code) for one in found] == [
        ("c", None, 3),
        ("d", False, None),
    ]
