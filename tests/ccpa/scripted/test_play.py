"""Which conversation a request belongs to, and what is wrong with a call too many or too few."""

import json
from typing import Any

import msgspec
import pytest

from ccpa.scripted.play import Finding
from ccpa.scripted.script import Script
from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import Compaction, Record
from tests.ccpa.scripted.talk import calls, messages, prompt, results, said, says, text, user

READ = ("toolu_r", "Read", {"file_path": "/w/a"})
GREP = ("toolu_g", "Grep", {"pattern": "x"})
ONE_CALL = [prompt("Do it."), calls(READ), says("Done.", 3)]


def agent_use(id_: str, prompt: str) -> tuple[str, str, dict[str, Any]]:
    return id_, "Agent", {"prompt": prompt, "subagent_type": "Explore", "description": "d"}


def scripted(records: list[Record]) -> ScriptedModel:
    return ScriptedModel(Script.from_trace(records))


def error(answer: Any) -> str:
    message: str = answer["error"]["message"]
    return message


def test_a_conversation_is_known_by_its_first_prompt_whatever_stands_around_it() -> None:
    model = scripted(ONE_CALL)
    surrounded = user("<system-reminder>rules</system-reminder>", "Today: Monday\n\nDo it.\n")
    with serving(model) as url:
        first = messages(url, surrounded)
        second = messages(url, surrounded, said(first), results("toolu_r"))
    assert text(second) == "Done."
    assert model.findings() == []


def test_subagents_are_told_apart_by_their_prompts_in_any_order() -> None:
    model = scripted(
        [
            prompt("Ask them."),
            calls(agent_use("t1", "Read the docs."), agent_use("t2", "Read the docs of b.")),
            says("of all", 1, "t1"),
            says("of b", 1, "t2"),
            says("Asked.", 3),
        ]
    )
    with serving(model) as url:
        first = messages(url, user("Ask them."))
        assert text(messages(url, user("Context. Read the docs of b."))) == "of b"
        assert text(messages(url, user("Context. Read the docs."))) == "of all"
        assert text(messages(url, user("Ask them."), said(first), results("t2", "t1"))) == "Asked."
    assert model.findings() == []


def test_a_subagent_whose_prompt_quotes_the_users_is_not_the_main_conversation() -> None:
    quoting = "The user wants: Do it. Look around."
    model = scripted(
        [
            prompt("Do it."),
            calls(agent_use("t1", quoting)),
            says("around", 1, "t1"),
            says("Done.", 3),
        ]
    )
    with serving(model) as url:
        messages(url, user("Do it."))
        assert text(messages(url, user(quoting))) == "around"
    assert [f.conversation for f in model.findings()] == ["main"]


def test_subagents_with_one_prompt_each_have_their_own_turns() -> None:
    model = scripted(
        [
            prompt("Twice."),
            calls(agent_use("t1", "Look."), agent_use("t2", "Look.")),
            calls(("a", "Read", {}), parent="t1"),
            calls(("b", "Read", {}), parent="t2"),
            says("first", 3, "t1"),
            says("second", 3, "t2"),
            says("Done.", 3),
        ]
    )
    with serving(model) as url:
        messages(url, user("Twice."))
        one, two = messages(url, user("Look.")), messages(url, user("Look."))
        assert text(messages(url, user("Look."), said(two), results("b"))) == "second"
        assert text(messages(url, user("Look."), said(one), results("a"))) == "first"


def test_a_command_stands_for_a_prompt_that_the_recording_does_not_hold() -> None:
    model = scripted([prompt("/greet Bob"), calls(READ), says("Hello, Bob.", 3)])
    opening = user("Greet the person named Bob.")
    with serving(model) as url:
        first = messages(url, opening)
        assert text(messages(url, opening, said(first), results("toolu_r"))) == "Hello, Bob."
    assert model.findings() == []


def test_a_resumed_session_brings_an_earlier_history() -> None:
    model = scripted([prompt("Now the other.", 6), says("Done, too.", 7)])
    earlier = {"role": "assistant", "content": [{"type": "text", "text": "Did that."}]}
    with serving(model) as url:
        answer = messages(url, user("Do this."), earlier, user("Now the other."))
    assert text(answer) == "Done, too."


def test_later_prompts_go_on_in_the_same_conversation() -> None:
    model = scripted([prompt("One."), says("1"), prompt("Two.", 2), says("2", 3)])
    with serving(model) as url:
        first = messages(url, user("One."))
        second = messages(url, user("One."), said(first), user("Two."))
    assert text(second) == "2"
    assert model.findings() == []


def test_a_prompt_that_is_not_in_the_recording_is_one_call_too_many() -> None:
    model = scripted(ONE_CALL)
    with serving(model) as url:
        assert "prompt is not in the recording" in error(messages(url, user("Something else.")))
    assert model.findings()[0] == Finding(
        "extraneous_llm_call",
        "",
        "this prompt is not in the recording: no conversation has it",
    )


@pytest.mark.parametrize(
    ("history", "detail"),
    [
        ([], "too early: no result in the history for toolu_r (Read), toolu_g (Grep)"),
        ([results("toolu_r")], "too early: no result in the history for toolu_g (Grep)"),
        (
            [results("toolu_r", "toolu_g", "toolu_x")],
            "results of calls that are not in the history: toolu_x",
        ),
        (
            [results("toolu_r", "toolu_g", "toolu_g")],
            "more than one result for toolu_g",
        ),
    ],
)
def test_the_history_must_hold_every_result_and_nothing_else(
    history: list[Any], detail: str
) -> None:
    model = scripted([prompt("Do it."), calls(READ, GREP), says("Done.", 3)])
    with serving(model) as url:
        first = messages(url, user("Do it."))
        assert error(messages(url, user("Do it."), said(first), *history)) == detail
        assert model.findings()[0] == Finding("extraneous_llm_call", "main", detail)
        good = messages(url, user("Do it."), said(first), results("toolu_g", "toolu_r"))
    assert text(good) == "Done."
    assert model.surplus == 1


