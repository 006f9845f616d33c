"""`apr plugin`: skills, commands, agents, hooks and MCP servers that come as one folder."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from apr.errors import AprError
from apr.plugins import known, manifest
from apr.plugins.enabled import find
from apr.plugins.fetching import add_marketplace, fetch_plugin, source_of
from apr.plugins.manifest import PluginError
from apr.settings import Settings, load, user_folders
from apr.settings.write import change
from apr.ui.terminal import line

EPILOG = """\
examples:
  apr plugin marketplace add ./plugins
  apr plugin marketplace add https://git.example.org/house/plugins.git
  apr plugin add wording@house
  apr plugin disable --local wording@house
  apr plugin list --json

A plugin's hooks and MCP servers are programs that run on your machine: add what you trust.
`add`, `enable` and `disable` write ~/.apr/settings.json, with --project .apr/settings.json, with
--local .apr/settings.local.json.
exit codes: 0 done, 1 nothing was there to remove, 2 wrong usage, or it cannot be used."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Add, list, turn on and off what others have made for the agent."
    parser.epilog = EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("add", "fetch a plugin and turn it on"),
        ("remove", "turn a plugin off for good"),
        ("enable", "turn a plugin on"),
        ("disable", "turn a plugin off"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("plugin", metavar="NAME@MARKETPLACE")
        where = action.add_mutually_exclusive_group()
        for rung in ("user", "project", "local"):
            where.add_argument(f"--{rung}", dest="rung", action="store_const", const=rung)
        action.set_defaults(rung="user")
    listing = actions.add_parser("list", help="the plugins that are offered, and which are on")
    listing.add_argument("--json", action="store_true")
    market = actions.add_parser("marketplace", help="where plugins come from")
    deeds = market.add_subparsers(dest="deed", metavar="DEED", required=True)
    for name, text in (("add", "a folder, a git URL, or owner/repo on GitHub"), ("remove", "")):
        deed = deeds.add_parser(name, help=text or "take one off the list")
        deed.add_argument("marketplace", metavar="SOURCE" if name == "add" else "NAME")
    update = deeds.add_parser("update", help="fetch one anew")
    update.add_argument("marketplace", metavar="NAME")
    markets = deeds.add_parser("list", help="those that are known")
    markets.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Do it; return the exit code."""
    root = Path.cwd()
    settings = load(root, os.environ)
    if args.action == "list":
        return _list(root, settings, as_json=args.json)
    if args.action == "marketplace":
        return _marketplace(args, root, settings)
    if args.action == "add":
        _fetch(args.plugin, root, settings)
    on = args.action in {"add", "enable"}
    if on:
        find(args.plugin, known.known(root, os.environ, settings), os.environ)
    key = ("enabledPlugins", args.plugin)
    try:
        change(_file(root, args.rung), key, "true" if on else "false")
    except OSError as error:
        raise AprError(f"the settings cannot be written: {error}") from None
    print(f"{args.plugin} is {'on' if on else 'off'}.")
    return 0


def _fetch(plugin: str, root: Path, settings: Settings) -> None:
    name, at, market = plugin.partition("@")
    if not at:
        raise PluginError(f"{plugin!r}: write NAME@MARKETPLACE; see apr plugin list")
    one = known.known(root, os.environ, settings).get(market)
    if one is None:
        raise PluginError(f"the marketplace {market!r} is not known: apr plugin marketplace add …")
    if one.folder is None:
        one = add_marketplace(root, os.environ, settings, one.source)
    fetch_plugin(os.environ, one, name)


def _file(root: Path, rung: str) -> Path:
    if rung == "user":
        return user_folders(os.environ)[1] / "settings.json"
    return root / ".apr" / ("settings.json" if rung == "project" else "settings.local.json")


def _list(root: Path, settings: Settings, *, as_json: bool) -> int:
    rows: list[dict[str, Any]] = []
    seen = set()
    for market in known.known(root, os.environ, settings).values():
        for offer in _offers(market):
            key = f"{offer.name}@{market.name}"
            seen.add(key)
            on = settings.enabled_plugins.get(key, False)
            rows.append({"plugin": key, "enabled": on, "description": offer.description})
    for key, on in settings.enabled_plugins.items():
        if on and key not in seen:
            rows.append({"plugin": key, "enabled": True, "description": "not to be found"})
    if as_json:
        sys.stdout.write(msgspec.json.encode(rows).decode() + "\n")
        return 0
    for row in rows:
        mark = "on " if row["enabled"] else "off"
        print(f"{mark}  {line(row['plugin'])}  {line(row['description'])}".rstrip())
    if not rows:
        print("no plugins: apr plugin marketplace add SOURCE", file=sys.stderr)
    return 0


def _offers(market: known.Known) -> tuple[manifest.Offer, ...]:
    if market.folder is None:
        return ()
    try:
        return manifest.marketplace(market.folder).plugins
    except PluginError as error:
        print(f"apr: {line(str(error))}", file=sys.stderr)
        return ()


def _marketplace(args: argparse.Namespace, root: Path, settings: Settings) -> int:
    if args.deed == "list":
        markets = known.known(root, os.environ, settings).values()
        if args.json:
            sys.stdout.write(msgspec.json.encode(list(markets), enc_hook=str).decode() + "\n")
            return 0
        for one in markets:
            print(f"{line(one.name)}  {line(str(one.folder or 'not fetched'))}  ({line(one.by)})")
        return 0
    if args.deed == "remove":
        gone = known.forget(os.environ, args.marketplace)
        print(f"{args.marketplace} is {'off' if gone else 'not on'} your list.")
        return 0 if gone else 1
    if args.deed == "update":
        market = known.known(root, os.environ, settings).get(args.marketplace)
        if market is None:
            raise PluginError(f"the marketplace {args.marketplace!r} is not known")
        source = market.source
    else:
        source = source_of(args.marketplace, root)
    added = add_marketplace(root, os.environ, settings, source)
    names = ", ".join(offer.name for offer in _offers(added)) or "nothing"
    print(f"{line(added.name)} offers {line(names)}.")
    return 0
