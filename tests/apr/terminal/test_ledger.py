"""What is counted of a session."""

import os
from pathlib import Path

from apr.agent.events import Notice, PromptDone, ToolStarted
from apr.terminal.ledger import Ledger, changed_lines
from ccpa.trace import AssistantTurn, HookEvent, TextBlock, ToolResult, ToolUseBlock, Usage

EDIT = ToolUseBlock(
    "1", "Edit", {"file_path": "a", "old_string": "a\nb\n", "new_string": "a\nc\nd"}
)


def answer(parent: str | None = None) -> AssistantTurn:
    usage = Usage(input_tokens=100, output_tokens=10, cache_read_tokens=60)
    return AssistantTurn(
        v=1,
        turn=1,
        blocks=[TextBlock("Hello.")],
        stop_reason="end_turn",
        usage=usage,
        latency_ms=500,
        parent_tool_use_id=parent,
    )


def result(*, ok: bool = True) -> ToolResult:
    return ToolResult(v=1, turn=2, tool_use_id="1", ok=ok, content="")


def test_answers_are_counted_and_the_last_of_the_conversation_is_remembered() -> None:
    ledger = Ledger()
    ledger(answer())
    ledger(answer(parent="agent"))
    assert (ledger.answers, ledger.tokens_in, ledger.tokens_out, ledger.tokens_cached) == (
        2, 200, 20, 120,
    )  # fmt: skip
    assert ledger.requests_ms == 1000
    assert ledger.last is not None
    assert ledger.last.usage.input_tokens == 100


def test_lines_count_when_the_edit_was_made() -> None:
    ledger = Ledger()
    ledger(ToolStarted(EDIT))
    assert ledger.lines_added == 0
    ledger(result())
    assert (ledger.lines_added, ledger.lines_removed) == (2, 1)
    ledger(ToolStarted(EDIT))
    ledger(result(ok=False))
    assert (ledger.lines_added, ledger.lines_removed) == (2, 1)


def test_a_written_file_is_compared_with_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\ntwo\n")
    write = ToolUseBlock("1", "Write", {"file_path": "a", "content": "two\nthree\nfour\n"})
    assert changed_lines(write, tmp_path) == (2, 1)
    new = ToolUseBlock("1", "Write", {"file_path": "b", "content": "x\n"})
    assert changed_lines(new, tmp_path) == (1, 0)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    write = ToolUseBlock("1", "Write", {"file_path": "pipe", "content": "x\n"})
    assert changed_lines(write, tmp_path) == (1, 0)
    odd = ToolUseBlock("1", "Write", {"file_path": "a\0b", "content": ["x"]})
    assert changed_lines(odd, tmp_path) == (0, 0)


def test_memory_is_bounded() -> None:
    ledger = Ledger()
    for number in range(1000):
        ledger(Notice(str(number)))
        ledger(HookEvent(v=1, turn=0, event="Stop", decision="allow", exit_code=0))
        ledger(ToolStarted(EDIT))
        ledger(PromptDone("end_turn"))
    assert len(ledger.notices) == len(ledger.hooks) == 20
    assert not ledger._changes


def test_who_wants_to_know_is_told_of_each_request_and_hook() -> None:
    ledger = Ledger()
    told: list[str] = []
    ledger.tell = told.append
    ledger(answer())
    ledger(
        HookEvent(
            v=1,
            turn=0,
            event="Stop",
            decision="block",
            exit_code=2,
            output="no\nmore",
            duration_ms=7,
        )
    )
    assert told == [
        "answer 1: 100 tokens in (60 remembered), 10 out, 0.5 s",
        "hook Stop: block, exit 2, 7 ms  no",
    ]
