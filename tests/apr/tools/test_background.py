"""Shells in the background: Bash starts them, BashOutput looks at them, KillShell ends them."""

import asyncio
from pathlib import Path

import pytest

from apr.tools.base import Context
from apr.tools.errors import ToolError
from tests.apr.tools.conftest import Call
from tests.apr.tools.test_bash import ended, open_files, pid_in


async def output(call: Call, has: str) -> str:
    """Look at bash_1 until its output has a text; return all of what was seen."""
    seen = ""
    while has not in seen:
        seen += (await call("BashOutput", bash_id="bash_1")).content + "\n"
        await asyncio.sleep(0.005)
    return seen


async def test_a_command_runs_in_the_background(root: Path, call: Call) -> None:
    command = "echo one; until [ -e go ]; do sleep 0.01; done; echo two; exit 4"
    started = await call("Bash", command=command, run_in_background=True)
    assert started.content == "Runs in the background as bash_1. See its output with BashOutput."
    assert "[running]\none" in await output(call, "one")
    assert (await call("BashOutput", bash_id="bash_1")).content == "[running]\n[no new output]"
    (root / "go").touch()
    rest = await output(call, "[ended with exit code 4]")
    assert "two" in rest
    assert "one" not in rest
    killed = await call("KillShell", shell_id="bash_1")
    assert killed.content == "bash_1 had ended with exit code 4."


async def test_output_can_be_filtered(call: Call) -> None:
    await call("Bash", command="printf 'a1\\nb\\na2\\n'", run_in_background=True)
    with pytest.raises(ToolError, match="regex parse error"):
        await call("BashOutput", bash_id="bash_1", filter="(")
    while not (seen := (await call("BashOutput", bash_id="bash_1", filter="^a"))).content.endswith(
        "a1\na2"
    ):
        assert "[no new output]" in seen.content


async def test_a_shell_is_killed_with_its_children(root: Path, call: Call) -> None:
    command = "sleep 100 & echo $! >child; wait"
    await call("Bash", command=command, run_in_background=True)
    child = await pid_in(root / "child")
    assert (await call("KillShell", shell_id="bash_1")).content == "Killed bash_1."
    assert await ended(child)
    assert (await call("BashOutput", bash_id="bash_1")).content == "[killed]\n[no new output]"


async def test_shells_end_with_the_session(root: Path, call: Call, context: Context) -> None:
    await call("Bash", command="true")  # from here on the loop has all files it needs open
    await context.shells.close()
    before = open_files()
    for _ in range(3):
        await call("Bash", command="echo $$ >>pids; sleep 100", run_in_background=True)
    while not (root / "pids").exists() or (root / "pids").read_text().count("\n") < 3:
        await asyncio.sleep(0.005)
    await call("Bash", command="true", run_in_background=True)
    await context.shells.close()
    assert open_files() == before
    for pid in (root / "pids").read_text().split():
        assert await ended(int(pid))


@pytest.mark.parametrize(
    ("tool", "field"),
    [
        ("BashOutput", "bash_id"),
        ("KillShell", "shell_id"),
        ("TaskOutput", "task_id"),
        ("TaskStop", "task_id"),
    ],
)
async def test_an_unknown_shell_brings_up_those_there_are(
    call: Call, tool: str, field: str
) -> None:
    with pytest.raises(ToolError, match=r"No background shell x. There are: none."):
        await call(tool, {field: "x"})
    await call("Bash", command="true", run_in_background=True)
    with pytest.raises(ToolError, match=r"There are: bash_1."):
        await call(tool, {field: "x"})
