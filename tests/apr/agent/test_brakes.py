"""A model that goes in circles is told so, and stopped if it goes on; one that works is not."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.agent.brakes import END_AT, FAILURES, MOST_EMPTY, MOST_FAILURES, WARN_AT, Repetition
from apr.agent.parts import GoingInCircles
from apr.providers.base import ToolMessage, UserMessage
from ccpa.trace import AssistantTurn, TextBlock, ToolResult, TurnStop
from tests.apr.agent.scripted import Script, Speak, agent, answer, converse, end_of, use, whole


def turn(command: str) -> AssistantTurn:
    return AssistantTurn(v=1, turn=1, blocks=[use("Bash", command=command)], stop_reason="tool_use")


def result(content: str = "", *, ok: bool = True) -> ToolResult:
    return ToolResult(v=1, turn=2, tool_use_id="toolu_1", ok=ok, content=content)


def said(text: str, stop: TurnStop = "end_turn") -> AssistantTurn:
    return AssistantTurn(v=1, turn=1, blocks=[TextBlock(text)], stop_reason=stop)


def test_the_same_call_with_the_same_result_is_noticed_and_then_stopped() -> None:
    brakes = Repetition()
    told = [brakes.turn(turn("ls"), [result("a")]) for _ in range(END_AT - 1)]
    assert [text is not None for text in told] == [n >= WARN_AT for n in range(1, END_AT)]
    with pytest.raises(GoingInCircles, match=f"the same call {END_AT} times"):
        brakes.turn(turn("ls"), [result("a")])


@given(st.integers(1, 12))
def test_a_circle_of_any_length_is_left_in_bounded_time(length: int) -> None:
    brakes = Repetition()

    def walk() -> None:
        for number in range(length * END_AT):
            brakes.turn(turn(f"step {number % length}"), [result("the same")])

    with pytest.raises(GoingInCircles):
        walk()


@given(st.lists(st.integers(0, 3), max_size=200))
def test_whoever_always_does_something_new_in_between_is_left_alone(checks: list[int]) -> None:
    """Edit, check, edit, check: the checks say the same every time."""
    brakes = Repetition()
    for number, check in enumerate(checks):
        assert brakes.turn(turn(f"edit {number}"), [result()]) is None
        assert brakes.turn(turn(f"check {check}"), [result("no errors")]) is None


def test_waiting_for_another_result_is_work() -> None:
    brakes = Repetition()
    for percent in range(50):
        assert brakes.turn(turn("tail build.log"), [result(f"{percent} %")]) is None


def test_the_order_of_an_inputs_fields_makes_no_other_call() -> None:
    brakes = Repetition()
    inputs = [{"a": 1, "b": 2}, {"b": 2, "a": 1}]
    turns = [
        AssistantTurn(v=1, turn=1, blocks=[use("T", **given)], stop_reason="tool_use")
        for given in inputs
    ]
    told = [brakes.turn(some, [result()]) for some in (*turns, turns[0])]
    assert told[-1] is not None


def test_nothing_but_failures_is_noticed_and_then_stopped() -> None:
    brakes = Repetition()
    told = [brakes.turn(turn(f"try {n}"), [result(ok=False)]) for n in range(1, MOST_FAILURES)]
    assert [n for n, text in enumerate(told, 1) if text is not None] == [FAILURES]
    with pytest.raises(GoingInCircles, match=f"last {MOST_FAILURES} turns failed"):
        brakes.turn(turn("once more"), [result(ok=False)])


def test_one_success_ends_a_row_of_failures() -> None:
    brakes = Repetition()
    for n in range(MOST_FAILURES * 3):
        results = [result(ok=False), result(ok=n % 5 == 0)]
        assert brakes.turn(turn(f"try {n}"), results) is None


def test_empty_answers_are_sent_back_and_then_stopped() -> None:
    brakes = Repetition()
    told = [brakes.answer(said(text)) for text in ("", " \n")]
    assert all(told)
    assert len(told) == MOST_EMPTY
    with pytest.raises(GoingInCircles, match="answered with nothing"):
        brakes.answer(said(""))


def test_an_answer_between_two_empty_ones_makes_them_two() -> None:
    brakes = Repetition()
    for _ in range(5):
        assert brakes.answer(said("")) is not None
        assert brakes.answer(said("Done.")) is None


def test_an_answer_that_was_cut_before_its_first_word_is_not_empty() -> None:
    assert Repetition().answer(said("", "max_tokens")) is None


def test_a_person_who_asks_for_the_same_again_gets_it() -> None:
    brakes = Repetition()
    for _ in range(END_AT * 2):
        brakes.begin()
        assert brakes.turn(turn("make test"), [result("passed")]) is None


async def test_the_model_reads_the_warning_behind_the_result(tmp_path: Path) -> None:
    script = Script(*[answer(use("Speak", n)) for n in range(WARN_AT)], answer(TextBlock("Oh.")))
    some_agent = agent(tmp_path, script, Speak())
    some_agent.brakes = Repetition()
    await converse(some_agent)
    last = script.asked[-1].messages[-1]
    assert isinstance(last, ToolMessage)
    assert last.answers[-1].content.startswith("one two\n\nYou have made this call 3 times")


async def test_a_run_that_is_stopped_has_a_whole_history_and_can_go_on(tmp_path: Path) -> None:
    circle = [answer(use("Speak", n)) for n in range(END_AT)]
    script = Script(*circle, answer(use("Speak", 99)), answer(TextBlock("Done.")))
    some_agent = agent(tmp_path, script, Speak())
    some_agent.brakes = Repetition()
    events = await converse(some_agent, ["go", "go on"])
    assert whole(some_agent.messages)
    assert end_of(events).stop_reason == "end_turn"
    assert len(script.asked) == END_AT + 2


async def test_an_empty_answer_is_mended(tmp_path: Path) -> None:
    script = Script(answer(), answer(TextBlock("Done.")))
    some_agent = agent(tmp_path, script)
    some_agent.brakes = Repetition()
    events = await converse(some_agent)
    nudge = script.asked[1].messages[-1]
    assert isinstance(nudge, UserMessage)
    assert nudge.text.startswith("Your answer was empty.")
    assert end_of(events).stop_reason == "end_turn"


async def test_a_model_that_only_says_nothing_ends_the_run(tmp_path: Path) -> None:
    script = Script(*itertools.repeat(answer(), MOST_EMPTY + 1))
    some_agent = agent(tmp_path, script)
    some_agent.brakes = Repetition()
    end = end_of(await converse(some_agent))
    assert (end.stop_reason, end.error) == ("error", "the model has answered with nothing 3 times")
