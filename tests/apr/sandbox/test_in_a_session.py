"""The sandbox in `apr code`: from settings to what the trace says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from apr.agent.permissions import Policy
from apr.sandbox.confinement import confinement
from apr.settings.schema import Sandbox
from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import HookEvent, ToolResult
from tests.apr.program import apr, calls, environment, records, says, start_apr
from tests.apr.sandbox.conftest import needs_sandbox


def configured(project: Path, **settings: Any) -> None:
    (project / ".claude").mkdir(exist_ok=True)
    (project / ".claude" / "settings.json").write_text(json.dumps(settings))


def results(trace: Path) -> list[ToolResult]:
    return [record for record in records(trace) if isinstance(record, ToolResult)]


@needs_sandbox
def test_confined_commands_need_no_consent_and_cannot_leave(place: Path) -> None:
    home, project, trace = place / "home", place / "project", place / "run.ccpa-trace.jsonl"
    home.mkdir()
    project.mkdir()
    (home / "precious").write_text("as it was")
    hook = {"type": "command", "command": f"cat; echo x > {home}/precious; echo x > made-by-hook"}
    configured(
        project,
        sandbox={"enabled": True, "excludedCommands": ["git"]},
        permissions={"deny": ["Bash(curl:*)"]},
        hooks={"PostToolUse": [{"hooks": [hook]}]},
    )
    turn = calls(
        ("Bash", {"command": "echo x > made"}),
        ("Bash", {"command": f"echo x > {home}/precious"}),
        ("Bash", {"command": "timeout 5 curl x"}),
        ("Bash", {"command": "git init"}),
        ("Bash", {"command": "echo '{}' > .claude/settings.json"}),
    )
    with serving(ScriptedModel([turn, says("done")])) as url:
        code = ("code", "--base-url", url, "--model", "m", "--emit-trace", trace, "go")
        done = apr(*code, home=home, cwd=project)
    assert done.returncode == 0, done.stderr
    made, left, denied, outside, own = results(trace)
    assert (made.ok, (project / "made").read_text()) == (True, "x\n")
    assert left.denied_by is None
    assert "Read-only file system" in left.content
    assert (denied.denied_by, "Bash(curl:*)" in denied.content) == ("rule", True)
    assert (outside.denied_by, outside.content) == (
        "mode",
        "Permission denied. No rule allows the command: git init. Nobody can be asked in this run.",
    )
    assert not own.ok
    assert json.loads((project / ".claude" / "settings.json").read_text())["sandbox"]["enabled"]
    ran = [record for record in records(trace) if isinstance(record, HookEvent)]
    assert ran
    assert (home / "precious").read_text() == "as it was"
    assert (project / "made-by-hook").exists()
    left_over = {path.name for path in project.iterdir()}
    assert left_over == {".claude", "made", "made-by-hook"}


@needs_sandbox
def test_nothing_that_is_confined_outlives_a_kill_of_apr(place: Path) -> None:
    home, project = place / "home", place / "project"
    home.mkdir()
    project.mkdir()
    configured(project, sandbox={"enabled": True})
    asleep = f"sleep 600.{os.getpid()}"
    turn = calls(("Bash", {"command": f"setsid {asleep} & touch started; {asleep}"}))
    with serving(ScriptedModel([turn])) as url:
        running = start_apr("code", "--base-url", url, "--model", "m", "go", home=home, cwd=project)
        deadline = time.monotonic() + 60
        while not (project / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (project / "started").exists()
        running.send_signal(signal.SIGKILL)
        running.communicate()
    assert (project / ".mcp.json").is_dir(), "nobody could take it away"
    with serving(ScriptedModel([says("hello")])) as url:
        again = apr("code", "--base-url", url, "--model", "m", "hi", home=home, cwd=project)
    assert (again.returncode, again.stdout) == (0, "hello\n"), again.stderr
    deadline = time.monotonic() + 20
    while _lives(asleep) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _lives(asleep)


def _lives(command: str) -> bool:
    return subprocess.run(["pgrep", "-f", command], stdout=-3, check=False).returncode == 0


def test_without_bubblewrap_the_user_is_told_or_refused(
    home: Path, project: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    given = {**environment(home), "PATH": str(empty)}
    said = {}
    for strict in (False, True):
        configured(project, sandbox={"enabled": True, "failIfUnavailable": strict})
        with serving(ScriptedModel([says("hello")])) as url:
            said[strict] = subprocess.run(
                [sys.executable, "-m", "apr", "code", "--base-url", url, "--model", "m", "hi"],
                cwd=project,
                env=given,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                check=False,
            )
    assert said[False].returncode == 0
    assert "commands run UNCONFINED: bubblewrap is not installed" in said[False].stderr
    assert said[True].returncode == 2
    assert "sandbox.failIfUnavailable is set" in said[True].stderr


def test_a_sandbox_that_is_off_is_none(tmp_path: Path) -> None:
    notices: list[str] = []
    assert confinement(Sandbox(), Policy(root=tmp_path), {}, notices) is None
    assert notices == []


@needs_sandbox
def test_a_link_that_cannot_be_guarded_is_told(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".claude").symlink_to("elsewhere")
    notices: list[str] = []
    assert confinement(Sandbox(enabled=True), Policy(root=tmp_path), {}, notices) is not None
    assert "is a link" in notices[0]
