"""`apr mcp`, as a user runs it; and `apr mcp serve`, as the protocol's own client does."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from apr.cli.mcp import configure, run
from apr.mcp.config import Server
from tests.apr.mcp.conftest import ODD, House
from tests.apr.program import APR, apr, environment

PYTHON = [sys.executable, "-S", str(ODD)]


@pytest.fixture
def here(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in environment(home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("APR_HOME", raising=False)
    monkeypatch.chdir(project)
    return project


def mcp(*words: str) -> int:
    """Run `apr mcp` in this process."""
    import argparse

    parser = argparse.ArgumentParser()
    configure(parser)
    return run(parser.parse_args(words))


def written(path: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(path.read_text())["mcpServers"]
    return found


def test_a_server_is_added_listed_tried_and_removed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mcp("add", "odd", "--scope", "project", "-e", "A=${B:-c}", "--", *PYTHON, "none") == 0
    assert written(here / ".mcp.json") == {
        "odd": {
            "type": "stdio",
            "command": sys.executable,
            "args": ["-S", str(ODD), "none"],
            "env": {"A": "${B:-c}"},
        }
    }
    assert mcp("list") == 0
    shown = capsys.readouterr().out
    assert "odd  [project, stdio]" in shown
    assert "not approved; headless runs start it; never asked" in shown
    assert mcp("test", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["servers"]
    assert row["tools"] == ["mcp__odd__echo", "mcp__odd__count"]
    assert row["error"] is None
    assert mcp("list", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["servers"]
    assert (row["state"], row["runs_headless"], row["tools"]) == ("unapproved", True, 2)
    assert mcp("remove", "odd") == 0
    assert mcp("remove", "odd") == 1


def test_each_scope_has_its_place(here: Path, home: Path) -> None:
    assert mcp("add", "mine", "x") == 0
    assert mcp("add", "everywhere", "-s", "user", "https://example.com", "-H", "A: b:c") == 0
    own = home / ".apr/mcp.json"
    data = json.loads(own.read_text())
    assert data["projects"][str(here)]["mcpServers"]["mine"]["command"] == "x"
    entry = data["mcpServers"]["everywhere"]
    assert entry == {"type": "http", "url": "https://example.com", "headers": {"A": "b:c"}}
    assert stat.S_IMODE(own.stat().st_mode) == 0o600


def test_secrets_are_not_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mcp("add", "web", "https://example.com", "-H", "Authorization: sesame")
    mcp("add", "program", "-e", "TOKEN=sesame", "x")
    for words in (["list"], ["get", "web"], ["get", "program"]):
        assert mcp(*words) == 0
    shown = capsys.readouterr()
    assert "headers: Authorization" in shown.out
    assert "environment: TOKEN" in shown.out
    assert "sesame" not in shown.out + shown.err


def test_a_forbidden_server_is_not_started(
    here: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mcp("add", "odd", *PYTHON[:1])
    (home / ".claude").mkdir()
    denied = {"deniedMcpServers": [{"serverName": "odd"}]}
    (home / ".claude/settings.json").write_text(json.dumps(denied))
    assert mcp("test", "odd") == 1
    assert "odd may not be used here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["add", "a b", "x"], "letters, digits, hyphens"),
        (["add", "a", "-e", "novalue", "x"], "is not NAME=VALUE"),
        (["add", "a", "https://example.com", "word"], "takes no arguments"),
        (["add-json", "a", "{"], "not valid JSON"),
        (["add-json", "a", "{}"], "a: it has no command"),
        (["add-json", "a", "[]"], "a: Expected `object`"),
        (["test", "nobody"], "there is no MCP server nobody"),
    ],
)
def test_what_is_wrong_is_said(home: Path, project: Path, words: list[str], reason: str) -> None:
    done = apr("mcp", *words, home=home, cwd=project)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


async def test_own_tools_are_served_behind_the_gate(home: Path, house: House) -> None:
    settings = house.folder / ".claude/settings.json"
    settings.parent.mkdir()
    settings.write_text('{"permissions": {"deny": ["Read(./secret)"]}}')
    (house.folder / "secret").write_text("sesame")
    server = Server(
        name="apr",
        scope="user",
        source="test",
        kind="stdio",
        command=APR,
        args=("mcp", "serve", "--allowedTools", "Bash(cd:*),Bash(pwd)"),
        env=environment(home),
    )
    servers = house(server)
    await servers.ready()
    assert house.told == []
    assert [tool.name for tool in servers.tools()][:3] == [
        "mcp__apr__Read",
        "mcp__apr__Write",
        "mcp__apr__Edit",
    ]

    async def use(name: str, **given: object) -> tuple[bool, str]:
        answer = await servers.all[0].call(name, dict(given), lambda _text: None)
        return answer.ok, answer.text

    assert await use("Read", file_path="README.md") == (True, "1\t# Calc\n2\t\n3\tIt adds.")
    ok, said = await use("Read", file_path="secret")
    assert (ok, "sesame" in said, "Permission denied" in said) == (False, False, True)
    ok, said = await use("Bash", command="rm -rf src")
    assert (ok, "Nobody can be asked" in said) == (False, True)
    ok, said = await use("Write", file_path="src/calc.py", content="")
    assert not ok
    assert (house.folder / "src/calc.py").read_text()
    await use("Bash", command="cd src")
    assert await use("Bash", command="pwd") == (True, str(house.folder / "src"))
    ok, said = await use("Nothing")
    assert (ok, "no tool named" in said) == (False, True)


def test_serving_ends_with_standard_input(home: Path, project: Path) -> None:
    done = subprocess.run(
        [APR, "mcp", "serve"],
        cwd=project,
        env=environment(home),
        input="nonsense\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
