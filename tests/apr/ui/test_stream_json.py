"""The sink of lines: what each event becomes, and how pieces of an answer are told."""

import io
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apr.agent.events import (
    Event,
    Notice,
    PromptDone,
    Retracted,
    TextDelta,
    ThinkingDelta,
    ToolStarted,
)
from apr.ui.lines import Lines, TooLong, shortened
from apr.ui.result import Tally
from apr.ui.stream_json import StreamJson, Wanted
from ccpa.trace import (
    AssistantTurn,
    Block,
    Compaction,
    HookEvent,
    SessionEnd,
    TextBlock,
    ThinkingBlock,
    ToolResult,
    ToolUseBlock,
    Usage,
    UserPrompt,
)

PROMPT = UserPrompt(v=1, turn=0, text="go")
DONE = PromptDone("end_turn")


def written(events: Sequence[Event], **wanted: bool) -> list[dict[str, Any]]:
    """Return the lines that events become."""
    out = io.BytesIO()
    sink = StreamJson(
        Lines(out),
        lambda: {"session_id": "s", "model": "m", "tools": []},
        lambda: Tally("s", "m", 0.0),
        lambda _text: None,
        wanted=Wanted(**wanted),
    )
    for event in events:
        sink(event)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def turn(*blocks: Block, parent: str | None = None) -> AssistantTurn:
    return AssistantTurn(
        v=1,
        turn=1,
        blocks=list(blocks),
        stop_reason="end_turn",
        usage=Usage(input_tokens=10, output_tokens=2, cache_read_tokens=4),
        latency_ms=7,
        parent_tool_use_id=parent,
    )


def pieces(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line["event"] for line in lines if line["type"] == "stream_event"]


