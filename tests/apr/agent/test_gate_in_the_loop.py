"""The gate as the loop sees it: what it lets through runs, what it does not is answered."""

from pathlib import Path

import pytest

from apr.agent.asking import Answer, Question
from apr.agent.events import ToolStarted
from apr.hooks.base import Fired
from apr.providers.base import ToolMessage
from apr.tools.base import Access, Context
from ccpa.trace import HookEvent, TextBlock, ToolUseBlock
from tests.apr.agent.scripted import (
    Script,
    Speak,
    SpeakInput,
    Told,
    agent,
    answer,
    converse,
    end_of,
    results,
    use,
    whole,
)


class Shout(Speak):
    """Needs consent."""

    def access(self, call: SpeakInput, context: Context) -> Access:
        return Access(kind="consent")


def hook(event: str, *, blocks: bool = False) -> HookEvent:
    decision, code = ("block", 2) if blocks else ("allow", 0)
    return HookEvent(v=1, turn=0, event=event, decision=decision, exit_code=code)  # type: ignore[arg-type]


@pytest.mark.parametrize("hooked", [True, False])
async def test_nobody_to_ask_is_a_denial_and_the_run_goes_on(tmp_path: Path, hooked: bool) -> None:
    script = Script(answer(use("Speak")), answer(TextBlock("I may not.")))
    hooks = Told() if hooked else None
    events = await converse(agent(tmp_path, script, Shout(), hooks=hooks))
    (result,) = results(events)
    assert (result.ok, result.denied_by) == (False, "mode")
    assert end_of(events).stop_reason == "end_turn"
    assert not any(isinstance(event, ToolStarted) for event in events)


async def test_a_person_who_ends_the_run_is_told_of_as_a_denial(tmp_path: Path) -> None:
    async def ask(_question: Question) -> Answer:
        return Answer(allow=False, message="Stop it.", interrupt=True)

    script = Script(answer(use("Speak", 1), use("Speak", 2)))
    some_agent = agent(tmp_path, script, Shout(), ask=ask)
    events = await converse(some_agent)
    first, second = results(events)
    assert first.denied_by == "user"
    assert first.content.endswith("Stop it.")
    assert second.content == "Interrupted by the user before it was done."
    assert end_of(events).error == "interrupted"
    assert whole(some_agent.messages)


async def test_an_asker_that_breaks_leaves_a_whole_history(tmp_path: Path) -> None:
    async def ask(_question: Question) -> Answer:
        raise RuntimeError("the asker is gone")

    some_agent = agent(tmp_path, Script(answer(use("Speak", 1), use("Speak", 2))), Shout(), ask=ask)
    with pytest.raises(RuntimeError, match="the asker is gone"):
        await converse(some_agent)
    assert whole(some_agent.messages)


async def test_a_hook_that_ends_the_run_before_a_call_lets_none_run(tmp_path: Path) -> None:
    stop = Fired(events=(hook("PreToolUse"),), stop="that is enough")
    hooks = Told(PreToolUse=stop)
    some_agent = agent(
        tmp_path, Script(answer(use("Speak", 1), use("Speak", 2))), Speak(), hooks=hooks
    )
    events = await converse(some_agent)
    assert not any(isinstance(event, ToolStarted) for event in events)
    assert [(r.content, r.denied_by) for r in results(events)] == [
        ("Not run: a hook has ended the run.", "hook"),
        ("Not run: a hook has ended the run.", None),
    ]
    assert hooks.fired.count("PreToolUse") == 1
    assert end_of(events).error == "that is enough"
    assert whole(some_agent.messages)


async def test_a_hook_that_ends_the_run_after_a_call_lets_no_other_run(tmp_path: Path) -> None:
    hooks = Told(PostToolUse=Fired(stop="that is enough"))
    some_agent = agent(
        tmp_path, Script(answer(use("Speak", 1), use("Speak", 2))), Speak(), hooks=hooks
    )
    events = await converse(some_agent)
    assert [r.ok for r in results(events)] == [True, False]
    assert end_of(events).error == "that is enough"


async def test_what_a_hook_says_of_a_result_stands_behind_it(tmp_path: Path) -> None:
    blocked = Fired(
        events=(hook("PostToolUse", blocks=True),),
        behavior="deny",
        reason="Too loud.",
        context=("c",),
    )
    script = Script(answer(use("Speak")), answer(TextBlock("Sorry.")))
    events = await converse(agent(tmp_path, script, Speak(), hooks=Told(PostToolUse=blocked)))
    last = script.asked[1].messages[-1]
    assert isinstance(last, ToolMessage)
    assert last.answers[0].content == "one two\n\nToo loud.\n\nc"
    assert results(events)[0].content == "one two"


async def test_a_hook_sees_the_call_before_it_runs_and_its_result_after(tmp_path: Path) -> None:
    hooks = Told(
        PreToolUse=Fired(events=(hook("PreToolUse"),)),
        PostToolUse=Fired(events=(hook("PostToolUse"),)),
    )
    script = Script(answer(use("Speak")), answer(TextBlock("Done.")))
    events = await converse(agent(tmp_path, script, Speak(), hooks=hooks))
    order = [
        event.event if isinstance(event, HookEvent) else type(event).__name__
        for event in events
        if isinstance(event, HookEvent | ToolStarted) or event in results(events)
    ]
    assert order == ["PreToolUse", "ToolStarted", "ToolResult", "PostToolUse"]
    assert [event.turn for event in events if isinstance(event, HookEvent)] == [1, 2]


async def test_a_changed_input_is_what_runs(tmp_path: Path) -> None:
    hooks = Told(PreToolUse=Fired(behavior="allow", updated_input={"error": "tool"}))
    script = Script(answer(use("Speak")), answer(TextBlock("Hm.")))
    events = await converse(agent(tmp_path, script, Speak(), hooks=hooks))
    started = next(event.tool_use for event in events if isinstance(event, ToolStarted))
    assert started == ToolUseBlock("toolu_1", "Speak", {"error": "tool"})
    assert not results(events)[0].ok
