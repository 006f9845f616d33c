"""`ccpa replay`, from outside."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ccpa.sandbox import unavailable

CANONICAL = Path(__file__).parents[3] / "fixtures" / "canonical"
GOOD = str(CANONICAL / "demo-write-editorconfig")
HOOKS = str(CANONICAL / "hook-warns-about-todo")

needs_sandbox = pytest.mark.skipif(
    unavailable() is not None, reason=f"no sandbox here: {unavailable()}"
)


def ccpa(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ccpa.cli.main", "replay", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


def small_agent(tmp_path: Path, program: str) -> str:
    (tmp_path / "agent.py").write_text(program)
    words = json.dumps([sys.executable, str(tmp_path / "agent.py"), "{trace}"])
    described = tmp_path / "small-agent.toml"
    described.write_text(f'name = "small-agent"\ncommand = {words}\n')
    return str(described)


def expecting(tmp_path: Path, drifts: str) -> str:
    path = tmp_path / "expected.toml"
    path.write_text(
        f'[[expected]]\nfixture = "{Path(HOOKS).name}"\nlacks = "x"\ndrifts = {drifts}\n'
    )
    return str(path)


def test_a_replay_that_goes_as_recorded_passes() -> None:
    done = ccpa(GOOD)
    head, counts, line = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert head == "PASS  mean parity score 1.0000 (needs 0.95, each 0.80)"
    assert counts.startswith("1 fixtures, 0 with expected drifts only, 0 failed; ")
    assert line == "pass\t1.0000\tdemo-write-editorconfig\t"


def test_the_result_is_one_json_object() -> None:
    done = ccpa(GOOD, "--json")
    value = json.loads(done.stdout)
    (fixture,) = value["fixtures"]
    assert (value["verdict"], value["mean"], value["agent"]) == ("pass", 1.0, "apr")
    assert value["sandbox"]["enforced"] == (unavailable() is None)
    assert (fixture["id"], fixture["score"], fixture["outcome"]) == (Path(GOOD).name, 1.0, "pass")
    assert fixture["drifts"] == fixture["calls"] == fixture["attempts"] == []


@needs_sandbox
def test_an_attempt_to_leave_fails_and_is_told_with_host_and_time(tmp_path: Path) -> None:
    program = """\
import socket
try:
    socket.create_connection(("192.0.2.1", 443), timeout=10)
except OSError:
    pass
"""
    done = ccpa(GOOD, "--agent", small_agent(tmp_path, program), "--require-sandbox")
    assert done.returncode == 1
    assert "demo-write-editorconfig: tried to reach 192.0.2.1" in done.stdout
    assert "tcp 192.0.2.1 port 443" in done.stdout


def test_what_an_agent_says_reaches_no_terminal_raw(tmp_path: Path) -> None:
    agent = small_agent(tmp_path, "raise SystemExit('\\x1b[2J')")
    done = ccpa(GOOD, "--agent", agent)
    assert done.returncode == 1
    assert "exit 1 without a trace; its last words: \\x1b[2J" in done.stdout
    assert "\x1b" not in done.stdout


def test_without_a_sandbox_it_says_that_nothing_is_enforced() -> None:
    done = ccpa(GOOD, "--no-sandbox")
    assert done.returncode == 0
    assert "is not enforced" in done.stderr
    assert "network: not enforced" in done.stdout
    assert json.loads(ccpa(GOOD, "--no-sandbox", "--json").stdout)["sandbox"] == {
        "enforced": False,
        "reason": "it was switched off",
    }


def test_a_sandbox_can_be_required() -> None:
    done = ccpa(GOOD, "--no-sandbox", "--require-sandbox")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--require-sandbox: there is no sandbox: it was switched off" in done.stderr


def forbidden(*words: str) -> subprocess.CompletedProcess[str]:
    """Run where no further namespaces are allowed: in one that has a limit of none."""
    command = [sys.executable, "-m", "ccpa.cli.main", "replay", *words]
    script = "echo 0 > /proc/sys/user/max_user_namespaces && exec " + shlex.join(command)
    return subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )


@needs_sandbox
@pytest.mark.skipif(shutil.which("unshare") is None, reason="there is no unshare")
def test_where_namespaces_are_forbidden_it_says_so_and_what_allows_them() -> None:
    done = forbidden(GOOD)
    assert done.returncode == 0, done.stderr
    assert "no sandbox (no namespaces: " in done.stderr
    assert "`sysctl user.max_user_namespaces=10000` allows user namespaces" in done.stderr
    assert "network: not enforced" in done.stdout
    done = forbidden(GOOD, "--require-sandbox")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--require-sandbox: there is no sandbox: no namespaces: " in done.stderr


def test_expected_drifts_pass_and_better_ones_do_not(tmp_path: Path) -> None:
    done = ccpa(HOOKS, "--expected", expecting(tmp_path, "{ missing_tool_call = 7 }"))
    assert done.returncode == 1
    assert done.stdout.splitlines()[2].split("\t")[0] in {"better", "other"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-directory"], "no-such-directory: cannot be read"),
        ([GOOD, "--agent", "emacs"], "no agent 'emacs'; known are apr, claude"),
        ([GOOD, "--expected", "no-such-file"], "no-such-file"),
        ([GOOD, "--jobs", "0"], "needs at least one"),
    ],
)
def test_wrong_usage_is_an_error(words: list[str], message: str) -> None:
    done = ccpa(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_agent_that_asks_no_model_has_a_trace_in_which_nothing_happens(tmp_path: Path) -> None:
    path = tmp_path / "mute.toml"
    path.write_text('name = "mute"\ncommand = ["true"]\n')
    done = ccpa(GOOD, "--agent", str(path), "--json")
    assert done.returncode == 1
    (fixture,) = json.loads(done.stdout)["fixtures"]
    assert {call["category"] for call in fixture["calls"]} == {"missing_llm_call"}


def test_a_fixture_that_is_named_twice_is_played_once() -> None:
    value = json.loads(ccpa(GOOD, f"{GOOD}/../demo-write-editorconfig", "--json").stdout)
    assert len(value["fixtures"]) == 1
