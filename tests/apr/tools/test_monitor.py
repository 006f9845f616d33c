"""Monitor: a real command is watched until it says something."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError
from apr.tools.inputs import parse
from apr.tools.monitor import Monitor
from tests.apr.tools.conftest import Call
from tests.apr.tools.test_bash import ended, pid_in

TOOL = Monitor()


async def watch(context: Context, command: str, **fields: Any) -> Outcome:
    given = parse(TOOL, {"command": command, **fields})
    return await TOOL.run(given, context)  # type: ignore[arg-type]


async def test_it_returns_with_the_first_lines_and_the_command_runs_on(
    root: Path, context: Context, call: Call
) -> None:
    command = "printf 'one\\ntwo\\n'; until [ -e go ]; do sleep 0.01; done; echo three"
    outcome = await watch(context, command, description="numbers")
    assert outcome == Outcome(content="one\ntwo\n[runs on as bash_1]")
    (root / "go").touch()
    await context.shells.background("bash_1").finished()
    seen = await call("BashOutput", bash_id="bash_1")
    assert seen.content == "[ended with exit code 0]\nthree"


async def test_a_command_that_ends_is_shown_as_it_ended(context: Context) -> None:
    assert (await watch(context, "echo all")).content == "all"
    assert (await watch(context, "true")).content == "[ended without output]"
    failed = await watch(context, "printf 'half a line'; exit 3")
    assert (failed.content, failed.ok, failed.exit_code) == ("Exit code 3\nhalf a line", False, 3)


async def test_a_line_must_be_whole(root: Path, context: Context) -> None:
    context.progress = lambda _half: (root / "go").touch()
    command = "printf half; until [ -e go ]; do sleep 0.01; done; echo ' and half'; sleep 100"
    outcome = await watch(context, command)
    assert outcome.content == "half and half\n[runs on as bash_1]"


async def test_a_watch_without_a_line_ends_with_its_time(context: Context) -> None:
    outcome = await watch(context, "sleep 100", timeout_ms=1)
    assert outcome.content == "[no line within 1 ms: it was ended]"
    assert not outcome.ok
    shell = context.shells.background("bash_1")
    assert (shell.killed, shell.status is not None) == (True, True)


async def test_a_persistent_one_runs_on(root: Path, context: Context, call: Call) -> None:
    command = "until [ -e go ]; do sleep 0.01; done; echo late; sleep 100"
    outcome = await watch(context, command, timeout_ms=1, persistent=True)
    assert outcome == Outcome(content="[no line within 1 ms; runs on as bash_1]")
    (root / "go").touch()
    while "late" not in (await call("BashOutput", bash_id="bash_1")).content:
        await asyncio.sleep(0.005)


async def test_it_is_ended_if_nobody_waits_for_it_any_more(root: Path, context: Context) -> None:
    watching = asyncio.create_task(watch(context, "echo $$ >pid; sleep 100"))
    pid = await pid_in(root / "pid")
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert await ended(pid)


async def test_people_see_lines_only_while_it_watches(root: Path, context: Context) -> None:
    shown: list[str] = []
    context.progress = shown.append
    command = "echo one; until [ -e go ]; do sleep 0.01; done; echo two"
    await watch(context, command)
    (root / "go").touch()
    await context.shells.background("bash_1").finished()
    assert shown == ["one\n"]


async def test_more_than_is_kept_is_cut(context: Context) -> None:
    outcome = await watch(
        context, f"head -c 100000 /dev/zero | tr '\\0' x; echo; echo {os.getpid()}"
    )
    assert outcome.truncated
    assert outcome.full_sha256
    assert "characters cut" in outcome.content


async def test_no_command_is_refused(context: Context) -> None:
    with pytest.raises(ToolError, match="the command is empty"):
        await watch(context, " \n")


def test_it_asks_to_execute_the_command(root: Path, context: Context) -> None:
    given = parse(TOOL, {"command": "tail -f a.log"})
    access = TOOL.access(given, context)  # type: ignore[arg-type]
    assert access == Access(kind="execute", command="tail -f a.log", cwd=root)
