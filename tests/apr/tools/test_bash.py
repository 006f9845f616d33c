import asyncio
import contextlib
import hashlib
import os
import resource
import signal
from pathlib import Path

import pytest

from apr.tools.base import Context
from apr.tools.errors import ToolError
from tests.apr.tools.conftest import Call

LINUX = Path("/proc/self/environ").exists()


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


async def pid_in(file: Path) -> int:
    """Wait until a command has written a process id to a file."""
    while not (file.exists() and file.read_text().endswith("\n")):
        await asyncio.sleep(0.005)
    return int(file.read_text())


async def ended(pid: int) -> bool:
    """Wait for a process to end; the test's own time limit is the only one."""
    while lives(pid):
        await asyncio.sleep(0.005)
    return True


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_output_and_errors_come_in_order(call: Call) -> None:
    outcome = await call("Bash", command="echo one; echo two >&2; echo three")
    assert outcome.content == "one\ntwo\nthree"
    assert (outcome.ok, outcome.exit_code) == (True, 0)


async def test_a_command_may_say_nothing(call: Call) -> None:
    assert (await call("Bash", command="true")).content == "[no output]"


async def test_a_failing_command_shows_its_exit_code_first(call: Call) -> None:
    outcome = await call("Bash", command="echo oops; exit 3")
    assert outcome.content == "Exit code 3\noops"
    assert (outcome.ok, outcome.exit_code) == (False, 3)
    assert (await call("Bash", command="kill -9 $$")).exit_code == 128 + signal.SIGKILL


async def test_errors_of_the_shell_show_only_the_command_s_own_text(call: Call) -> None:
    outcome = await call("Bash", command="if true")
    assert outcome.exit_code == 2
    assert "trap" not in outcome.content
    assert "pwd" not in (await call("Bash", command="set -x; true")).content
    outcome = await call("Bash", command="no-such-command")
    assert outcome.content.endswith("line 1: no-such-command: command not found")
    assert outcome.exit_code == 127


async def test_here_documents_quotes_and_arguments_are_untouched(call: Call) -> None:
    outcome = await call("Bash", command="cat <<'E'\n$x \"'\nE\necho \"[$1$#]\"")
    assert outcome.content == "$x \"'\n[0]"


async def test_there_is_no_input_no_terminal_and_no_pager(call: Call) -> None:
    command = "cat; (: </dev/tty) 2>/dev/null || echo no terminal; echo $PAGER $GIT_PAGER"
    assert (await call("Bash", command=command)).content == "no terminal\ncat cat"


async def test_the_user_s_environment_is_passed_on(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "value")
    assert (await call("Bash", command="echo $SOME_TOKEN")).content == "value"


async def test_cd_lasts_and_variables_do_not(root: Path, call: Call, context: Context) -> None:
    (root / "src").mkdir()
    await call("Bash", command="cd src; x=1")
    assert context.cwd == root / "src"
    assert (await call("Bash", command="echo $PWD$x; exit 1")).content == f"Exit code 1\n{root}/src"
    await call("Bash", command="(cd ..)")
    assert context.cwd == root / "src"


async def test_cd_out_of_the_project_is_undone_and_said(
    root: Path, call: Call, context: Context
) -> None:
    (root / "link").symlink_to("/")
    for command in ("cd ..", "cd link"):
        content = (await call("Bash", command=command)).content
        assert content == "[no output]\n[cd left the project: the next command runs in its root]"
        assert context.cwd == root


async def test_a_directory_that_is_gone_is_left_and_said(root: Path, call: Call) -> None:
    (root / "src").mkdir()
    await call("Bash", command="cd src")
    (root / "src").rmdir()
    content = (await call("Bash", command="pwd")).content
    assert content.startswith(f"{root}\n[the directory of the shell is gone")


async def test_bytes_that_are_no_utf_8_are_replaced(call: Call) -> None:
    outcome = await call("Bash", command=r"printf 'caf\xe9 \xc3\xa9'")
    assert outcome.content == "caf\N{REPLACEMENT CHARACTER} é"


async def test_long_output_keeps_its_head_and_tail(call: Call) -> None:
    outcome = await call("Bash", command="seq 1 20000")
    whole = "".join(f"{n}\n" for n in range(1, 20001))
    assert outcome.content.startswith(whole[:20_000] + "\n[... 78,894 characters cut ...]\n")
    assert outcome.content.endswith("\n20000")
    assert outcome.truncated
    assert outcome.full_sha256 == hashlib.sha256(whole.encode()).hexdigest()


