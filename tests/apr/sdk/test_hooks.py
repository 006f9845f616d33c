"""Hooks of the SDK: functions of the program, asked over the control protocol."""

from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import HookEventMessage, HookMatcher

from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import HookEvent
from tests.apr.program import calls, records, says
from tests.apr.sdk.driving import all_of, options, result_of, results

TOUCH = calls(("Bash", {"command": "touch made"}))
SCRIPT = [TOUCH, says("Done.")]
ALLOW = {"allowed_tools": ["Bash"]}


class Hook:
    """Answers every event alike, and remembers what it was told."""

    def __init__(self, answer: dict[str, Any] | None = None) -> None:
        self.answer = answer or {}
        self.told: list[tuple[Any, str | None]] = []

    async def __call__(self, given: Any, tool_use_id: str | None, context: Any) -> Any:
        self.told.append((given, tool_use_id))
        return self.answer


def specific(event: str, **said: Any) -> dict[str, Any]:
    return {"hookSpecificOutput": {"hookEventName": event, **said}}


async def test_a_hook_hears_of_a_tool_before_and_after(home: Path, project: Path) -> None:
    before, after, other = Hook(), Hook(), Hook()
    hooks: Any = {
        "PreToolUse": [HookMatcher("Bash", [before]), HookMatcher("Edit", [other])],
        "PostToolUse": [HookMatcher(None, [after])],
    }
    with serving(ScriptedModel(SCRIPT)) as url:
        told = await all_of("go", options(url, project, home, hooks=hooks, **ALLOW))
    ((given, use),) = before.told
    assert use == given["tool_use_id"] == "toolu_1"
    assert given["hook_event_name"] == "PreToolUse"
    assert (given["tool_name"], given["tool_input"]) == ("Bash", {"command": "touch made"})
    assert given["session_id"] == result_of(told).session_id
    assert given["cwd"] == str(project)
    ((given, _),) = after.told
    assert given["tool_response"]
    assert other.told == []


async def test_a_hook_keeps_a_tool_from_running(home: Path, project: Path) -> None:
    hook = Hook(
        specific(
            "PreToolUse", permissionDecision="deny", permissionDecisionReason="Nothing is made."
        )
    )
    hooks: Any = {"PreToolUse": [HookMatcher("Bash", [hook])]}
    with serving(ScriptedModel(SCRIPT)) as url:
        told = await all_of("go", options(url, project, home, hooks=hooks, **ALLOW))
    assert not (project / "made").exists()
    assert "Nothing is made." in str(results(told)[0].content)


async def test_a_hook_allows_what_would_need_consent_and_changes_the_input(
    home: Path, project: Path
) -> None:
    hook = Hook(
        specific("PreToolUse", permissionDecision="allow", updatedInput={"command": "touch other"})
    )
    hooks: Any = {"PreToolUse": [HookMatcher("Bash", [hook])]}
    with serving(ScriptedModel(SCRIPT)) as url:
        await all_of("go", options(url, project, home, hooks=hooks))
    assert (project / "other").exists()
    assert not (project / "made").exists()


async def test_hooks_add_what_the_model_reads(home: Path, project: Path) -> None:
    hooks: Any = {
        "UserPromptSubmit": [
            HookMatcher(None, [Hook(specific("UserPromptSubmit", additionalContext="It is late."))])
        ],
        "PostToolUse": [
            HookMatcher(None, [Hook(specific("PostToolUse", additionalContext="Well made."))])
        ],
    }
    model = ScriptedModel(SCRIPT)
    with serving(model) as url:
        await all_of("go", options(url, project, home, hooks=hooks, **ALLOW))
    assert "It is late." in model.requests[0]["messages"][1]["content"]
    assert "Well made." in model.requests[1]["messages"][-1]["content"]


async def test_a_hook_lets_the_model_go_on(home: Path, project: Path) -> None:
    once = [{"decision": "block", "reason": "Say goodbye too."}, {}]

    async def stop(given: Any, use: str | None, context: Any) -> Any:
        return once.pop(0)

    hooks: Any = {"Stop": [HookMatcher(None, [stop])]}
    with serving(ScriptedModel([says("Hello."), says("Goodbye.")])) as url:
        told = await all_of("hi", options(url, project, home, hooks=hooks))
    assert result_of(told).result == "Goodbye."


async def test_a_hook_ends_the_run(home: Path, project: Path) -> None:
    hooks: Any = {
        "PostToolUse": [HookMatcher(None, [Hook({"continue_": False, "stopReason": "Enough."})])]
    }
    with (
        serving(ScriptedModel([*SCRIPT, says("unreached")])) as url,
        pytest.raises(Exception, match="Enough"),
    ):
        await all_of("go", options(url, project, home, hooks=hooks, **ALLOW))


@pytest.mark.parametrize(("on_failure", "made"), [(None, True), ("block", False)])
async def test_a_hook_that_fails_blocks_only_if_it_is_to(
    home: Path, project: Path, tmp_path: Path, on_failure: Any, made: bool
) -> None:
    async def broken(*_given: Any) -> Any:
        raise RuntimeError("out of order")

    hooks: Any = {"PreToolUse": [HookMatcher("Bash", [broken], on_failure=on_failure)]}
    trace = tmp_path / "run.jsonl"
    extra = {"extra_args": {"emit-trace": str(trace)}}
    with serving(ScriptedModel(SCRIPT)) as url:
        await all_of("go", options(url, project, home, hooks=hooks, **ALLOW, **extra))
    assert (project / "made").exists() is made
    (event,) = [record for record in records(trace) if isinstance(record, HookEvent)]
    assert (event.event, event.decision) == ("PreToolUse", "warn")
    assert "out of order" in (event.output or "")


async def test_a_hook_that_takes_too_long_is_not_waited_for(home: Path, project: Path) -> None:
    import anyio

    async def slow(*_given: Any) -> Any:
        await anyio.sleep_forever()

    hooks: Any = {"PreToolUse": [HookMatcher("Bash", [slow], timeout=0.05)]}
    with serving(ScriptedModel(SCRIPT)) as url:
        await all_of("go", options(url, project, home, hooks=hooks, **ALLOW))
    assert (project / "made").exists()


async def test_hooks_are_told_where_that_is_wanted(home: Path, project: Path) -> None:
    hooks: Any = {"PreToolUse": [HookMatcher("Bash", [Hook()])]}
    given: dict[str, Any] = {"hooks": hooks, **ALLOW}
    with serving(ScriptedModel(SCRIPT * 2)) as url:
        silent = await all_of("go", options(url, project, home, **given))
        told = await all_of("go", options(url, project, home, include_hook_events=True, **given))
    assert not [message for message in silent if isinstance(message, HookEventMessage)]
    (event,) = [message for message in told if isinstance(message, HookEventMessage)]
    assert event.hook_event_name == "PreToolUse"
    assert event.data["hook_name"] == "PreToolUse:Bash"
    assert event.data["exit_code"] == 0


async def test_hooks_of_the_settings_and_of_the_program_both_run(home: Path, project: Path) -> None:
    (project / ".claude").mkdir()
    (project / ".claude" / "settings.json").write_text(
        '{"hooks": {"PreToolUse": [{"hooks": [{"type": "command", "command": "touch heard"}]}]}}'
    )
    hook = Hook()
    hooks: Any = {"PreToolUse": [HookMatcher("Bash", [hook])]}
    with serving(ScriptedModel(SCRIPT)) as url:
        await all_of("go", options(url, project, home, hooks=hooks, **ALLOW))
    assert (project / "heard").exists()
    assert len(hook.told) == 1