def test_earlier_results_may_not_get_lost() -> None:
    model = scripted([prompt("Do it."), calls(READ), calls(GREP, number=3), says("Done.", 5)])
    with serving(model) as url:
        first = messages(url, user("Do it."))
        second = messages(url, user("Do it."), said(first), results("toolu_r"))
        answer = messages(url, user("Do it."), said(second), results("toolu_g"))
    assert error(answer) == "too early: no result in the history for toolu_r (Read)"


def test_a_request_that_is_made_twice_is_one_call_too_many() -> None:
    model = scripted(ONE_CALL)
    with serving(model) as url:
        messages(url, user("Do it."))
        assert "the same request again" in error(messages(url, user("Do it.")))
    assert [finding.category for finding in model.findings()] == [
        "extraneous_llm_call",
        "missing_llm_call",
    ]


def test_a_prompt_that_holds_anothers_is_not_that_ones_even_when_it_comes_twice() -> None:
    model = scripted(
        [prompt("Do it now."), calls(agent_use("t1", "Do it")), says("x", 1, "t1"), says("y", 3)]
    )
    with serving(model) as url:
        messages(url, user("Do it now."))
        assert "the same request again" in error(messages(url, user("Do it now.")))
        assert text(messages(url, user("Do it"))) == "x"


def test_after_a_turn_without_calls_the_user_must_say_something() -> None:
    model = scripted([prompt("One."), says("1"), prompt("Two.", 2), says("2", 3)])
    with serving(model) as url:
        first = messages(url, user("One."))
        told = error(messages(url, user("One."), said(first)))
    assert told == "turn 1 called no tool, and no prompt came after it"


def test_a_call_after_the_last_turn_is_one_too_many() -> None:
    model = scripted([prompt("One."), says("1")])
    with serving(model) as url:
        first = messages(url, user("One."))
        told = error(messages(url, user("One."), said(first), user("More.")))
    assert "not in the recording" in told
    assert [f.conversation for f in model.findings()] == ["main"]


def test_what_nobody_asks_for_is_missing_turn_by_turn() -> None:
    model = scripted(
        [
            prompt("Ask."),
            calls(agent_use("t1", "Look.")),
            calls(GREP, parent="t1"),
            says("seen", 3, "t1"),
            says("Done.", 3),
        ]
    )
    with serving(model) as url:
        messages(url, user("Ask."))
    assert model.findings() == [
        Finding("missing_llm_call", "main", "turn 3 was not asked for"),
        Finding("missing_llm_call", "t1", "turn 1 (Grep) was not asked for"),
        Finding("missing_llm_call", "t1", "turn 3 was not asked for"),
    ]
    assert model.unsaid == 3


def test_ids_that_come_twice_or_fit_no_wire_are_made_anew() -> None:
    use: tuple[str, str, dict[str, Any]] = ("the same: id", "Read", {})
    records = [prompt("Do it."), calls(use), calls(use, number=3), says("Done.", 5)]
    model = scripted(records)
    with serving(model) as url:
        first = messages(url, user("Do it."))
        one = first["content"][0]["id"]
        second = messages(url, user("Do it."), said(first), results(one))
        two = second["content"][0]["id"]
        last = messages(url, user("Do it."), said(first), results(one), said(second), results(two))
    assert one != two
    assert one.replace("_", "").isalnum()
    assert text(last) == "Done."
    with serving(scripted(records)) as url:
        assert messages(url, user("Do it."))["content"][0]["id"] == one


COMPACTED = [
    prompt("Do it."),
    calls(READ),
    Compaction(v=1, turn=2, trigger="auto", tokens_before=9, tokens_after=3),
    calls(GREP, number=3),
    says("Done.", 5),
]


def test_where_the_recording_was_compacted_the_history_may_be_shorter() -> None:
    model = scripted(COMPACTED)
    short = user("Summary: you were asked: Do it. You have read a.")
    with serving(model) as url:
        messages(url, user("Do it."))
        second = messages(url, short)
        third = messages(url, short, said(second), results("toolu_g"))
    assert text(third) == "Done."
    assert model.findings() == []


def test_where_the_recording_was_compacted_the_history_may_be_whole_as_well() -> None:
    model = scripted(COMPACTED)
    with serving(model) as url:
        first = messages(url, user("Do it."))
        whole = [user("Do it."), said(first), results("toolu_r")]
        second = messages(url, *whole)
        third = messages(url, *whole, said(second), results("toolu_g"))
    assert text(third) == "Done."


def test_a_recording_without_prompt_begins_with_anything() -> None:
    with serving(scripted([says("Hello.")])) as url:
        assert text(messages(url, user("Whatever."))) == "Hello."


def test_the_findings_are_plain_data() -> None:
    finding = Finding("missing_llm_call", "main", "turn 3 was not asked for")
    assert json.loads(msgspec.json.encode(finding)) == {
        "category": "missing_llm_call",
        "conversation": "main",
        "detail": "turn 3 was not asked for",
    }
