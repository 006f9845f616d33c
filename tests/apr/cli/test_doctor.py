"""`apr doctor`, as a user runs it."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from apr.sandbox.confinement import unavailable
from tests.apr.program import APR, apr, environment


def findings(home: Path, project: Path, code: int) -> list[dict[str, Any]]:
    done = apr("doctor", "--json", home=home, cwd=project)
    assert done.returncode == code, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def test_where_all_is_well_every_line_says_so(home: Path, project: Path) -> None:
    done = apr("doctor", home=home, cwd=project)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "note", "->"}
    for about in (
        "engine: xllamacpp",
        "models: ",
        "ripgrep: ripgrep ",
        "git: git version",
        "hooks: 0",
        "sessions: ",
        "terminal: this is run at none",
        "keys: ",
    ):
        assert any(line.startswith(f"ok      {about}") for line in lines), about
    assert any("apr pull" in line for line in lines), "there is no model here, and what to do"


@pytest.mark.skipif(unavailable() is not None, reason=f"nothing can be confined: {unavailable()}")
def test_what_the_sandbox_enforces_is_tried(home: Path, project: Path) -> None:
    (line,) = [one for one in findings(home, project, 0) if one["about"] == "sandbox"]
    for what in ("writes only in the project", "no network", "secrets hidden", "git hooks"):
        assert what in line["says"]
    assert line["says"].endswith("it is off: set sandbox.enabled")


def test_what_is_wrong_is_told_with_what_to_do(home: Path, project: Path, tiny: Path) -> None:
    settings = {
        "permissions": {"allow": ["Bash(", "mcp__*"]},
        "hooks": {
            "PreToolUse": [
                {"matcher": "Bsh", "hooks": [{"type": "command", "command": "true"}]},
                {"matcher": "mcp__db__.*", "hooks": [{"type": "command", "command": "true"}]},
            ],
            "PreTool": [{"hooks": [{"type": "command", "command": "true"}]}],
        },
        "modle": "x",
        "model": str(tiny),
    }
    (project / ".claude").mkdir()
    (project / ".claude" / "settings.json").write_text(json.dumps(settings))
    servers = {"gone": {"command": "no-such-program"}, "there": {"command": "git", "args": ["x"]}}
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": servers}))
    found = findings(home, project, 1)
    said = {(one["about"], one["state"]): one["says"] for one in found}
    assert all(one["do"] for one in found if one["state"] != "ok")
    assert "'Bash('" in said["rules", "broken"]
    assert "mcp__* allows nothing" in said["rules", "note"]
    assert "modle: there is no such key" in said["settings", "note"]
    hooks = [one["says"] for one in found if one["about"] == "hooks" and one["state"] == "broken"]
    assert hooks == [
        "hooks.PreToolUse: the matcher 'Bsh' fits no tool",
        "hooks.PreTool: there is no such event",
    ]
    assert "no program no-such-program" in said["mcp gone", "broken"]
    assert "nobody has approved it" in said["mcp there", "note"]
    assert said["model", "ok"].startswith("tiny: ")


def test_each_settings_file_that_cannot_be_read_is_named(home: Path, project: Path) -> None:
    (project / ".claude").mkdir()
    (project / ".claude" / "settings.json").write_text("{")
    (project / ".claude" / "settings.local.json").write_text('{"model": 1}')
    (project / ".mcp.json").write_text("[]")
    broken = [one["says"] for one in findings(home, project, 1) if one["state"] == "broken"]
    assert ".claude/settings.json:1:2: not valid JSON" in broken[0]
    assert ".claude/settings.local.json:1: model: expected" in broken[1]
    assert ".mcp.json" in broken[2]


def test_a_directory_that_is_none_is_an_error_of_use(home: Path, project: Path) -> None:
    done = apr("doctor", "-C", "nowhere", home=home, cwd=project)
    assert (done.returncode, done.stderr) == (2, "apr: not a directory: nowhere\n")


def test_a_projects_own_code_is_not_run(home: Path, project: Path) -> None:
    (project / "xllamacpp.py").write_text("open('ran', 'w')\n")
    (engine,) = [one for one in findings(home, project, 0) if one["about"] == "engine"]
    assert engine["state"] == "ok"
    assert not (project / "ran").exists()


@pytest.mark.parametrize(
    ("broken", "about"),
    [({"HF_HOME": "/dev/null/cache"}, "models"), ({"APR_HOME": "/dev/null/apr"}, "sessions")],
)
def test_what_cannot_be_used_keeps_nothing_else_from_being_looked_at(
    home: Path, project: Path, broken: dict[str, str], about: str
) -> None:
    ran = subprocess.run(
        [APR, "doctor", "--json"],
        cwd=project,
        env={**environment(home), **broken},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (1, "")
    found = json.loads(ran.stdout)["findings"]
    assert {one["about"] for one in found} >= {"engine", "sandbox", "git", "hooks", "mcp"}
    assert about in {one["about"] for one in found if one["state"] == "broken"}
    assert all(one["do"] for one in found if one["state"] != "ok")


def test_keys_that_cannot_be_used_are_named(home: Path, project: Path) -> None:
    (home / ".apr").mkdir()
    (home / ".apr/keys.toml").write_text("[nonsense")
    (keys,) = [one for one in findings(home, project, 1) if one["about"] == "keys"]
    assert ".apr/keys.toml" in keys["says"]
    assert keys["state"] == "broken"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"TERM": "xterm-256color"}, "xterm-256color, UTF-8, 256 colours"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "xterm, UTF-8, 16 million colours"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "xterm, UTF-8, no colours"),
        ({"TERM": "dumb"}, "TERM names none"),
        ({"TERM": "linux"}, "pasted lines"),
        ({"TERM": "xterm", "PYTHONIOENCODING": "latin-1"}, "iso8859-1|latin-1"),
    ],
)
def test_the_terminal_is_what_it_says_it_is(
    home: Path, project: Path, given: dict[str, str], says: str
) -> None:
    reading, writing = pty.openpty()
    code = "import os; from apr.doctor.terminal import terminal; print(*terminal(os.environ))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env={**environment(home), **given},
        stdin=writing,
        stdout=subprocess.PIPE,
        stderr=writing,
        text=True,
        check=True,
    )
    os.close(writing)
    os.close(reading)
    assert re.search(says, ran.stdout), ran.stdout


def test_a_directory_that_is_gone_is_none(home: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    ran = subprocess.run(
        ["sh", "-c", 'rmdir "$PWD" && exec "$0" doctor', APR],
        cwd=gone,
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("apr: not a directory: .")
