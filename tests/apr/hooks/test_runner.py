"""Hooks as real commands: fed, waited for, ended, and put together."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from apr.hooks.base import NOTHING, HookName
from apr.hooks.declared import Group, Handler, matches, problems
from apr.hooks.runner import HookRunner


def runner(
    root: Path, event: HookName, *handlers: Handler, matcher: str | None = None
) -> HookRunner:
    hooks: dict[str, tuple[Group, ...]] = {event: (Group(matcher, handlers),)}
    return HookRunner(hooks, root, lambda: {"session_id": "s", "permission_mode": "default"})


def command(text: str, **fields: Any) -> Handler:
    return Handler(command=text, **fields)


async def test_where_nothing_is_declared_nothing_is_run(tmp_path: Path) -> None:
    hooks = runner(tmp_path, "Stop", command("touch ran"))
    assert await hooks.fire("PreToolUse", subject="Bash") is NOTHING
    assert not (tmp_path / "ran").exists()


async def test_a_hook_reads_the_event_and_runs_in_the_project(tmp_path: Path) -> None:
    hooks = runner(tmp_path, "PreToolUse", command("cat > given.json; pwd > place"))
    await hooks.fire(
        "PreToolUse",
        subject="Bash",
        tool_use_id="toolu_1",
        tool_name="Bash",
        tool_input={"command": "ls"},
    )
    given = json.loads((tmp_path / "given.json").read_text())
    assert given["hook_event_name"] == "PreToolUse"
    assert given["session_id"] == "s"
    assert given["tool_use_id"] == "toolu_1"
    assert given["tool_input"] == {"command": "ls"}
    assert given["cwd"] == str(tmp_path)
    assert (tmp_path / "place").read_text().strip() == str(tmp_path)


async def test_a_hook_knows_the_project_by_its_environment(tmp_path: Path) -> None:
    hooks = runner(
        tmp_path,
        "SessionStart",
        command('echo "$CLAUDE_PROJECT_DIR $APR_PROJECT_DIR $MORE"', environment={"MORE": "more"}),
    )
    fired = await hooks.fire("SessionStart", subject="startup")
    assert fired.context == (f"{tmp_path} {tmp_path} more",)


async def test_every_hook_that_ran_is_an_event_in_the_settings_order(tmp_path: Path) -> None:
    hooks = runner(
        tmp_path, "PreToolUse", command("sleep 0.2; exit 1"), command("true"), matcher="Edit|Write"
    )
    fired = await hooks.fire("PreToolUse", subject="Edit", tool_use_id="t")
    assert [(e.decision, e.exit_code, e.matcher) for e in fired.events] == [
        ("warn", 1, "Edit|Write"),
        ("allow", 0, "Edit|Write"),
    ]
    assert {event.tool_use_id for event in fired.events} == {"t"}


async def test_hooks_run_at_the_same_time(tmp_path: Path) -> None:
    """Each waits for the other's file: one after the other would never end."""
    wait = "touch {0}; while [ ! -e {1} ]; do sleep 0.01; done"
    hooks = runner(tmp_path, "Stop", command(wait.format("a", "b")), command(wait.format("b", "a")))
    fired = await hooks.fire("Stop")
    assert [event.exit_code for event in fired.events] == [0, 0]


async def test_equal_commands_run_once(tmp_path: Path) -> None:
    hooks = runner(tmp_path, "Stop", command("echo x >> log"), command("echo x >> log"))
    await hooks.fire("Stop")
    assert (tmp_path / "log").read_text() == "x\n"


@pytest.mark.parametrize(
    ("decisions", "behavior"),
    [
        (("allow", "ask"), "ask"),
        (("allow", "deny", "ask"), "deny"),
        (("allow", "allow"), "allow"),
        ((), None),
    ],
)
async def test_the_strictest_decides(
    tmp_path: Path, decisions: tuple[str, ...], behavior: str | None
) -> None:
    handlers = [
        command(
            "echo '"
            + json.dumps(
                {
                    "hookSpecificOutput": {
                        "hookEventName": "PreToolUse",
                        "permissionDecision": decision,
                        "permissionDecisionReason": f"{decision} {number}",
                    }
                }
            )
            + "'"
        )
        for number, decision in enumerate(decisions)
    ]
    fired = await runner(tmp_path, "PreToolUse", *handlers).fire("PreToolUse", subject="Bash")
    assert fired.behavior == behavior
    if behavior:
        assert fired.reason.startswith(behavior)


async def test_a_hook_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    hooks = runner(tmp_path, "Stop", command("sleep 1000 & echo $! > child; wait", timeout=0.3))
    fired = await hooks.fire("Stop")
    assert (fired.behavior, fired.events[0].decision) == (None, "warn")
    assert "took longer than 0.3 s" in fired.notices[0]
    child = int((tmp_path / "child").read_text())
    while _lives(child):
        await asyncio.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"  # the system buries it when it likes


