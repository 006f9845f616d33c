"""The MCP servers of the session: /mcp."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import msgspec

from apr.errors import AprError
from apr.mcp.approval import Verdict, judge
from apr.mcp.config import Configured, Server
from apr.mcp.config import load as load_servers
from apr.mcp.failures import Gone
from apr.mcp.gather import surroundings
from apr.mcp.listing import Listing, full_name
from apr.settings.files import read
from apr.terminal.commands.configuring import file_of, put
from apr.terminal.commands.desk import Desk
from apr.terminal.commands.layout import table, wrapped
from apr.ui.terminal import line

if TYPE_CHECKING:
    from apr.mcp.served import Served

_ENABLED, _DISABLED = "enabledMcpjsonServers", "disabledMcpjsonServers"
_VERBS = ("approve", "reject", "reconnect", "on", "off")


async def mcp(desk: Desk, given: str) -> AsyncIterator[str]:
    """List the servers, say all of one, or change how it is with one."""
    verb, _, name = given.partition(" ")
    if not given:
        for shown in _listed(desk):
            yield shown
        return
    if verb not in _VERBS:
        for shown in _described(_served(desk, given), desk.width()):
            yield shown
        return
    if not name.strip():
        raise AprError(f"usage: /mcp {verb} NAME")
    doing = _judged if verb in {"approve", "reject"} else _changed
    async for shown in doing(desk, verb, name.strip()):
        yield wrapped(line(shown), desk.width())


async def _judged(desk: Desk, verb: str, name: str) -> AsyncIterator[str]:
    """Approve or reject a server that the project brings, or all that wait for it."""
    configured = _configured(desk)
    waiting = [s.name for s, v in configured if v.state == "unapproved"]
    chosen = waiting if name == "all" else [name]
    theirs = {server.name for server, _ in configured if server.scope == "project"}
    for one in chosen:
        if one not in theirs:
            raise AprError(f"the project brings no MCP server {one!r}; /mcp lists what there is")
        _keep(desk, one, approve=verb == "approve")
        async for shown in _taken(desk, one) if verb == "approve" else _left(desk, one):
            yield shown
    if not chosen:
        yield "No server waits to be approved."


async def _taken(desk: Desk, name: str) -> AsyncIterator[str]:
    """Start a server that is approved now, and say what it offers."""
    server, verdict = next((s, v) for s, v in _configured(desk) if s.name == name)
    if verdict.state != "approved":
        yield f"{name} does not start: {verdict.reason}"
        return
    servers = desk.assembled.servers
    if servers is None:
        yield f"{name} is approved, and starts with the next session."
        return
    served = next((one for one in servers.all if one.server.name == name), None)
    if served is None:
        served = servers.take(server)
        yield f"{name} is approved, and starts: {server.address}"
        await served.learn()
    else:
        served.enabled = True
    desk.assembled.give_tools()
    yield _state(served)


async def _left(desk: Desk, name: str) -> AsyncIterator[str]:
    servers = desk.assembled.servers
    if servers is not None:
        servers.unapproved = [one for one in servers.unapproved if one.name != name]
        for served in servers.all:
            if served.server.name == name:
                served.enabled = False
                await served.close()
        desk.assembled.give_tools()
    yield f"{name} is rejected: it is not started here. /mcp approve {name} takes that back."


async def _changed(desk: Desk, verb: str, name: str) -> AsyncIterator[str]:
    """Reconnect a server, or have it used or not in this session."""
    served = _served(desk, name)
    if verb == "reconnect":
        try:
            await served.reconnect()
        except Gone as error:
            yield f"{name} cannot be used: {error}"
            return
    else:
        served.enabled = verb == "on"
    desk.assembled.give_tools()
    yield _state(served)


def _keep(desk: Desk, name: str, *, approve: bool) -> None:
    """Write what the person has said of a server where `docs/mcp.md` says that it is kept."""
    path = file_of(desk.root, "local")
    layer = read(path, "local")
    data = layer.data if layer is not None else {}
    for key, wanted in ((_ENABLED, approve), (_DISABLED, not approve)):
        before = list(data.get(key) or ())
        after = [one for one in before if one != name] + ([name] if wanted else [])
        if after != before:
            put(desk, path, (key,), msgspec.json.encode(after).decode())


def _configured(desk: Desk) -> list[tuple[Server, Verdict]]:
    """Return the servers that the files name now, and what may be done with each."""
    settings, found = desk.plan.settings(), _found(desk)
    return [(server, judge(server, settings, found)) for server in found.servers]


def _found(desk: Desk) -> Configured:
    options = desk.plan.options
    return load_servers(
        desk.root,
        surroundings(desk.root, desk.plan.settings()),
        flags=options.mcp,
        strict=options.only_mcp,
        sources=options.sources,
    )


def _listed(desk: Desk) -> Iterator[str]:
    servers = desk.assembled.servers
    running = {one.server.name: one for one in servers.all} if servers is not None else {}
    rows: list[tuple[str, str, str]] = [
        (line(name), served.status, line(_about(served))) for name, served in running.items()
    ]
    words = {"unapproved": "not approved", "approved": "next session"}
    rows += [
        (
            line(server.name),
            words.get(verdict.state, verdict.state),
            line(f"{server.address} ({server.source}) {verdict.reason}".strip()),
        )
        for server, verdict in _configured(desk)
        if server.name not in running
    ]
    yield from table(rows, desk.width())
    for notice in _found(desk).notices:
        yield wrapped(line(notice), desk.width(), first="✗ ", rest="  ")
    if not rows:
        yield "There are no MCP servers. apr mcp add adds one."
    elif any(state == "not approved" for _, state, _ in rows):
        yield wrapped("/mcp approve NAME starts one, /mcp reject NAME leaves it out.", desk.width())


def _about(served: "Served") -> str:
    tools = len(served.listing.tools) if served.listing is not None else 0
    said = served.failure or f"{tools} tools"
    return f"{said}; {served.server.address} ({served.server.source})"


def _state(served: "Served") -> str:
    listing, name = served.listing, served.server.name
    if served.failure is not None:
        return f"{name} cannot be used: {served.failure}"
    if not served.enabled:
        return f"{name} is off for this session."
    count = len(listing.tools) if listing is not None else 0
    return f"{name}: {served.status}, {count} tools. /mcp {name} lists them."


def _described(served: "Served", width: int) -> Iterator[str]:
    name, listing = served.server.name, served.listing or Listing()
    rows = [
        ("state", served.status),
        ("address", served.server.address),
        ("configured by", f"{served.server.source} ({served.server.scope})"),
        *([("failure", served.failure)] if served.failure is not None else []),
        *((full_name(name, t.name), t.description.partition("\n")[0]) for t in listing.tools),
        *((f"/{full_name(name, p.name)}", p.description) for p in listing.prompts),
        *(("not used", problem) for problem in listing.problems),
    ]
    yield from table([(line(key), line(value)) for key, value in rows], width)


def _served(desk: Desk, name: str) -> "Served":
    servers = desk.assembled.servers
    every = servers.all if servers is not None else []
    found = next((served for served in every if served.server.name == name), None)
    if found is None:
        raise AprError(f"there is no MCP server {name!r} in this session; /mcp lists what there is")
    return found
