"""From files and settings to the servers of a session."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from apr.home import home
from apr.mcp.approval import judge
from apr.mcp.config import Source, load
from apr.settings import SOURCES, Settings
from apr.ui.terminal import line

if TYPE_CHECKING:
    from apr.mcp.client import Transport
    from apr.mcp.servers import Servers


def gather(
    root: Path,
    settings: Settings,
    *,
    changed: Callable[[], None],
    tell: Callable[[str], None],
    flags: Sequence[str] = (),
    strict: bool = False,
    plugins: Sequence[Source] = (),
    sources: Sequence[str] = SOURCES,
    transports: "Mapping[str, Callable[[], Transport]] | None" = None,
    approves: bool = False,
) -> "Servers | None":
    """Return the servers that a session may use, or may come to use; None where there are none.

    Args:
        root: the project, absolute.
        settings: say which servers may be used, and what their processes find in the environment.
        changed: called when they offer something else than before.
        tell: told what a person should know.
        flags: of `--mcp-config`.
        strict: whether those are all there are.
        plugins: what plugins bring.
        sources: whose files are read, of user, project and local.
        transports: by name, how to reach servers of kind `sdk`.
        approves: whether a person is asked about the project's servers: one that nobody has
            approved waits for that.

    Raises:
        McpConfigError: a file cannot be used.
    """
    environment = surroundings(root, settings)
    found = load(root, environment, flags=flags, strict=strict, plugins=plugins, sources=sources)
    for notice in found.notices:
        tell(notice)
    usable, unapproved = [], []
    for server in found.servers:
        verdict = judge(server, settings, found)
        if verdict.state == "denied":
            tell(line(f"MCP server {server.name} is not used: {verdict.reason}"))
        elif verdict.state == "unapproved" and approves:
            unapproved.append(server)
        elif verdict.runs_headless and (server.kind != "sdk" or server.name in (transports or {})):
            usable.append(server)
    if not usable and not unapproved:
        return None
    from apr.mcp.cache import Cache
    from apr.mcp.served import times
    from apr.mcp.servers import Servers

    return Servers(
        usable,
        root,
        environment,
        times=times(environment),
        cache=Cache(home() / "cache" / "mcp", root),
        changed=changed,
        tell=tell,
        transports=transports,
        unapproved=unapproved,
    )


def surroundings(root: Path, settings: Settings) -> dict[str, str]:
    """Return what servers find in their environment, and what variables stand for."""
    project = {"CLAUDE_PROJECT_DIR": str(root), "APR_PROJECT_DIR": str(root)}
    return {**os.environ, **settings.env, **project}