async def test_a_cancelled_run_ends_its_hooks(tmp_path: Path) -> None:
    hooks = runner(tmp_path, "Stop", command("echo $$ > pid; exec sleep 1000"))
    task = asyncio.create_task(hooks.fire("Stop"))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_a_hook_that_floods_is_bounded(tmp_path: Path) -> None:
    hooks = runner(tmp_path, "SessionStart", command("yes | head -c 5000000"))
    fired = await hooks.fire("SessionStart", subject="startup")
    assert len(fired.context[0]) <= 1 << 20


async def test_a_hook_need_not_read(tmp_path: Path) -> None:
    hooks = runner(tmp_path, "UserPromptSubmit", command("exec 0<&-; echo ok"))
    fired = await hooks.fire("UserPromptSubmit", prompt="x" * 1_000_000)
    assert fired.context == ("ok",)


async def test_control_characters_of_a_hook_reach_nobody_raw(tmp_path: Path) -> None:
    hooks = runner(tmp_path, "PreToolUse", command(r"printf '\377' >&2; exit 2"))
    fired = await hooks.fire("PreToolUse", subject="Bash")
    fired.reason.encode()  # no half characters


async def test_a_hook_in_the_background_is_told_of_when_it_is_done(tmp_path: Path) -> None:
    hooks = runner(tmp_path, "Stop", command("cat > /dev/null; echo done > f", background=True))
    assert (await hooks.fire("Stop")).events == ()
    fired = await hooks.fire("SessionEnd", subject="other")
    assert [event.event for event in fired.events] == ["Stop"]
    assert (tmp_path / "f").read_text() == "done\n"


async def test_a_program_that_drives_us_can_be_a_hook(tmp_path: Path) -> None:
    async def callback(data: dict[str, Any], tool_use_id: str | None) -> dict[str, Any]:
        assert data["tool_name"] == "Bash"
        return {"decision": "block", "reason": f"not {tool_use_id}"}

    hooks = runner(tmp_path, "PreToolUse", Handler(callback=callback))
    fired = await hooks.fire("PreToolUse", subject="Bash", tool_use_id="t1", tool_name="Bash")
    assert (fired.behavior, fired.reason) == ("deny", "not t1")


async def test_a_callback_that_fails_warns(tmp_path: Path) -> None:
    async def callback(data: dict[str, Any], tool_use_id: str | None) -> dict[str, Any]:
        raise RuntimeError("lost")

    fired = await runner(tmp_path, "Stop", Handler(callback=callback)).fire("Stop")
    assert fired.events[0].decision == "warn"
    assert "RuntimeError: lost" in fired.notices[0]


@pytest.mark.parametrize(
    ("matcher", "subject", "fits"),
    [
        (None, "Edit", True),
        ("", "Edit", True),
        ("*", "Edit", True),
        ("Edit", "Edit", True),
        ("Edit", "NotebookEdit", False),
        ("Edit|Write", "Write", True),
        ("Notebook.*", "NotebookEdit", True),
        ("mcp__memory__.*", "mcp__memory__store", True),
        ("mcp__memory__.*", "mcp__other__store", False),
        ("(", "Edit", False),
        ("Edit", "", True),
    ],
)
def test_whom_a_matcher_fits(matcher: str | None, subject: str, fits: bool) -> None:
    assert matches(matcher, subject) is fits


def test_a_matcher_that_is_no_expression_is_named() -> None:
    hooks = {"PreToolUse": (Group("(", ()), Group("Edit", ()), Group("*", ()))}
    (problem,) = problems(hooks)
    assert "'('" in problem


@pytest.mark.parametrize(
    ("condition", "tool", "given", "runs"),
    [
        ("Bash(git push:*)", "Bash", {"command": "git push origin"}, True),
        ("Bash(git push:*)", "Bash", {"command": "cd x && git push"}, True),
        ("Bash(git push:*)", "Bash", {"command": "git status"}, False),
        ("Edit(src/**)", "Write", {"file_path": "src/a.py"}, True),
        ("Edit(src/**)", "Write", {"file_path": "docs/a.md"}, False),
        ("Edit(", "Write", {"file_path": "docs/a.md"}, True),
    ],
)
async def test_a_condition_is_a_rule_that_the_tool_use_must_match(
    tmp_path: Path, condition: str, tool: str, given: dict[str, str], runs: bool
) -> None:
    hooks = runner(tmp_path, "PreToolUse", command("true", condition=condition))
    fired = await hooks.fire("PreToolUse", subject=tool, tool_name=tool, tool_input=given)
    assert bool(fired.events) is runs
