"""Which servers are configured, and by whom."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.mcp.config import Configured, McpConfigError, Source, expand, load


def write(path: Path, servers: dict[str, Any], **more: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"mcpServers": servers, **more}))


def named(command: str) -> dict[str, Any]:
    return {"command": command}


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "TOKEN": "sesame", "EMPTY": ""}


def found(root: Path, env: dict[str, str], **more: Any) -> Configured:
    return load(root, env, managed=(), **more)


def commands(configured: Configured) -> dict[str, str]:
    return {server.name: server.command for server in configured.servers}


def test_servers_of_every_scope_are_found_and_the_nearest_wins(
    home: Path, project: Path, env: dict[str, str]
) -> None:
    local = {str(project): {"mcpServers": {"a": named("local")}}}
    write(home / ".claude.json", {"a": named("user"), "b": named("user")}, projects=local)
    write(home / ".apr/mcp.json", {"c": named("own"), "b": named("own")})
    write(project / ".mcp.json", {"a": named("project"), "d": named("project")})
    plugin = Source("plugin", "p", {"d": named("plugin"), "e": named("plugin")})
    given = json.dumps({"mcpServers": {"e": named("flag")}})
    servers = found(project, env, plugins=[plugin], flags=[given])
    assert commands(servers) == {
        "a": "local",
        "b": "own",
        "c": "own",
        "d": "project",
        "e": "flag",
    }


def test_strict_leaves_the_command_line_alone(project: Path, env: dict[str, str]) -> None:
    write(project / ".mcp.json", {"a": named("project")})
    write(project / "more.json", {"b": named("flag")})
    flags = [str(project / "more.json")]
    assert commands(found(project, env, flags=flags, strict=True)) == {"b": "flag"}


def test_the_organisations_file_stands_alone(
    project: Path, env: dict[str, str], tmp_path: Path
) -> None:
    write(project / ".mcp.json", {"a": named("project")})
    write(tmp_path / "etc/managed-mcp.json", {"m": named("managed")})
    flags = ['{"mcpServers": {"b": {"command": "flag"}}}']
    servers = load(project, env, flags=flags, managed=[tmp_path / "etc"])
    assert commands(servers) == {"m": "managed"}


def test_only_the_sources_that_are_asked_for_are_read(
    home: Path, project: Path, env: dict[str, str]
) -> None:
    write(home / ".apr/mcp.json", {"u": named("user")})
    write(project / ".mcp.json", {"p": named("project")})
    assert commands(found(project, env, sources=("user",))) == {"u": "user"}


def test_variables_have_their_values_everywhere(project: Path, env: dict[str, str]) -> None:
    entry = {
        "command": "${SHELL_:-sh}",
        "args": ["${TOKEN}", "${EMPTY:-full}", "$TOKEN"],
        "env": {"A": "<${TOKEN}>"},
    }
    remote = {"url": "https://${TOKEN}/x", "headers": {"Authorization": "Bearer ${TOKEN}"}}
    write(project / ".mcp.json", {"a": entry, "b": remote})
    program, web = found(project, env).servers
    assert (program.command, program.args) == ("sh", ("sesame", "full", "$TOKEN"))
    assert program.env == {"A": "<sesame>"}
    assert (web.kind, web.url) == ("http", "https://sesame/x")
    assert web.headers == {"Authorization": "Bearer sesame"}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"command": "${NOT_SET}"}, "the variable NOT_SET is not set"),
        ({"args": ["x"]}, "it has no command"),
        ({"type": "http"}, "it has no url"),
        ({"type": "sse", "url": "file:///etc/passwd"}, "does not begin with http"),
        ({"type": "carrier-pigeon", "url": "https://x"}, "'carrier-pigeon' is not known"),
        ({"command": "x", "args": "y"}, "Expected `array`"),
        ({"command": "x", "timeout": 0}, "above zero"),
        ("x", "Expected `object`"),
    ],
)
def test_a_server_that_cannot_be_used_is_told_and_the_others_stay(
    project: Path, env: dict[str, str], entry: Any, reason: str
) -> None:
    write(project / ".mcp.json", {"bad": entry, "good": named("x")})
    configured = found(project, env)
    assert commands(configured) == {"good": "x"}
    (notice,) = configured.notices
    assert notice.startswith(f"MCP server bad ({project / '.mcp.json'}) is not used: ")
    assert reason in notice


def test_a_hostile_name_reaches_no_terminal_raw(project: Path, env: dict[str, str]) -> None:
    write(project / ".mcp.json", {"a\x1b[2J\napr: all is well": {}})
    (notice,) = found(project, env).notices
    assert "\x1b" not in notice
    assert "\n" not in notice


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ('{"mcpServers": {\n "a": }}', ".mcp.json:2:7: not valid JSON"),
        ('{"mcpServers": []}', ".mcp.json: Expected `object`"),
        ("[]", ".mcp.json: Expected `object`"),
        ('{"mcpServers": {"a": ' + "[" * 100_000, "not valid JSON"),
        ('{"mcpServers": {"\udcff": {}}}', "not valid JSON"),
    ],
)
def test_a_file_that_is_no_use_is_an_error_that_says_where(
    project: Path, env: dict[str, str], content: str, where: str
) -> None:
    (project / ".mcp.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(McpConfigError) as error:
        found(project, env)
    assert where in str(error.value)


def test_a_pipe_in_a_files_place_does_not_stop_us(project: Path, env: dict[str, str]) -> None:
    os.mkfifo(project / ".mcp.json")
    with pytest.raises(McpConfigError, match="it is not a file"):
        found(project, env)


def test_what_the_user_told_claude_code_of_a_project_is_known(
    home: Path, project: Path, env: dict[str, str]
) -> None:
    said = {
        "disabledMcpServers": ["x"],
        "enabledMcpjsonServers": ["y"],
        "disabledMcpjsonServers": ["z"],
        "hasTrustDialogAccepted": True,
    }
    write(home / ".claude.json", {}, projects={str(project): said, "/other": {"mcpServers": 3}})
    configured = found(project, env)
    assert configured.switched_off == {"x"}
    assert configured.approved == {"y"}
    assert configured.rejected == {"z"}


def test_a_missing_file_on_the_command_line_is_an_error(project: Path, env: dict[str, str]) -> None:
    with pytest.raises(McpConfigError, match="there is no file /nowhere"):
        found(project, env, flags=["/nowhere"])


@given(st.text(min_size=1))
def test_a_value_is_not_looked_into(value: str) -> None:
    assert expand("<${X}${Y:-z}>", {"X": value}) == f"<{value}z>"


@given(st.text().filter(lambda text: "$" not in text))
def test_text_without_variables_stays(text: str) -> None:
    assert expand(text, {}) == text
