"""Which servers may be started."""

from typing import Any

import pytest

from apr.mcp.approval import State, judge
from apr.mcp.config import Configured, Scope, Server
from apr.settings import Layer, Settings, Source, settle

NPX = Server(name="s", scope="project", source="x", kind="stdio", command="npx", args=("-y", "p"))
WEB = Server(name="w", scope="project", source="x", kind="http", url="https://a.example.com/mcp")
BY_NAME = {"serverName": "s"}
BY_COMMAND = {"serverCommand": ["npx", "-y", "p"]}
BY_URL = {"serverUrl": "https://*.example.com/*"}


def settings(rung: Any = "user", **keys: Any) -> Settings:
    return settle([Layer(Source(rung, "file"), keys)])


@pytest.mark.parametrize(
    ("server", "keys", "state"),
    [
        (NPX, {}, "unapproved"),
        (NPX, {"enableAllProjectMcpServers": True}, "approved"),
        (NPX, {"enabledMcpjsonServers": ["s"]}, "approved"),
        (NPX, {"enabledMcpjsonServers": ["other"]}, "unapproved"),
        (NPX, {"enableAllProjectMcpServers": True, "disabledMcpjsonServers": ["s"]}, "disabled"),
        (NPX, {"enabledMcpjsonServers": ["s"], "deniedMcpServers": [BY_NAME]}, "denied"),
        (NPX, {"deniedMcpServers": [BY_COMMAND]}, "denied"),
        (NPX, {"deniedMcpServers": [{"serverCommand": ["npx"]}]}, "unapproved"),
        (NPX, {"deniedMcpServers": [{}]}, "unapproved"),
        (WEB, {"deniedMcpServers": [BY_URL]}, "denied"),
        (WEB, {"deniedMcpServers": [BY_NAME]}, "unapproved"),
        (NPX, {"allowedMcpServers": []}, "denied"),
        (NPX, {"allowedMcpServers": [BY_NAME]}, "unapproved"),
        (NPX, {"allowedMcpServers": [BY_COMMAND]}, "unapproved"),
        (NPX, {"allowedMcpServers": [BY_NAME, {"serverCommand": ["x"]}]}, "denied"),
        (NPX, {"allowedMcpServers": [BY_NAME, BY_URL]}, "unapproved"),
        (WEB, {"allowedMcpServers": [BY_URL]}, "unapproved"),
        (WEB, {"allowedMcpServers": [{"serverUrl": "https://b.example.com/*"}]}, "denied"),
        (NPX, {"allowedMcpServers": [BY_COMMAND], "deniedMcpServers": [BY_NAME]}, "denied"),
    ],
)
def test_settings_decide(server: Server, keys: dict[str, Any], state: State) -> None:
    assert judge(server, settings(**keys), Configured()).state == state


@pytest.mark.parametrize("scope", ["user", "local", "flag", "plugin", "managed"])
def test_what_no_project_brings_needs_no_approval(scope: Scope) -> None:
    server = Server(name="s", scope=scope, source="x", kind="stdio", command="npx")
    said = Configured(rejected=frozenset({"s"}))
    assert judge(server, settings(disabledMcpjsonServers=["s"]), said).state == "approved"


def test_a_project_cannot_approve_its_own_servers() -> None:
    verdict = judge(NPX, settings("project", enableAllProjectMcpServers=True), Configured())
    assert verdict.state == "unapproved"
    assert verdict.runs_headless


def test_the_users_word_in_claude_codes_file_counts() -> None:
    assert judge(NPX, Settings(), Configured(approved=frozenset({"s"}))).state == "approved"
    assert judge(NPX, Settings(), Configured(rejected=frozenset({"s"}))).state == "disabled"
    assert judge(NPX, Settings(), Configured(switched_off=frozenset({"s"}))).state == "disabled"


def test_where_only_the_policys_list_counts_the_users_does_not() -> None:
    layers = [
        Layer(Source("user", "u"), {"allowedMcpServers": []}),
        Layer(Source("managed", "m"), {"allowManagedMcpServersOnly": True}),
    ]
    assert judge(NPX, settle(layers), Configured()).state == "unapproved"
    layers[1] = Layer(
        Source("managed", "m"),
        {"allowManagedMcpServersOnly": True, "allowedMcpServers": [{"serverName": "other"}]},
    )
    assert judge(NPX, settle(layers), Configured()).state == "denied"
