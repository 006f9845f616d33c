"""Interrupted at any moment: what was done is reported, every call is answered, the run goes on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apr.agent.events import Event, PromptDone, TextDelta, ToolStarted
from apr.agent.loop import MOST_HELD, Agent
from apr.hooks.base import Fired, HookName
from apr.providers.base import ProviderError, ToolMessage, UserMessage
from apr.tools.base import Access, Context, Outcome
from ccpa.trace import SessionEnd, TextBlock, UserPrompt
from tests.apr.agent.scripted import (
    Meddle,
    Meet,
    Nothing,
    Script,
    Speak,
    Told,
    agent,
    answer,
    converse,
    end_of,
    results,
    use,
    whole,
)


class Slow(Told):
    """Hooks of which one takes for ever."""

    def __init__(self, event: str) -> None:
        super().__init__()
        self._slow = event

    async def fire(self, event: HookName, **payload: object) -> Fired:
        self.fired.append(event)
        if event == self._slow:
            await asyncio.Event().wait()
        return Fired()


async def interrupted(some_agent: Agent, *, prompts: int = 1, times: int = 1) -> list[Event]:
    """Return what happens where the first prompt is interrupted as soon as nothing moves."""
    seen: list[Event] = []
    task = asyncio.create_task(_run(some_agent, [f"prompt {n}" for n in range(prompts)], seen))
    await _stands_still(seen)
    for _ in range(times):
        some_agent.interrupt()
    await task
    return seen


async def _run(some_agent: Agent, prompts: list[str], seen: list[Event]) -> None:
    async for event in some_agent.converse(prompts):
        seen.append(event)  # noqa: PERF401 - what was seen counts also where it ends in an error


async def _stands_still(seen: list[Event]) -> None:
    """Let everything run that can."""
    before = -1
    while len(seen) != before:
        before = len(seen)
        for _ in range(50):
            await asyncio.sleep(0)


def stops(events: list[Event]) -> list[str | None]:
    return [event.error for event in events if isinstance(event, PromptDone)]


async def test_while_the_model_speaks_its_words_are_void_and_the_next_prompt_is_heard(
    tmp_path: Path,
) -> None:
    script = Script("I am about to", answer(TextBlock("Yes?")))
    some_agent = agent(tmp_path, script)
    events = await interrupted(some_agent, prompts=2)
    assert stops(events) == ["interrupted", None]
    assert end_of(events).stop_reason == "end_turn"
    assert script.asked[1].messages == (UserMessage("prompt 0\n\nprompt 1"),)  # one after another
    assert [event.turn for event in events if isinstance(event, UserPrompt)] == [0, 1]


async def test_while_a_tool_runs_it_is_ended_and_answered(tmp_path: Path) -> None:
    script = Script(answer(use("Meet")), answer(TextBlock("Yes?")))
    some_agent = agent(tmp_path, script, Meet(2))
    events = await interrupted(some_agent, prompts=2)
    assert [r.content for r in results(events)] == ["Interrupted by the user before it was done."]
    assert stops(events) == ["interrupted", None]
    assert whole(some_agent.messages)


async def test_what_was_done_beside_it_is_reported_as_done(tmp_path: Path) -> None:
    class SpeakToo(Speak):
        read_only = True

    script = Script(answer(use("Speak", 1), use("Meet", 2), use("Speak", 3)))
    some_agent = agent(tmp_path, script, SpeakToo(), Meet(2))
    events = await interrupted(some_agent)
    told = [(r.tool_use_id, r.ok) for r in results(events)]
    assert told == [("toolu_1", True), ("toolu_3", True), ("toolu_2", False)]
    assert whole(some_agent.messages)


async def test_calls_whose_turn_had_not_come_never_run(tmp_path: Path) -> None:
    script = Script(answer(use("Meet", 1), use("Speak", 2)))
    some_agent = agent(tmp_path, script, Meddle(2), Speak())
    events = await interrupted(some_agent)
    assert [e.tool_use.id for e in events if isinstance(e, ToolStarted)] == ["toolu_1"]
    assert [r.tool_use_id for r in results(events)] == ["toolu_1", "toolu_2"]


@pytest.mark.parametrize(
    "event", ["UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop", "PermissionRequest"]
)
async def test_while_a_hook_runs(tmp_path: Path, event: str) -> None:
    class Meddling(Meddle):
        def access(self, call: Nothing, context: Context) -> Access:
            return Access(kind="execute" if event == "PermissionRequest" else "none")

    script = Script(answer(use("Meet")), answer(TextBlock("Done.")))
    some_agent = agent(tmp_path, script, Meddling(1), hooks=Slow(event))
    events = await interrupted(some_agent)
    assert stops(events) == ["interrupted"]
    assert whole(some_agent.messages)
    done = [r.ok for r in results(events)]
    assert done == {
        "UserPromptSubmit": [],
        "PreToolUse": [False],
        "PermissionRequest": [False],
    }.get(event, [True])


async def test_interrupting_twice_is_interrupting_once(tmp_path: Path) -> None:
    script = Script("I am about to", answer(TextBlock("Yes?")))
    events = await interrupted(agent(tmp_path, script), prompts=2, times=3)
    assert stops(events) == ["interrupted", None]


async def test_between_prompts_there_is_nothing_to_interrupt(tmp_path: Path) -> None:
    some_agent = agent(tmp_path, Script(answer(TextBlock("one")), answer(TextBlock("two"))))

    async def prompts() -> AsyncIterator[str]:
        yield "one"
        some_agent.interrupt()
        await asyncio.sleep(0)
        yield "two"

    events = [event async for event in some_agent.converse(prompts())]
    assert stops(events) == [None, None]


async def test_a_run_that_is_cancelled_while_it_is_interrupted_is_cancelled(tmp_path: Path) -> None:
    some_agent = agent(tmp_path, Script("I am about to"))
    seen: list[Event] = []

    async def run() -> None:
        async for event in some_agent.converse(["go", "and then"]):
            seen.append(event)
            if isinstance(event, TextDelta):
                some_agent.interrupt()
                task.cancel()

    task = asyncio.create_task(run())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert end_of(seen).error == "interrupted"
    assert len([event for event in seen if isinstance(event, UserPrompt)]) == 1


async def test_cancelled_again_while_the_last_hooks_run_the_trace_still_ends(
    tmp_path: Path,
) -> None:
    hooks = Slow("SessionEnd")
    some_agent = agent(tmp_path, Script("I am about to"), hooks=hooks)
    seen: list[Event] = []
    task = asyncio.create_task(_run(some_agent, ["go"], seen))
    await _stands_still(seen)
    task.cancel()
    await _stands_still(seen)
    assert hooks.fired[-1] == "SessionEnd"
    assert not isinstance(seen[-1], SessionEnd)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert end_of(seen).error == "interrupted"


async def test_a_tool_that_cancels_itself_does_not_end_the_session(tmp_path: Path) -> None:
    class Broken(Meddle):
        async def run(self, call: Nothing, context: Context) -> Outcome:
            raise asyncio.CancelledError

    script = Script(answer(use("Meet")), answer(TextBlock("I see.")))
    events = await converse(agent(tmp_path, script, Broken(1)))
    assert [(r.ok, r.content) for r in results(events)] == [
        (False, "Meet broke (it cancelled itself)")
    ]
    assert end_of(events).stop_reason == "end_turn"


async def test_after_a_failure_the_next_prompt_finds_a_whole_history(tmp_path: Path) -> None:
    script = Script(
        answer(use("Speak")), ProviderError("gone"), answer(TextBlock("Here I am again."))
    )
    some_agent = agent(tmp_path, script, Speak())
    events = await converse(some_agent, ["one", "two"])
    assert end_of(events).stop_reason == "end_turn"
    assert whole(script.asked[-1].messages)
    kinds = [type(message).__name__ for message in script.asked[-1].messages]
    assert kinds == ["UserMessage", "AssistantMessage", "ToolMessage", "UserMessage"]


async def test_a_hook_that_fails_to_let_go_does_so_in_the_end(tmp_path: Path) -> None:
    held = Fired(behavior="deny", reason="Not yet.")
    script = Script(*[answer(TextBlock("Done."))] * (MOST_HELD + 1))
    events = await converse(agent(tmp_path, script, hooks=Told(Stop=held)))
    assert len(script.asked) == MOST_HELD + 1
    assert end_of(events).stop_reason == "end_turn"


async def test_a_hook_may_keep_a_model_at_work_as_long_as_it_works(tmp_path: Path) -> None:
    rounds = MOST_HELD + 3
    said = [x for n in range(rounds) for x in (answer(use("Speak", n)), answer(TextBlock("Done.")))]
    held = Fired(behavior="deny", reason="Not yet.")
    hooks = Told(Stop=[*[held] * (rounds - 1), Fired()])
    script = Script(*said)
    events = await converse(agent(tmp_path, script, Speak(), hooks=hooks))
    assert len(results(events)) == rounds
    assert end_of(events).stop_reason == "end_turn"
    nudge = script.asked[2].messages[-1]
    assert nudge == UserMessage("Not yet.")
    assert isinstance(script.asked[1].messages[-1], ToolMessage)
