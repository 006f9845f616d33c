"""`apr config`, as a user runs it."""

import json
import os
import sys
from pathlib import Path

import pytest

from ccpa.sandbox import Sandbox, Streams, unavailable
from tests.apr.program import APR, apr, environment


def test_every_value_is_shown_with_the_file_that_set_it(home: Path, project: Path) -> None:
    assert apr("config", "set", "model", "mine", home=home, cwd=project).returncode == 0
    done = apr("config", "set", "--project", "model", "theirs", home=home, cwd=project)
    assert done.returncode == 0
    done = apr("config", home=home, cwd=project)
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["KEY", "VALUE", "SET", "BY"],
        ["model", '"mine"', str(home / ".apr/settings.json"), "shadowed"],
        ["model", '"theirs"', str(project / ".apr/settings.json")],
    ]
    shown = json.loads(apr("config", "--json", home=home, cwd=project).stdout)["entries"]
    assert [(entry["value"], entry["state"]) for entry in shown] == [
        ("mine", "shadowed"),
        ("theirs", "set"),
    ]
    assert apr("config", "get", "model", home=home, cwd=project).stdout == "theirs\n"
    done = apr("config", "set", "model", "other", home=home, cwd=project)
    assert "model has no effect: a stronger file sets it too" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["get", "model"], 1, "model is not set"),
        (["get", "zork"], 2, "there is no such key"),
        (["get", "a..b"], 2, "is no key"),
        (["get", r'a."\x"'], 2, "is no key"),
        (["set", "sandbox.enabled", "perhaps"], 2, "sandbox.enabled: expected `bool`"),
        (["--settings", "nowhere.json"], 2, "there is no file"),
        (["--settings", '{"model": 1}'], 2, "--settings:1: model: expected"),
        (["--setting-sources", "policy"], 2, "policy is none of user, project, local"),
    ],
)
def test_mistakes_are_told(
    home: Path, project: Path, words: list[str], code: int, said: str
) -> None:
    done = apr("config", *words, home=home, cwd=project)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_project_cannot_draw_on_the_terminal(home: Path, project: Path) -> None:
    (project / ".claude").mkdir()
    (project / ".claude/settings.json").write_text(json.dumps({"x\x1b[2J": "\x1b]0;hi\x07\x9b"}))
    done = apr("config", home=home, cwd=project)
    assert not set(done.stdout) & {"\x1b", "\x07", "\x9b"}


def test_the_policy_is_read_from_etc_and_wins(home: Path, project: Path, tmp_path: Path) -> None:
    if reason := unavailable():
        pytest.skip(reason)
    (project / ".claude").mkdir()
    (project / ".claude/settings.local.json").write_text('{"model": "mine"}')
    streams = Streams(tmp_path / "out", tmp_path / "err")
    policies = {
        "claude-code/managed-settings.json": '{"model": "claude-code"}',
        "apr/managed-settings.json": '{"model": "policy"}',
    }
    where = environment(home) | {"PATH": os.environ["PATH"]}
    argv = [
        APR,
        "config",
        "--settings",
        '{"model": "flag"}',
        "--setting-sources",
        "",
        "get",
        "model",
    ]
    with Sandbox(tmp_path / "box", str(project), streams, etc=policies) as place:
        code = place.run([sys.executable, *argv], where, timeout_s=30)
        place.attempts()
    assert (code, streams.stdout.read_text()) == (0, "policy\n"), streams.stderr.read_text()
