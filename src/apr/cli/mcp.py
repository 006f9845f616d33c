"""`apr mcp`: the MCP servers that are configured; and apr's own tools as one."""

import argparse
import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apr.agent.permissions import MODES
from apr.assembly import Options, assemble, directory
from apr.cli.options import setting_sources
from apr.errors import AprError
from apr.home import home
from apr.mcp import stored
from apr.mcp.approval import Verdict, judge
from apr.mcp.cache import Cache
from apr.mcp.config import Configured, Server, load, own_file
from apr.mcp.gather import surroundings
from apr.settings import SOURCES, Settings
from apr.settings import load as load_settings
from apr.ui.terminal import line

if TYPE_CHECKING:
    from apr.mcp.served import Served

EPILOG = """\
examples:
  apr mcp list
  apr mcp add time -- uvx mcp-server-time
  apr mcp add --scope project --env "TOKEN=\\${TOKEN}" tracker -- python3 tools/tracker.py
  apr mcp add --transport http --header "Authorization: Bearer \\${TOKEN}" docs https://example.com/mcp
  apr mcp test time
  apr mcp serve --permission-mode acceptEdits

Scopes: local (you, in this project: the default), user (you, everywhere), project (all who work
here: .mcp.json). A headless run starts the servers of .mcp.json too, unless settings name them in
disabledMcpjsonServers or deniedMcpServers; --setting-sources user leaves them out.
exit codes: 0 done, 1 a server failed or is not there, 2 wrong usage or a file that is no use."""

SCOPES = ("local", "user", "project")
_UNAPPROVED = "not approved; headless runs start it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "List, add, remove and try MCP servers, or be one."
    parser.epilog = EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, text: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.add_argument("-C", metavar="DIR", dest="root", default=".", help="the project")
        return sub

    for name, text in (
        ("list", "list the servers that are configured, and say which of them are used"),
        ("test", "start servers and say what they offer, or what is wrong with them"),
    ):
        sub = action(name, text)
        if name == "test":
            sub.add_argument("names", nargs="*", metavar="NAME", help="default: all that are used")
        sub.add_argument("--mcp-config", metavar="FILE", action="append", default=[])
        sub.add_argument("--setting-sources", type=setting_sources, default=SOURCES)
        sub.add_argument("--json", action="store_true", help="print JSON")
    get = action("get", "show one server, without its secrets")
    get.add_argument("name", metavar="NAME")
    add = action("add", "add a server")
    add.add_argument("name", metavar="NAME")
    add.add_argument("target", metavar="COMMAND_OR_URL")
    add.add_argument("words", nargs="*", metavar="ARG", help="write -- before the command")
    add.add_argument("-t", "--transport", choices=("stdio", "http", "sse"))
    add.add_argument("-e", "--env", metavar="NAME=VALUE", action="append", default=[])
    add.add_argument("-H", "--header", metavar="NAME: VALUE", action="append", default=[])
    add_json = action("add-json", "add a server as it is written in .mcp.json")
    add_json.add_argument("name", metavar="NAME")
    add_json.add_argument("json", metavar="JSON")
    remove = action("remove", "remove a server")
    remove.add_argument("name", metavar="NAME")
    for sub, default in ((add, "local"), (add_json, "local"), (remove, None)):
        sub.add_argument("-s", "--scope", choices=SCOPES, default=default)
    serve = action("serve", "offer apr's own tools to others, over standard input and output")
    serve.add_argument("--permission-mode", choices=MODES)
    serve.add_argument("--allowedTools", dest="allow", metavar="RULES", action="append", default=[])
    serve.add_argument(
        "--disallowedTools", dest="deny", metavar="RULES", action="append", default=[]
    )


def run(args: argparse.Namespace) -> int:
    """Do it; return the exit code."""
    root = directory(Path(), args.root)
    actions = {
        "list": _list,
        "get": _get,
        "test": _test,
        "add": _add,
        "add-json": _add_json,
        "remove": _remove,
        "serve": _serve,
    }
    return actions[args.action](args, root)


