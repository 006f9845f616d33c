"""A history that fills the context is summed up; where that fails, the session goes on."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.agent.compaction import KEPT_ANSWER, Compactor
from apr.agent.events import Event, Notice, Rewritten
from apr.agent.history import alternating
from apr.agent.loop import Agent
from apr.hooks.base import Fired, Hooks
from apr.providers.base import (
    AssistantMessage,
    Completion,
    ContextOverflow,
    Message,
    ProviderError,
    Request,
    ToolAnswer,
    ToolMessage,
    UserMessage,
)
from apr.tools.base import Context, Outcome, Tool
from ccpa.trace import Compaction, TextBlock, Usage
from tests.apr.agent.scripted import (
    Script,
    Speak,
    SpeakInput,
    Told,
    agent,
    answer,
    converse,
    end_of,
    use,
    whole,
)

LONG = "a long line of a log\n" * 200
SUMMARY = answer(TextBlock("<think>What was it?</think>The user wants it said."))
DONE = answer(TextBlock("Done."))
TOO_LONG = ContextOverflow("The conversation is longer than the model's context.")


class Recite(Speak):
    """Says much."""

    async def run(self, call: SpeakInput, context: Context) -> Outcome:
        return Outcome(content=LONG)


def filled(completion: Completion, tokens: int = 900) -> Completion:
    usage = Usage(input_tokens=tokens, output_tokens=10)
    return Completion(
        blocks=completion.blocks, stop_reason=completion.stop_reason, usage=usage, model="script"
    )


def compacting(
    root: Path,
    script: Script,
    *tools: Tool[Any],
    context: int | None = 1000,
    hooks: Hooks | None = None,
    tasks: tuple[str, ...] = (),
) -> Agent:
    some_agent = agent(root, script, *(tools or (Speak(),)), hooks=hooks)
    some_agent.window = Compactor(lambda: context, lambda: tasks)
    return some_agent


def compactions(events: list[Event]) -> list[Compaction]:
    return [event for event in events if isinstance(event, Compaction)]


def text(request: Request, at: int = 0) -> str:
    message = request.messages[at]
    assert isinstance(message, UserMessage)
    return message.text


async def test_a_full_history_is_summed_up_before_the_next_request(tmp_path: Path) -> None:
    script = Script(filled(answer(use("Speak"))), SUMMARY, DONE)
    some_agent = compacting(tmp_path, script, tasks=("write it down",))
    events = await converse(some_agent)
    (compaction,) = compactions(events)
    assert (compaction.trigger, compaction.turn) == ("auto", 2)
    assert compaction.tokens_before > 900 > compaction.tokens_after
    asked = script.asked[1]
    assert asked.messages[:1] == script.asked[0].messages
    assert [type(m) for m in asked.messages[1:]] == [AssistantMessage, ToolMessage, UserMessage]
    assert asked.tool_choice == "none"
    assert text(script.asked[2]) == (
        "go\n\n<summary>\nThe conversation so far, summed up by you:\n\nThe user wants it said.\n\n"
        "Still to be done:\n- write it down\n</summary>\n\nGo on from here."
    )
    assert end_of(events).stop_reason == "end_turn"
    assert end_of(events).tokens_in == 900 + 10 + 10


async def test_a_history_with_room_is_left_alone(tmp_path: Path) -> None:
    script = Script(filled(answer(use("Speak")), 500), DONE)
    assert compactions(await converse(compacting(tmp_path, script))) == []


async def test_without_a_known_context_only_a_refusal_makes_room(tmp_path: Path) -> None:
    script = Script(filled(answer(use("Speak")), 10**6), TOO_LONG, SUMMARY, DONE)
    events = await converse(compacting(tmp_path, script, context=None))
    assert len(compactions(events)) == 1
    assert end_of(events).stop_reason == "end_turn"


async def test_what_a_server_does_not_count_is_reckoned(tmp_path: Path) -> None:
    script = Script(filled(answer(use("Speak")), 0), SUMMARY, DONE)
    some_agent = compacting(tmp_path, script, Recite())
    assert len(compactions(await converse(some_agent))) == 1


async def test_the_answers_of_tools_are_cut_where_the_history_is_refused(tmp_path: Path) -> None:
    script = Script(answer(use("Speak")), TOO_LONG, SUMMARY, DONE)
    await converse(compacting(tmp_path, script, Recite(), context=None))
    told = script.asked[2].messages[2]
    assert isinstance(told, ToolMessage)
    assert told.answers[0].content == LONG[:KEPT_ANSWER] + "\n[3,800 characters cut]"


async def test_the_files_of_all_that_was_summed_up_are_kept_in_order(tmp_path: Path) -> None:
    class Touch(Speak):
        name = "Read"

    def read(number: int, path: str) -> Completion:
        return filled(answer(use("Read", number, error="", file_path=path)))

    script = Script(
        read(1, "a.py"), SUMMARY, read(2, "b.py"), SUMMARY, read(3, "a.py"), SUMMARY, DONE
    )
    some_agent = compacting(tmp_path, script, Touch())
    some_agent.window = Compactor(lambda: 1000)
    await converse(some_agent)
    assert "Files touched:\n- b.py\n- a.py\n" in text(script.asked[-1])
    assert text(script.asked[-1]).count("<summary>") == 1


@pytest.mark.parametrize(
    "failure", [ProviderError("the server is on fire"), answer(), answer(TextBlock("<think>Hm"))]
)
async def test_a_summary_that_fails_is_a_notice_as_long_as_there_is_room(
    tmp_path: Path, failure: Completion | Exception
) -> None:
    calls = [filled(answer(use("Speak", n)), 860 + n) for n in range(3)]
    script = Script(calls[0], failure, *calls[1:], DONE)
    some_agent = compacting(tmp_path, script)
    events = await converse(some_agent)
    assert compactions(events) == []
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert len([note for note in notices if "goes on whole" in note]) == 1
    assert end_of(events).stop_reason == "end_turn"
    assert len(some_agent.messages) == 8


async def test_it_is_tried_again_when_half_of_what_was_left_is_used(tmp_path: Path) -> None:
    script = Script(
        filled(answer(use("Speak", 1)), 860),
        ProviderError("the server is on fire"),
        filled(answer(use("Speak", 2)), 960),
        SUMMARY,
        DONE,
    )
    assert len(compactions(await converse(compacting(tmp_path, script)))) == 1


@pytest.mark.parametrize("failure", [TOO_LONG, answer()])
async def test_what_cannot_even_be_summed_up_goes_on_with_task_and_files(
    tmp_path: Path, failure: Completion | Exception
) -> None:
    script = Script(answer(use("Speak", file_path="a.py")), TOO_LONG, failure, DONE)
    some_agent = compacting(tmp_path, script, context=None, tasks=("say it",))
    events = await converse(some_agent)
    assert text(script.asked[-1]) == (
        "go\n\n<summary>\nThe conversation so far is gone. It could not be summed up: look again "
        "at what you need.\n\nFiles touched:\n- a.py\n\nStill to be done:\n- say it\n</summary>\n\n"
        "Go on from here."
    )
    assert end_of(events).stop_reason == "end_turn"


async def test_a_prompt_that_is_too_long_by_itself_ends_the_run(tmp_path: Path) -> None:
    script = Script(TOO_LONG, TOO_LONG)
    events = await converse(compacting(tmp_path, script))
    assert compactions(events) == []
    end = end_of(events)
    assert (end.stop_reason, end.error) == ("error", str(TOO_LONG))


async def test_without_a_window_a_refusal_ends_the_work_and_the_next_prompt_is_heard(
    tmp_path: Path,
) -> None:
    script = Script(TOO_LONG, DONE)
    events = await converse(agent(tmp_path, script), ["one", "two"])
    assert end_of(events).stop_reason == "end_turn"


async def test_where_little_room_can_be_made_not_every_turn_tries(tmp_path: Path) -> None:
    """System prompt and tools alone fill the context: each turn is not to pay for a summary."""
    turns = [filled(answer(use("Speak", n)), 870) for n in range(4)]
    script = Script(turns[0], SUMMARY, *turns[1:], DONE)
    events = await converse(compacting(tmp_path, script))
    assert len(compactions(events)) == 1


async def test_interrupted_in_the_middle_of_a_summary_the_history_is_as_it_was(
    tmp_path: Path,
) -> None:
    script = Script(filled(answer(use("Speak"))), "The user wa", SUMMARY, DONE)
    some_agent = compacting(tmp_path, script)
    seen: list[Event] = []
    async for event in some_agent.converse(["one", "two"]):
        seen.append(event)
        if isinstance(event, Notice) and len(script.asked) == 1:
            some_agent.interrupt()
    assert whole(some_agent.messages)
    assert len(compactions(seen)) == 1
    assert end_of(seen).stop_reason == "end_turn"
    assert "The user's last message:\ntwo" in text(script.asked[-1])


async def test_hooks_hear_of_it_and_cannot_keep_a_full_history(tmp_path: Path) -> None:
    hooks = Told(PreCompact=Fired(behavior="deny", reason="no", context=("Keep the names.",)))
    script = Script(filled(answer(use("Speak"))), SUMMARY, DONE)
    events = await converse(compacting(tmp_path, script, hooks=hooks))
    assert len(compactions(events)) == 1
    assert [name for name in hooks.fired if "Compact" in name] == ["PreCompact", "PostCompact"]
    assert text(script.asked[1], -1).endswith("Keep the names.")


async def test_a_person_who_asks_for_it_gives_wishes_and_a_hook_may_refuse(tmp_path: Path) -> None:
    for hooks, asked in ((Told(), 2), (Told(PreCompact=Fired(behavior="deny", reason="no")), 1)):
        script = Script(DONE, SUMMARY)
        some_agent = compacting(tmp_path, script, hooks=hooks)
        await converse(some_agent)
        window = some_agent.window
        assert isinstance(window, Compactor)
        events = [
            event
            async for event in window.compact(
                some_agent, trigger="manual", instructions="Be brief."
            )
        ]
        assert len(script.asked) == asked
        assert any(isinstance(event, Rewritten) for event in events) is (asked == 2)
        if asked == 2:
            assert text(script.asked[1], -1).endswith("Be brief.")


messages = st.lists(
    st.one_of(
        st.text().map(UserMessage),
        st.text().map(lambda said: AssistantMessage((TextBlock(said),))),
        st.text().map(lambda told: ToolMessage((ToolAnswer("t", "Speak", told),))),
    )
)


@given(messages)
def test_no_two_prompts_stand_next_to_each_other_and_no_word_is_lost(given: list[Message]) -> None:
    joined = alternating(given)
    pairs = pairwise(joined)
    assert not any(isinstance(a, UserMessage) and isinstance(b, UserMessage) for a, b in pairs)
    assert "\n\n".join(m.text for m in given if isinstance(m, UserMessage)) == "\n\n".join(
        m.text for m in joined if isinstance(m, UserMessage)
    )
    assert [m for m in joined if not isinstance(m, UserMessage)] == [
        m for m in given if not isinstance(m, UserMessage)
    ]