async def test_output_is_shown_as_it_comes(root: Path, call: Call, context: Context) -> None:
    seen: list[str] = []

    def progress(text: str) -> None:
        seen.append(text)
        (root / "go").touch()  # the command ends only after its first words were shown

    context.progress = progress
    await call("Bash", command="echo first; until [ -e go ]; do :; done; echo second")
    assert "".join(seen) == "first\nsecond\n"
    assert seen[0] == "first\n"


async def test_a_timeout_ends_the_command_and_all_it_started(root: Path, call: Call) -> None:
    command = "echo begun; sleep 100 & echo $! >child; sleep 100"
    outcome = await call("Bash", command=command, timeout=200)
    note = "[ended after 200 ms: give a longer timeout, or run_in_background]"
    assert outcome.content == f"Exit code 143\nbegun\n{note}"
    assert (outcome.ok, outcome.exit_code) == (False, 143)
    assert await ended(int((root / "child").read_text()))


async def test_a_command_that_will_not_end_is_made_to(root: Path, call: Call) -> None:
    command = "trap '' TERM; echo $$ >child; while :; do sleep 100; done"
    outcome = await call("Bash", command=command, timeout=200)
    assert outcome.exit_code == 143
    assert await ended(int((root / "child").read_text()))


async def test_endless_output_ends_with_the_timeout(call: Call) -> None:
    outcome = await call("Bash", command="yes", timeout=200)
    assert outcome.exit_code == 143
    assert outcome.content.startswith("Exit code 143\ny\ny\n")
    assert len(outcome.content) < 31_000


async def test_what_is_left_in_the_background_does_not_hold_up_the_call(
    root: Path, call: Call, context: Context
) -> None:
    outcome = await call("Bash", command="sleep 100 & echo $! >child; echo done")
    assert outcome.content == "done"
    child = int((root / "child").read_text())
    assert lives(child)
    await context.shells.close()
    assert await ended(child)


async def test_what_is_left_may_go_on_talking(root: Path, call: Call) -> None:
    await call("Bash", command="(until [ -e go ]; do :; done; echo talk && touch ok) & true")
    (root / "go").touch()
    while not (root / "ok").exists():
        await asyncio.sleep(0.005)


@pytest.mark.skipif(not LINUX, reason="elsewhere the environment of processes is not shown")
async def test_what_has_left_the_process_group_is_found(
    root: Path, call: Call, context: Context
) -> None:
    command = "setsid sh -c 'echo $$ >child; exec sleep 100' >/dev/null 2>&1 & "
    await call("Bash", command=command + "until [ -s child ]; do :; done")
    child = int((root / "child").read_text())
    assert lives(child)
    await context.shells.close()
    assert await ended(child)
    (root / "child").unlink()
    await call("Bash", command=command + "sleep 100", timeout=300)
    assert await ended(await pid_in(root / "child"))


async def test_a_cancelled_call_leaves_nothing_behind(root: Path, call: Call) -> None:
    command = "sleep 100 & echo $! >child; trap '' TERM; sleep 100"
    task = asyncio.create_task(call("Bash", command=command))
    child = await pid_in(root / "child")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ended(child)


async def test_cancelling_twice_ends_it_at_once(root: Path, call: Call) -> None:
    command = "trap '' TERM; echo $$ >child; while :; do sleep 100; done"
    task = asyncio.create_task(call("Bash", command=command))
    child = await pid_in(root / "child")
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ended(child)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (" \n", "the command is empty"),
        ("a\0b", "could not be started"),
        (": " + "x" * 3_000_000, "could not be started"),
    ],
    ids=["empty", "NUL", "too long"],
)
async def test_what_is_no_command_is_refused(call: Call, command: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        await call("Bash", command=command)


async def test_nothing_stays_open(call: Call) -> None:
    await call("Bash", command="true")
    before = open_files()
    for _ in range(5):
        await call("Bash", command="true")
        with pytest.raises(ToolError):
            await call("Bash", command="a\0b")
    assert open_files() == before


async def test_where_no_more_files_can_be_opened_a_shell_that_cannot_start_keeps_none(
    call: Call,
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files() + 64, limits[1]))
    taken: list[int] = []

    def take_all() -> int:
        before = len(taken)
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        return len(taken) - before

    try:
        take_all()
        for _ in range(3):  # enough for one pipe, not for two
            os.close(taken.pop())
        with pytest.raises(ToolError, match="Too many open files"):
            await call("Bash", command="true")
        assert take_all() == 3
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
