"""May a configured server be started? What the organisation and the user have said about it."""

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

from apr.mcp.config import Configured, Server
from apr.settings import Settings

State = Literal["approved", "unapproved", "disabled", "denied"]
"""`unapproved`: a project brings it, and nobody has said anything. Where a person can be asked they
are; a headless run starts it, as Claude Code's `-p` does."""


class Verdict(Struct, frozen=True):
    """What may be done with a server, and why."""

    state: State
    reason: str = ""

    @property
    def runs_headless(self) -> bool:
        """Whether a run starts it in which nobody can be asked."""
        return self.state in {"approved", "unapproved"}


def judge(server: Server, settings: Settings, said: Configured) -> Verdict:
    """Judge a server by the settings and by what the user has said of it in Claude Code's file."""
    if reason := _forbidden(server, settings):
        return Verdict("denied", reason)
    if server.name in said.switched_off:
        return Verdict("disabled", "it is turned off for this project")
    if server.scope != "project":
        return Verdict("approved")
    if server.name in settings.disabled_mcpjson_servers or server.name in said.rejected:
        return Verdict("disabled", "disabledMcpjsonServers names it")
    if settings.enable_all_project_mcp_servers:
        return Verdict("approved", "enableAllProjectMcpServers is set")
    if server.name in settings.enabled_mcpjson_servers or server.name in said.approved:
        return Verdict("approved", "enabledMcpjsonServers names it")
    return Verdict("unapproved", "the project brings it, nobody has approved it")


def _forbidden(server: Server, settings: Settings) -> str | None:
    """Say why a server must not run; None where it may. What is denied beats what is allowed."""
    if any(_matches(rule, server) for rule in settings.denied_mcp_servers):
        return "deniedMcpServers forbids it"
    allowed = settings.allowed_mcp_servers
    if settings.allow_managed_mcp_servers_only and not settings.managed("allowedMcpServers"):
        allowed = None
    if allowed is not None and not _among(allowed, server):
        return "allowedMcpServers does not name it"
    return None


def _among(rules: Iterable[Mapping[str, Any]], server: Server) -> bool:
    """Whether a list of what is allowed covers a server.

    A list with commands in it decides about programs by their commands alone, one with addresses
    about remote servers by their addresses: a name is anybody's to choose.
    """
    rules = list(rules)
    key = "serverCommand" if server.kind == "stdio" else "serverUrl"
    by = [rule for rule in rules if key in rule]
    return any(_matches(rule, server) for rule in by or rules)


def _matches(rule: Mapping[str, Any], server: Server) -> bool:
    if "serverCommand" in rule:
        given = rule["serverCommand"]
        return server.kind == "stdio" and given == [server.command, *server.args]
    if "serverUrl" in rule:
        pattern = str(rule["serverUrl"])
        return bool(server.url) and fnmatch.fnmatchcase(server.url, pattern)
    return "serverName" in rule and rule["serverName"] == server.name