def rebuilt(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put a message together from its events, as a client of the Messages API does."""
    assert [events[0]["type"], events[-1]["type"]] == ["message_start", "message_stop"]
    blocks: list[dict[str, Any]] = []
    said, open_at = "", None
    for event in events[1:-2]:
        match event["type"]:
            case "content_block_start":
                assert open_at is None
                assert event["index"] == len(blocks)
                open_at, said = event["index"], ""
                blocks.append(dict(event["content_block"]))
            case "content_block_delta":
                assert event["index"] == open_at
                (said_now,) = (v for k, v in event["delta"].items() if k != "type")
                said += said_now
            case "content_block_stop":
                assert event["index"] == open_at
                block = blocks[-1]
                if block["type"] == "tool_use":
                    block["input"] = json.loads(said)
                else:
                    block[block["type"]] = said
                open_at = None
    assert open_at is None
    assert events[-2]["type"] == "message_delta"
    return blocks


def test_a_prompt_begins_with_the_session_and_ends_with_its_result() -> None:
    lines = written([PROMPT, turn(TextBlock("Hello.")), DONE])
    init, answer, result = lines
    assert (init["type"], init["subtype"], init["model"]) == ("system", "init", "m")
    assert answer["message"]["content"] == [{"type": "text", "text": "Hello."}]
    assert answer["message"]["usage"] == {
        "input_tokens": 6,
        "output_tokens": 2,
        "cache_read_input_tokens": 4,
        "cache_creation_input_tokens": 0,
    }
    assert (result["subtype"], result["result"], result["num_turns"]) == ("success", "Hello.", 1)
    assert (result["duration_api_ms"], result["total_cost_usd"]) == (7, 0.0)
    assert {line["session_id"] for line in lines} == {"s"}


def test_what_only_people_see_is_no_line() -> None:
    call = ToolUseBlock("t", "Read", {})
    events: list[Event] = [PROMPT, TextDelta("Hel"), ToolStarted(call), Notice("hm"), Retracted()]
    assert [line["type"] for line in written(events)] == ["system"]


def test_a_session_that_is_cut_off_has_a_result_too() -> None:
    end = SessionEnd(v=1, turn=0, stop_reason="error", error="interrupted")
    result = written([PROMPT, end])[-1]
    assert (result["is_error"], result["errors"]) == (True, ["interrupted"])
    assert result["terminal_reason"] == "aborted_streaming"


def test_a_session_without_prompts_has_none() -> None:
    assert written([SessionEnd(v=1, turn=0, stop_reason="end_turn")]) == []


def test_reasoning_has_a_signature_as_clients_expect() -> None:
    answer = written([PROMPT, turn(ThinkingBlock("hm"), TextBlock("Yes."))])[1]
    assert answer["message"]["content"][0] == {
        "type": "thinking",
        "thinking": "hm",
        "signature": "",
    }


def test_reasoning_is_left_out_where_that_is_wanted() -> None:
    events: list[Event] = [
        PROMPT,
        ThinkingDelta("hm"),
        turn(ThinkingBlock("hm"), TextBlock("Yes.")),
        DONE,
    ]
    lines = written(events, partial=True, reasoning=False)
    assert "hm" not in json.dumps(lines)
    assert [block["type"] for block in lines[-2]["message"]["content"]] == ["thinking", "text"]


def test_of_subagents_only_tool_uses_are_told() -> None:
    call = ToolUseBlock("t", "Read", {})
    result = ToolResult(v=1, turn=2, tool_use_id="t", ok=True, content="x", parent_tool_use_id="a")
    events: list[Event] = [PROMPT, turn(TextBlock("Let me see."), call, parent="a"), result]
    events += [turn(TextBlock("Seen."), parent="a"), DONE]
    _, use, result_line, end = written(events)
    assert [block["type"] for block in use["message"]["content"]] == ["tool_use"]
    assert use["parent_tool_use_id"] == result_line["parent_tool_use_id"] == "a"
    assert end["num_turns"] == 0
    assert end["usage"]["output_tokens"] == 4
    assert len(written(events, subagents_text=True)) == 5


def test_a_hook_is_told_of_at_the_start_of_a_session_and_else_where_wanted() -> None:
    start = HookEvent(v=1, turn=0, event="SessionStart", decision="allow", exit_code=0, output="hi")
    stop = HookEvent(v=1, turn=1, event="Stop", decision="block", exit_code=2, output="go on")
    (told,) = written([start, stop])
    assert (told["subtype"], told["hook_event"], told["stdout"]) == (
        "hook_response",
        "SessionStart",
        "hi",
    )
    _, second = written([start, stop], hooks=True)
    assert (second["exit_code"], second["stderr"], second["outcome"]) == (2, "go on", "error")


def test_a_compaction_is_a_boundary() -> None:
    compaction = Compaction(v=1, turn=1, trigger="auto", tokens_before=100, tokens_after=10)
    (line,) = written([compaction])
    assert line["subtype"] == "compact_boundary"
    assert line["compact_metadata"] == {"trigger": "auto", "pre_tokens": 100, "post_tokens": 10}


def test_a_run_that_ends_at_its_turns_is_told_apart() -> None:
    result = written([PROMPT, PromptDone("error", "max_turns: not done after 3 turns")])[-1]
    assert (result["subtype"], result["terminal_reason"]) == ("error_max_turns", "max_turns")


def test_a_denied_tool_is_listed_with_its_input() -> None:
    call = ToolUseBlock("t", "Bash", {"command": "ls"})
    denied = ToolResult(v=1, turn=2, tool_use_id="t", ok=False, content="No.", denied_by="mode")
    _, _, told, result = written([PROMPT, turn(call), denied, DONE])
    assert told["message"]["content"][0]["is_error"] is True
    assert result["permission_denials"] == [
        {"tool_name": "Bash", "tool_use_id": "t", "tool_input": {"command": "ls"}}
    ]


def test_an_answer_that_comes_again_is_told_as_another_message() -> None:
    events: list[Event] = [
        PROMPT,
        TextDelta("Hel"),
        Retracted(),
        TextDelta("Hello."),
        turn(TextBlock("Hello.")),
    ]
    lines = written(events, partial=True)
    starts = [event for event in pieces(lines) if event["type"] == "message_start"]
    assert len({start["message"]["id"] for start in starts}) == 2
    assert lines[-1]["message"]["id"] == starts[-1]["message"]["id"]


_WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
_BLOCKS = st.one_of(
    st.builds(TextBlock, _WORDS),
    st.builds(ThinkingBlock, _WORDS),
    st.builds(ToolUseBlock, _WORDS, _WORDS, st.dictionaries(_WORDS, _WORDS, max_size=3)),
)


@given(st.lists(_BLOCKS, min_size=1, max_size=6), st.data())
def test_the_pieces_of_an_answer_make_the_answer(blocks: list[Block], data: st.DataObject) -> None:
    merged: list[Block] = []
    for block in blocks:  # a model's text is one block until something else comes
        if merged and type(block) is type(merged[-1]) and not isinstance(block, ToolUseBlock):
            continue
        merged.append(block)
    first_call = next((n for n, b in enumerate(merged) if isinstance(b, ToolUseBlock)), len(merged))
    deltas: list[Event] = []
    for block in merged[:first_call]:
        text = block.text if isinstance(block, TextBlock) else getattr(block, "thinking", "")
        kind = TextDelta if isinstance(block, TextBlock) else ThinkingDelta
        at = data.draw(st.integers(0, len(text)))
        deltas += [kind(text[:at]), kind(text[at:])]
    lines = written([PROMPT, *deltas, turn(*merged)], partial=True)
    assert rebuilt(pieces(lines)) == lines[-1]["message"]["content"]


@settings(max_examples=50)
@given(st.lists(st.text(max_size=5000), max_size=10))
def test_what_is_too_long_is_cut_until_it_fits(texts: list[str]) -> None:
    line = {"type": "user", "texts": texts}
    cut = shortened(line, 2000)
    size = len(msgspec.json.encode(line))
    assert cut == line if size <= 2000 else len(msgspec.json.encode(cut)) <= 2000


def test_long_texts_are_cut_and_short_ones_stay() -> None:
    line = {"type": "user", "text": "ü" * 3_000_000, "list": ["a" * 2_000_000, "b"], "id": "kept"}
    cut = shortened(line)
    assert len(json.dumps(cut, ensure_ascii=False).encode()) <= 1_000_000
    assert (cut["type"], cut["id"], cut["list"][1]) == ("user", "kept", "b")
    assert cut["text"].endswith(" characters cut]")


def test_what_must_be_whole_is_not_cut() -> None:
    out = io.BytesIO()
    with pytest.raises(TooLong, match="2,000,013 bytes"):
        Lines(out).write_whole({"text": "a" * 2_000_002})
    assert out.getvalue() == b""


class Broken(io.BytesIO):
    def flush(self) -> None:
        raise BrokenPipeError


def test_that_nobody_reads_is_raised_each_time() -> None:
    lines = Lines(Broken())
    for _ in range(2):
        with pytest.raises(BrokenPipeError):
            lines.write({"a": 1})
