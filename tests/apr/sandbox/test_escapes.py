"""What a confined command tries, and does not get. Every test runs it for real."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.apr.sandbox.conftest import PYTHON, Opened, needs_sandbox

pytestmark = needs_sandbox


def repository(root: Path) -> None:
    subprocess.run(["git", "init", "-q", str(root)], check=True)


async def test_it_works_in_the_project_and_in_a_temporary_folder_of_its_own(
    opened: Opened,
) -> None:
    here = await opened()
    said = await here.run("echo a > a.txt && echo b > /tmp/b && cat a.txt /tmp/b && echo $TMPDIR")
    assert said == (0, "a\nb\n/tmp\n")
    assert (here.root / "a.txt").read_text() == "a\n"
    assert not Path("/tmp/b").exists()
    assert await here.run("cat /tmp/b") == (0, "b\n"), "the next command finds it"


async def test_nothing_outside_can_be_written(opened: Opened) -> None:
    here = await opened()
    for target in (here.outside / "file", here.home / "notes.txt", Path("/etc/hosts")):
        before = target.read_text()
        status, _ = await here.run(f"echo x >> {target}")
        assert status != 0
        assert target.read_text() == before
    status, _ = await here.run(f"rm -rf {here.outside}; mv {here.home} {here.home}2; touch /new")
    assert status != 0
    assert (here.outside / "file").exists()
    assert here.home.exists()


async def test_a_link_planted_in_the_project_leads_nowhere_new(opened: Opened) -> None:
    here = await opened()
    status, _ = await here.run(f"ln -s {here.outside}/file link; echo x > link")
    assert status != 0
    status, _ = await here.run(f"ln -s {here.outside} folder; echo x > folder/new")
    assert status != 0
    assert (here.outside / "file").read_text() == "as it was"
    assert not (here.outside / "new").exists()
    status, _ = await here.run(f"ln {here.outside}/file hard && echo x > hard")
    assert status != 0, "a file of a read-only mount cannot be linked into a writable one"


async def test_secrets_are_not_there(opened: Opened) -> None:
    here = await opened()
    _, said = await here.run(
        "cat ~/.ssh/id_rsa ~/.netrc; ls -A ~/.ssh; ln -s ~/.ssh s; cat s/id_rsa"
    )
    assert "PRIVATE" not in said
    assert await here.run("cat ~/notes.txt") == (0, "open")


async def test_the_file_systems_of_other_processes_are_out_of_reach(opened: Opened) -> None:
    here = await opened()
    _, said = await here.run(
        f"cat /proc/1/environ /proc/1/root{here.home}/.netrc /proc/self/root{here.home}/.netrc;"
        f" echo x > /proc/self/root{here.outside}/file; echo x > /proc/1/root{here.outside}/file;"
        " for p in /proc/[0-9]*; do cat $p/root" + f"{here.home}/.netrc; done"
    )
    assert "PRIVATE" not in said
    assert (here.outside / "file").read_text() == "as it was"


async def test_it_sees_and_signals_no_process_but_its_own(opened: Opened) -> None:
    here = await opened()
    status, said = await here.run(f"kill -0 {os.getpid()}; ls -d /proc/[0-9]* | wc -l")
    assert "No such process" in said
    assert int(said.split()[-1]) < 10
    assert status == 0


async def test_secrets_in_the_environment_stay_outside(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "MY_API_KEY", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, "PRIVATE")
    monkeypatch.setenv("EDITOR_OF_CHOICE", "open")
    here = await opened(env={"GIVEN_TOKEN": "by the settings"})
    _, said = await here.run("env; tr '\\0' '\\n' < /proc/1/environ; cat /proc/*/environ")
    assert "PRIVATE" not in said
    assert "EDITOR_OF_CHOICE=open" in said
    assert "GIVEN_TOKEN=by the settings" in said


@pytest.mark.parametrize(
    "attempt",
    [
        "echo x > .git/hooks/pre-commit",
        "mkdir -p .git/hooks && cp /bin/true .git/hooks/pre-commit",
        "git config core.fsmonitor ./x",
        "git config core.hooksPath elsewhere",
        "echo x >> .git/config",
        "mv .git old && mkdir -p .git/hooks && echo x > .git/hooks/pre-commit",
        "rm -rf .git/hooks && mkdir .git/hooks",
        "mv .git/hooks aside",
        "rmdir .git/hooks && ln -s /tmp .git/hooks",
        "ln -sf /tmp/config .git/config",
        "umount .git/hooks",
        "mount --bind /tmp .git/hooks",
        "unshare -rm mount --bind /tmp .git/hooks",
        "echo '{}' > .claude/settings.json",
        "echo '{}' > .claude/settings.local.json",
        "mv .claude c && mkdir .claude",
        "mkdir -p .claude/hooks",
        "rm .claude/settings.json",
        "mkdir -p .apr && echo '{}' > .apr/settings.json",
        "echo '{}' > .mcp.json",
        "rmdir .mcp.json && echo '{}' > .mcp.json",
        "ln -s /tmp/x .mcp.json",
        "mkdir .vscode && echo '{}' > .vscode/tasks.json",
        "echo x >> .envrc",
        "echo x >> .bashrc",
        "mv .bashrc b",
    ],
)
async def test_what_decides_about_other_programs_is_not_changed(
    opened: Opened, attempt: str
) -> None:
    here = await opened()
    repository(here.root)
    (here.root / ".claude").mkdir()
    for name in (".claude/settings.json", ".envrc", ".bashrc"):
        (here.root / name).write_text("as it was")
    config = (here.root / ".git" / "config").read_text()
    hooks = sorted(path.name for path in (here.root / ".git" / "hooks").iterdir())
    status, said = await here.run(attempt)
    assert status != 0, said
    assert (here.root / ".git" / "config").read_text() == config
    assert sorted(path.name for path in (here.root / ".git" / "hooks").iterdir()) == hooks
    for name in (".claude/settings.json", ".envrc", ".bashrc"):
        assert (here.root / name).read_text() == "as it was"
    assert not (here.root / ".claude" / "settings.local.json").exists()
    assert not (here.root / ".mcp.json").is_file()
    for name in (".apr", ".vscode"):
        assert not list((here.root / name).glob("*"))


@pytest.mark.parametrize(
    "first",
    [
        "rm .git/HEAD",
        "mv .git/objects .git/refs .",
        "rm -rf .git",
        "mv .git/modules .git/m",
        "rm .git/modules/sub/HEAD",
        "rm -rf .git/modules/sub",
    ],
)
async def test_nor_in_two_steps(opened: Opened, first: str) -> None:
    here = await opened()
    repository(here.root)
    module = here.root / ".git" / "modules" / "sub"
    subprocess.run(["git", "init", "-q", "--bare", str(module)], check=True)
    await here.run(first)
    for inner in (".git", ".git/modules/sub"):
        for attempt in ("echo x > {}/hooks/pre-commit", "echo x >> {}/config"):
            status, said = await here.run(attempt.format(inner))
            assert status != 0, said


async def test_what_git_would_believe_is_taken_away(opened: Opened) -> None:
    here = await opened()
    repository(here.root)
    await here.run("cp -r .git evil; echo ../evil > .git/commondir; touch .git/config.worktree")
    await here.run("true")
    assert not (here.root / ".git" / "commondir").exists()
    assert not (here.root / ".git" / "config.worktree").exists()


async def test_a_worktree_of_a_subagent_can_be_worked_in_but_not_led_elsewhere(
    opened: Opened,
) -> None:
    here = await opened()
    repository(here.root)
    who = ["-c", "user.name=a", "-c", "user.email=a"]
    make = (
        [*who, "commit", "--allow-empty", "-qm", "x"],
        ["worktree", "add", "-q", ".claude/worktrees/w"],
    )
    for words in make:
        subprocess.run(["git", "-C", str(here.root), *words], check=True)
    inside = "cd .claude/worktrees/w && "
    assert await here.run(inside + "echo x > a && git add a && git status --short") == (0, "A  a\n")
    for attempt in (
        "echo gitdir: /tmp/evil > .git", "rm .git", "mkdir -p .claude && touch .claude/x",
        "echo /tmp > ../../../.git/worktrees/w/commondir", "mv ../../../.git/worktrees/w x",
        "cd .. && mv w w2",
    ):  # fmt: skip
        status, said = await here.run(inside + attempt)
        assert status != 0, (attempt, said)


async def test_what_was_not_there_is_not_there_afterwards(opened: Opened) -> None:
    here = await opened()
    repository(here.root)
    await here.run("echo x > .mcp.json; mkdir .vscode; true")
    await here.shells.close()
    await here.shells._sandbox.close()  # type: ignore[union-attr]
    assert [path.name for path in here.root.iterdir()] == [".git"]


async def test_git_works_as_usual(opened: Opened) -> None:
    here = await opened(
        env={
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a",
        }
    )
    repository(here.root)
    status, said = await here.run(
        "echo a > a && git add a && git commit -qm a && git checkout -qb b && git status --short"
    )
    assert (status, said) == (0, "")


async def test_nothing_outlives_the_command_that_started_it(opened: Opened) -> None:
    here = await opened()
    away = "import os,time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
    away += "open('started','w').close()\ntime.sleep(600)"
    (here.root / "away.py").write_text(away)
    status, _ = await here.run(
        f"{PYTHON} -I -S away.py; setsid -f sleep 600.25; nohup sleep 600.25 & "
        "until [ -e started ]; do sleep 0.01; done"
    )
    assert status == 0
    left = subprocess.run(["pgrep", "-f", "away.py|sleep 600.25"], capture_output=True, check=False)
    for process in left.stdout.decode().split():
        state = Path(f"/proc/{process}/status")
        assert not state.exists() or "Z (zombie)" in state.read_text()


async def test_there_is_no_network(opened: Opened) -> None:
    here = await opened()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        status, _ = await here.run(f"exec 3<>/dev/tcp/127.0.0.1/{port}")
        assert status != 0
    status, _ = await here.run("exec 3<>/dev/tcp/192.0.2.1/80")
    assert status != 0


async def test_commands_find_each_others_servers(opened: Opened) -> None:
    here = await opened()
    (here.root / "page").write_text("served")
    serve = f"{PYTHON} -m http.server --bind 127.0.0.1 8123"
    await here.shells.start_in_background(serve, here.root)
    fetch = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8123/page').read())"
    _, said = await here.run(
        "until echo > /dev/tcp/127.0.0.1/8123; do sleep 0.05; done 2>/dev/null;"
        f' {PYTHON} -c "{fetch}"'
    )
    assert "served" in said


async def test_unix_sockets_are_out_of_reach(opened: Opened, place: Path) -> None:
    here = await opened()
    path = here.home / "s"

    def connect(address: str) -> str:
        code = f"import socket; socket.socket(socket.AF_UNIX).connect('{address}'); print('in')"
        return f'{PYTHON} -c "{code}"'

    with socket.socket(socket.AF_UNIX) as named, socket.socket(socket.AF_UNIX) as abstract:
        for one, address in ((named, str(path)), (abstract, f"\0apr-test-{os.getpid()}")):
            one.bind(address)
            one.listen()
        for address in (str(path), f"\\0apr-test-{os.getpid()}"):
            status, said = await here.run(connect(address))
            assert (status != 0, "in\n" in said) == (True, False)
        here = await opened({"network": {"allowAllUnixSockets": True}})
        _, said = await here.run(connect(f"\\0apr-test-{os.getpid()}"))
        assert "in\n" not in said, "an abstract socket is of another network in any case"
        assert await here.run(connect(str(path))) == (0, "in\n")


async def test_what_could_reach_round_the_walls_is_refused_by_the_kernel(opened: Opened) -> None:
    here = await opened()
    (here.root / "calls.py").write_text(
        textwrap.dedent(
            """
            import ctypes, fcntl, os, pty
            libc = ctypes.CDLL(None, use_errno=True)
            print(libc.syscall(425, 8, 0), ctypes.get_errno())  # io_uring_setup
            libc.syscall(250, 0, -3, 1)  # keyctl
            print(ctypes.get_errno())
            _, terminal = pty.openpty()
            try:
                fcntl.ioctl(terminal, 0x5412, b"x")
            except OSError as error:
                print(error.errno)
            """
        )
    )
    if os.uname().machine == "x86_64":
        assert await here.run(f"{PYTHON} calls.py") == (0, "-1 1\n1\n1\n")


async def test_it_has_no_terminal_to_type_into(opened: Opened) -> None:
    here = await opened()
    status, _ = await here.run("echo x > /dev/tty")
    assert status != 0
    assert await here.run("ls /dev/pts | grep -v ptmx | wc -l") == (0, "0\n")


async def test_a_preloaded_library_stays_in_the_sandbox(opened: Opened) -> None:
    here = await opened()
    status, _ = await here.run(
        f"echo not a library > x.so; export LD_PRELOAD=$PWD/x.so; echo x > {here.outside}/file"
    )
    assert status != 0
    assert (here.outside / "file").read_text() == "as it was"
    assert (await here.run("echo fine"))[1] == "fine\n"


async def test_devices_and_the_kernel_are_out_of_reach(opened: Opened) -> None:
    here = await opened()
    for attempt in (
        "cat /dev/mem", "ls /dev/sd* /dev/vd*", "mknod disk b 8 0",
        "echo 1 > /proc/sys/kernel/sysrq",
        "echo 1 > /proc/sys/vm/drop_caches",
        "echo '|/tmp/x' > /proc/sys/kernel/core_pattern",
        "echo c > /proc/sysrq-trigger", "echo 1 > /sys/kernel/profiling", "chroot / true",
        "mount -o remount,rw /", "umount /run", "nsenter -t 1 -m true", "ls /run/systemd",
    ):  # fmt: skip
        status, said = await here.run(attempt)
        assert status != 0, (attempt, said)


async def test_settings_open_and_close_folders(opened: Opened, place: Path) -> None:
    more = place / "more"
    more.mkdir()
    files = {
        "allowWrite": [str(more)],
        "denyWrite": ["./locked"],
        "denyRead": ["~/private", "./deep/secret"],
        "allowRead": ["~/private/but-this"],
    }
    here = await opened({"filesystem": files}, deny="Read(./hidden/**) Edit(./kept.lock)")
    (here.root / "locked").mkdir()
    (here.root / "deep" / "secret").mkdir(parents=True)
    (here.root / "deep" / "secret" / "x").write_text("PRIVATE")
    (here.root / "hidden").mkdir()
    (here.root / "hidden" / "x").write_text("PRIVATE")
    (here.root / "kept.lock").write_text("as it was")
    (here.home / "private" / "but-this").mkdir(parents=True)
    (here.home / "private" / "x").write_text("PRIVATE")
    (here.home / "private" / "but-this" / "y").write_text("open")
    assert await here.run(f"echo x > {more}/x && cat ~/private/but-this/y") == (0, "open")
    for attempt in (
        "touch locked/x", "mv locked other", "cat ~/private/x", "cat deep/secret/x",
        "mv deep other && cat other/secret/x", "cat hidden/x", "echo x > kept.lock", "rm kept.lock",
    ):  # fmt: skip
        status, said = await here.run(attempt)
        assert status != 0, attempt
        assert "PRIVATE" not in said


async def test_an_excluded_command_runs_outside_and_others_with_it_do_not(opened: Opened) -> None:
    here = await opened({"excludedCommands": ["touch"]})
    await here.run(f"touch {here.outside}/new")
    assert (here.outside / "new").exists()
    status, _ = await here.run(f"touch {here.outside}/two; echo x > {here.outside}/three")
    assert status != 0
    assert not (here.outside / "two").exists()
    assert not (here.outside / "three").exists()


async def test_a_command_that_takes_too_long_is_ended_with_all_its_own(opened: Opened) -> None:
    here = await opened()
    with pytest.raises(TimeoutError):
        await here.run("setsid sleep 600.75 & sleep 600.75", seconds=0.5)
    left = subprocess.run(["pgrep", "-f", "sleep 600.75"], capture_output=True, check=False)
    assert left.stdout == b""


async def test_where_cd_has_led_is_known_outside(opened: Opened) -> None:
    here = await opened()
    (here.root / "sub").mkdir()
    shell = await here.shells.start("cd sub", here.root)
    await shell.finished()
    assert shell.directory == here.root / "sub"


KILLED = """
import asyncio, os, sys
from pathlib import Path
from apr.tools.shells import Shells
async def main():
    shells = Shells()
    command = "setsid sleep 600.125 & sleep 600.125 & echo $$ > started; wait"
    await shells.start(command, Path(sys.argv[1]))
    while not Path(sys.argv[1], "started").exists():
        await asyncio.sleep(0.01)
    print("running", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_commands_do_not_outlive_a_kill_of_apr_without_a_sandbox_either(
    tmp_path: Path,
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"running\n"
    process.send_signal(signal.SIGKILL)
    await process.wait()
    async with asyncio.timeout(20):
        while (
            subprocess.run(["pgrep", "-f", "sleep 600.125"], stdout=-3, check=False).returncode == 0
        ):
            await asyncio.sleep(0.02)
