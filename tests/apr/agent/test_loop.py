"""The loop, driven by a provider and tools that are written here, as anybody could write them."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from apr.agent.events import Event, TextDelta, ToolProgress, ToolStarted
from apr.providers.base import AssistantMessage, ProviderError, ToolMessage, UserMessage
from ccpa.trace import AssistantTurn, SessionEnd, TextBlock, ToolResult, UserPrompt
from tests.apr.agent.scripted import (
    Meddle,
    Meet,
    Script,
    Speak,
    agent,
    answer,
    converse,
    results,
    use,
)


async def test_a_prompt_an_answer_and_the_end(tmp_path: Path) -> None:
    script = Script(answer(TextBlock("Hello.")))
    _, prompt, delta, turn, end = await converse(agent(tmp_path, script))
    assert prompt == UserPrompt(v=1, turn=0, text="go")
    assert delta == TextDelta("Hello.")
    assert isinstance(turn, AssistantTurn)
    assert isinstance(end, SessionEnd)
    assert (end.turn, end.stop_reason, end.tokens_in, end.tokens_out) == (1, "end_turn", 10, 2)


async def test_turns_are_numbered_over_the_whole_conversation(tmp_path: Path) -> None:
    script = Script(answer(use("Speak")), answer(TextBlock("a")), answer(TextBlock("b")))
    events = await converse(agent(tmp_path, script, Speak()), ["first", "second"])
    numbered = (UserPrompt, AssistantTurn, ToolResult, SessionEnd)
    assert [event.turn for event in events if isinstance(event, numbered)] == [0, 1, 2, 3, 4, 5, 5]


async def test_the_model_is_asked_with_all_that_was_said(tmp_path: Path) -> None:
    script = Script(answer(TextBlock("Let me."), use("Speak")), answer(TextBlock("Done.")))
    await converse(agent(tmp_path, script, Speak()))
    first, second = script.asked
    assert first.messages == (UserMessage("go"),)
    assert isinstance(second.messages[1], AssistantMessage)
    assert isinstance(second.messages[2], ToolMessage)
    assert second.messages[2].answers[0].content == "one two"
    assert second.messages[: len(first.messages)] == first.messages


async def test_the_models_own_words_go_back_to_it(tmp_path: Path) -> None:
    said = msgspec.structs.replace(answer(use("Speak")), raw="<call>Speak</call>")
    script = Script(said, answer(TextBlock("Done.")))
    await converse(agent(tmp_path, script, Speak()))
    assert script.asked[1].messages[1] == AssistantMessage(said.blocks, "<call>Speak</call>")


async def test_where_we_are_is_said_before_the_first_prompt_alone(tmp_path: Path) -> None:
    script = Script(answer(TextBlock("a")), answer(TextBlock("b")))
    some_agent = agent(tmp_path, script)
    events = [e async for e in some_agent.converse(["one", "two"], preface="Here: ")]
    prompts = [m.text for m in script.asked[1].messages if isinstance(m, UserMessage)]
    assert prompts == ["Here: one", "two"]
    assert [e.text for e in events if isinstance(e, UserPrompt)] == ["one", "two"]


async def test_the_session_stops_as_its_last_answer_did(tmp_path: Path) -> None:
    cut = msgspec.structs.replace(answer(TextBlock("and th")), stop_reason="max_tokens")
    end = (await converse(agent(tmp_path, Script(cut))))[-1]
    assert isinstance(end, SessionEnd)
    assert end.stop_reason == "max_tokens"


async def test_calls_that_only_read_run_at_once_and_are_reported_in_order(tmp_path: Path) -> None:
    meet = Meet(3)
    script = Script(answer(*(use("Meet", n) for n in (1, 2, 3))), answer(TextBlock("Done.")))
    events = await converse(agent(tmp_path, script, meet))
    assert [result.tool_use_id for result in results(events)] == ["toolu_1", "toolu_2", "toolu_3"]
    assert meet.most == 3


async def test_calls_that_change_things_run_one_after_the_other(tmp_path: Path) -> None:
    meet = Meddle(1)
    script = Script(answer(use("Meet", 1), use("Meet", 2)), answer(TextBlock("Done.")))
    await converse(agent(tmp_path, script, meet))
    assert meet.most == 1


async def test_what_a_tool_says_is_shown_while_it_runs(tmp_path: Path) -> None:
    script = Script(answer(use("Speak")), answer(TextBlock("Done.")))
    events = await converse(agent(tmp_path, script, Speak()))
    shown = [e for e in events if isinstance(e, ToolStarted | ToolProgress | ToolResult)]
    assert [type(event).__name__ for event in shown] == [
        "ToolStarted",
        "ToolProgress",
        "ToolProgress",
        "ToolResult",
    ]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("tool", "<tool_use_error>no</tool_use_error>"),
        ("os", "Speak failed: [Errno 28] No space left"),
        ("bug", "Speak broke (KeyError: 'k')"),
    ],
)
async def test_a_failing_tool_never_ends_the_session(tmp_path: Path, error: str, told: str) -> None:
    script = Script(answer(use("Speak", error=error)), answer(TextBlock("I see.")))
    events = await converse(agent(tmp_path, script, Speak()))
    (result,) = results(events)
    assert (result.ok, result.content) == (False, told)
    end = events[-1]
    assert isinstance(end, SessionEnd)
    assert end.stop_reason == "end_turn"


async def test_a_malformed_call_is_answered_and_never_run(tmp_path: Path) -> None:
    malformed = {"toolu_1": "The call was cut off."}
    script = Script(answer(use("Speak"), malformed=malformed), answer(TextBlock("Again.")))
    events = await converse(agent(tmp_path, script, Speak()))
    assert not any(isinstance(event, ToolStarted) for event in events)
    assert results(events)[0].content == "<tool_use_error>The call was cut off.</tool_use_error>"


async def test_an_empty_answer_is_an_answer(tmp_path: Path) -> None:
    events = await converse(agent(tmp_path, Script(answer())))
    turn = next(event for event in events if isinstance(event, AssistantTurn))
    assert turn.blocks == [TextBlock("")]


async def test_a_provider_that_fails_ends_the_session_with_its_error(tmp_path: Path) -> None:
    script = Script(answer(use("Speak")), ProviderError("the server is gone"))
    events = await converse(agent(tmp_path, script, Speak()))
    end = events[-1]
    assert isinstance(end, SessionEnd)
    assert (end.stop_reason, end.error) == ("error", "the server is gone")


async def test_a_run_that_is_cancelled_answers_every_call_and_stays_cancelled(
    tmp_path: Path,
) -> None:
    some_agent = agent(tmp_path, Script(answer(use("Meet", 1), use("Meet", 2))), Meet(9))
    seen: list[Event] = []

    async def run() -> None:
        async for event in some_agent.converse(["go"]):
            seen.append(event)
            if isinstance(event, ToolStarted) and event.tool_use.id == "toolu_2":
                asyncio.get_running_loop().call_soon(task.cancel)

    task = asyncio.create_task(run())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [result.ok for result in results(seen)] == [False, False]
    end = seen[-1]
    assert isinstance(end, SessionEnd)
    assert end.error == "interrupted"
    history = some_agent.messages[-1]
    assert isinstance(history, ToolMessage)
    assert len(history.answers) == 2


async def test_what_was_done_before_a_run_was_cancelled_is_reported_once(tmp_path: Path) -> None:
    script = Script(answer(use("Speak", 1), use("Meet", 2)))
    some_agent = agent(tmp_path, script, Speak(), Meet(9))
    seen: list[Event] = []

    async def run() -> None:
        async for event in some_agent.converse(["go"]):
            seen.append(event)
            if isinstance(event, ToolStarted) and event.tool_use.id == "toolu_2":
                asyncio.get_running_loop().call_soon(task.cancel)

    task = asyncio.create_task(run())
    with pytest.raises(asyncio.CancelledError):
        await task
    told = [(result.tool_use_id, result.ok) for result in results(seen)]
    assert told == [("toolu_1", True), ("toolu_2", False)]


async def test_the_last_allowed_turn_is_the_last(tmp_path: Path) -> None:
    script = Script(answer(use("Speak")), answer(use("Speak", 2)), answer(TextBlock("late")))
    events = await converse(agent(tmp_path, script, Speak(), max_turns=2))
    assert len(script.asked) == 2
    assert len(results(events)) == 2
    end = events[-1]
    assert isinstance(end, SessionEnd)
    assert (end.error or "").startswith("max_turns")
