"""What a person and a program see of an answer that broke off, and of how a prompt ended."""

import io
import json

import pytest

from apr.agent.events import Event, Notice, PromptDone, Retracted, TextDelta
from apr.ui.result import ResultPrinter, Tally
from apr.ui.text import TextPrinter
from ccpa.trace import AssistantTurn, SessionEnd, SessionStop, TextBlock

TURN = AssistantTurn(v=1, turn=1, blocks=[TextBlock("It adds.")], stop_reason="end_turn")
BROKEN: list[Event] = [
    TextDelta("It su"),
    Retracted(),
    Notice("The server broke off. Asking again in 0.3 s."),
    TextDelta("It "),
    TextDelta("adds."),
    TURN,
]


def end(stop: SessionStop = "end_turn", error: str | None = None) -> list[Event]:
    return [
        PromptDone(stop, error),
        SessionEnd(v=1, turn=1, stop_reason=stop, error=error),
    ]


def as_text(events: list[Event]) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    printer = TextPrinter(out, err)
    for event in events:
        printer(event)
    printer.close()
    return out.getvalue(), err.getvalue()


def as_result(events: list[Event]) -> dict[str, object]:
    out = io.StringIO()
    printer = ResultPrinter(out, Tally("s", "m", None))
    for event in events:
        printer(event)
    printer.close()
    result: dict[str, object] = json.loads(out.getvalue())
    return result


def test_what_was_void_stands_on_a_line_of_its_own_and_is_called_so() -> None:
    out, err = as_text([*BROKEN, *end()])
    assert out == "It su\nIt adds.\n"
    assert err.splitlines() == [
        "the answer broke off, and comes again:",
        "The server broke off. Asking again in 0.3 s.",
    ]


def test_a_result_holds_nothing_that_was_void() -> None:
    result = as_result([*BROKEN, *end()])
    assert (result["result"], result["num_turns"]) == ("It adds.", 1)


@pytest.mark.parametrize(
    ("stop", "error", "subtype", "reason"),
    [
        ("end_turn", None, "success", "completed"),
        ("max_tokens", None, "success", "completed"),
        ("max_tokens", "max_tokens: used up", "error_during_execution", "error"),
        ("error", "max_turns: not done", "error_max_turns", "max_turns"),
        ("error", "timeout: used up", "error_during_execution", "error"),
        ("error", "interrupted", "error_during_execution", "aborted_streaming"),
        ("error", None, "error_during_execution", "error"),
    ],
)
def test_how_a_prompt_ended(
    stop: SessionStop, error: str | None, subtype: str, reason: str
) -> None:
    result = as_result([TURN, *end(stop, error)])
    assert (result["subtype"], result["terminal_reason"]) == (subtype, reason)
    assert result["is_error"] is (subtype != "success")
    assert result["stop_reason"] == stop
    assert result["error"] == (error if error or subtype == "success" else "the run failed")


def test_a_person_reads_the_error_unless_it_was_their_own_doing() -> None:
    assert as_text(end("max_tokens", "max_tokens: used up"))[1] == "apr: max_tokens: used up\n"
    assert as_text(end("error", "interrupted"))[1] == ""