def _known(
    args: argparse.Namespace, root: Path
) -> tuple[Settings, Configured, list[tuple[Server, Verdict]]]:
    sources = getattr(args, "setting_sources", SOURCES)
    settings = load_settings(root, os.environ, sources=sources)
    env = surroundings(root, settings)
    found = load(root, env, flags=getattr(args, "mcp_config", ()), sources=sources)
    for notice in (*settings.notices, *found.notices):
        _say(notice)
    return settings, found, [(server, judge(server, settings, found)) for server in found.servers]


def _list(args: argparse.Namespace, root: Path) -> int:
    _, _, servers = _known(args, root)
    cache = Cache(home() / "cache" / "mcp", root)
    rows = [_row(server, verdict, cache) for server, verdict in servers]
    if args.json:
        print(json.dumps({"servers": rows}))
    elif not rows:
        _say("no MCP servers; `apr mcp add` adds one")
    for row in () if args.json else rows:
        tools = f"{row['tools']} tools" if row["tools"] is not None else "never asked"
        state = _UNAPPROVED if row["state"] == "unapproved" else row["state"]
        print(line(f"{row['name']}  [{row['scope']}, {row['type']}]  {row['address']}"))
        print(line(f"    {state}{_because(row)}; {tools}"))
    return 0


def _because(row: dict[str, Any]) -> str:
    return f" ({row['reason']})" if row["state"] in {"disabled", "denied"} else ""


def _row(server: Server, verdict: Verdict, cache: Cache) -> dict[str, Any]:
    kept = cache.get(server)
    return {
        "name": server.name,
        "type": server.kind,
        "scope": server.scope,
        "source": server.source,
        "address": server.address,
        "state": verdict.state,
        "reason": verdict.reason,
        "runs_headless": verdict.runs_headless,
        "tools": len(kept.listing.tools) if kept else None,
    }


def _get(args: argparse.Namespace, root: Path) -> int:
    _, _, servers = _known(args, root)
    for server, verdict in servers:
        if server.name == args.name:
            shown = {
                "scope": f"{server.scope} ({server.source})",
                "state": f"{verdict.state} {verdict.reason}".strip(),
                "type": server.kind,
                "url" if server.url else "command": server.address,
                "environment": ", ".join(server.env),
                "headers": ", ".join(server.headers),
            }
            print(line(server.name))
            for key, value in shown.items():
                if value:
                    print(line(f"  {key}: {value}"))
            return 0
    _say(f"there is no MCP server {args.name}; `apr mcp list` lists them")
    return 1


def _test(args: argparse.Namespace, root: Path) -> int:
    settings, _, servers = _known(args, root)
    wanted = [s for s, verdict in servers if s.name in args.names or not args.names]
    missing = set(args.names) - {server.name for server in wanted}
    if missing:
        raise AprError(f"there is no MCP server {', '.join(sorted(missing))}")
    barred = {s.name for s, verdict in servers if not verdict.runs_headless}
    for name in sorted(barred & set(args.names)):
        _say(f"{name} may not be used here; `apr mcp get {name}` says why")
    usable = [server for server in wanted if server.name not in barred and server.kind != "sdk"]
    tested = asyncio.run(_ask(usable, root, surroundings(root, settings)))
    rows = [_tested(served) for served in tested]
    if args.json:
        print(json.dumps({"servers": rows}))
    for row in () if args.json else rows:
        good = f"{len(row['tools'])} tools, {len(row['prompts'])} prompts"
        good += ", resources" if row["resources"] else ""
        print(line(f"{row['name']}: {row['error'] or good}"))
        for problem in row["problems"]:
            print(line(f"    ! {problem}"))
        for name in (*row["tools"], *(f"/{name}" for name in row["prompts"])):
            print(line(f"    {name}"))
    return int(any(row["error"] for row in rows) or bool(barred & set(args.names)))


async def _ask(servers: list[Server], root: Path, env: dict[str, str]) -> "list[Served]":
    from apr.mcp.served import Served, times

    cache = Cache(home() / "cache" / "mcp", root)
    for server in servers:
        cache.forget(server)
    all_ = [
        Served(
            server,
            root,
            env,
            times=times(env),
            cache=cache,
            changed=lambda: None,
            tell=lambda _text: None,
        )
        for server in servers
    ]
    try:
        await asyncio.gather(*(served.learn() for served in all_))
    finally:
        await asyncio.gather(*(served.close() for served in all_))
    return all_


def _tested(served: "Served") -> dict[str, Any]:
    from apr.mcp.listing import Listing, full_name

    listing, name = served.listing or Listing(), served.server.name
    return {
        "name": name,
        "error": served.failure,
        "tools": [full_name(name, tool.name) for tool in listing.tools],
        "prompts": [full_name(name, prompt.name) for prompt in listing.prompts],
        "resources": listing.resources,
        "problems": list(listing.problems),
    }


def _place(scope: str, root: Path) -> tuple[Path, Path | None]:
    """Return the file of a scope, and the project that its servers there are for."""
    if scope == "project":
        return root / ".mcp.json", None
    return own_file(os.environ), root if scope == "local" else None


def _add(args: argparse.Namespace, root: Path) -> int:
    remote = re.match(r"https?://", args.target) is not None
    kind = args.transport or ("http" if remote else "stdio")
    if kind == "stdio":
        entry: dict[str, Any] = {"type": kind, "command": args.target, "args": args.words}
        entry |= {"env": dict(_pair(text, "=") for text in args.env)} if args.env else {}
    elif args.words:
        raise AprError(f"a server at a URL takes no arguments: {' '.join(args.words)}")
    else:
        entry = {"type": kind, "url": args.target}
        headers = dict(_pair(text, ":") for text in args.header)
        entry |= {"headers": headers} if headers else {}
    return _put(args, root, entry)


def _pair(text: str, sign: str) -> tuple[str, str]:
    name, found, value = text.partition(sign)
    if not found or not name.strip():
        raise AprError(f"{text!r} is not NAME{sign}VALUE")
    return name.strip(), value.strip()


def _add_json(args: argparse.Namespace, root: Path) -> int:
    try:
        entry = json.loads(args.json)
    except ValueError as error:
        raise AprError(f"not valid JSON: {error}") from None
    return _put(args, root, entry)


def _put(args: argparse.Namespace, root: Path, entry: Any) -> int:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", args.name):
        raise AprError("a server's name has up to 64 letters, digits, hyphens and underscores")
    path, project = _place(args.scope, root)
    stored.add(path, args.name, entry, root=project)
    _say(f"added {args.name} to {path}; `apr mcp test {args.name}` tries it")
    return 0


def _remove(args: argparse.Namespace, root: Path) -> int:
    for scope in (args.scope,) if args.scope else SCOPES:
        path, project = _place(scope, root)
        if stored.remove(path, args.name, root=project):
            _say(f"removed {args.name} from {path}")
            return 0
    _say(f"there is no MCP server {args.name} in apr's files; `apr mcp get {args.name}` says where")
    return 1


def _serve(args: argparse.Namespace, root: Path) -> int:
    options = Options(
        root=root,
        settings=load_settings(root, os.environ),
        mode=args.permission_mode,
        allow=tuple(args.allow),
        deny=tuple(args.deny),
        persist=False,
        core_tools=True,
    )
    asyncio.run(_served(options))
    return 0


async def _served(options: Options) -> None:
    from apr.mcp.serve import NoModel, ToolServer

    assembled = assemble(options, NoModel(), "none")
    for notice in assembled.notices:
        _say(notice)
    agent = assembled.agent
    try:
        await ToolServer([*agent.tools.values()], agent.gate, agent.context).serve()
    finally:
        await assembled.close()


def _say(text: str) -> None:
    print(f"apr: {line(text)}", file=sys.stderr)
