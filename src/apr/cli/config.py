"""`apr config`: the settings that count here, and which file set them."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from apr.cli.options import setting_sources
from apr.errors import AprError
from apr.legible import legible
from apr.settings import (
    SOURCES,
    Entry,
    Rung,
    Settings,
    dotted,
    load,
    undotted,
    unknown,
    user_folders,
)
from apr.ui.terminal import line, plain

EPILOG = """\
examples:
  apr config
  apr config --json | jq '.entries[] | select(.state == "refused")'
  apr config get permissions.defaultMode
  apr config set model qwen3-coder
  apr config set --local permissions.allow '["Bash(npm test:*)"]'

`set` writes ~/.apr/settings.json, with --project .apr/settings.json, with --local
.apr/settings.local.json. A value is JSON, or else a string.
exit codes: 0 done, 1 the key is not set, 2 wrong usage, or a file that cannot be used."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Show the settings that count here and who set them; read or change one."
    parser.epilog = EPILOG
    _common(parser, nested=False)
    parser.add_argument("--show", action="store_true", help="show every value (the default)")
    commands = parser.add_subparsers(dest="action", metavar="ACTION")
    get = commands.add_parser("get", help="print the value that counts")
    get.add_argument("key", metavar="KEY")
    _common(get, nested=True)
    put = commands.add_parser("set", help="change one value in one file")
    put.add_argument("key", metavar="KEY", help="such as permissions.defaultMode")
    put.add_argument("value", metavar="VALUE", help="JSON, or else a string")
    _common(put, nested=True)
    where = put.add_mutually_exclusive_group()
    for rung, whose in zip(
        SOURCES, ("you, everywhere", "all who work here", "you, here"), strict=True
    ):
        where.add_argument(
            f"--{rung}", dest="rung", action="store_const", const=rung, help=f"for {whose}"
        )


def _common(parser: argparse.ArgumentParser, *, nested: bool) -> None:
    """Declare what can stand before an action and behind it."""

    def default(value: object) -> object:
        return argparse.SUPPRESS if nested else value

    add = parser.add_argument
    add("--json", action="store_true", default=default(False), help="print JSON")
    add("-C", metavar="DIR", dest="root", default=default("."), help="the project's directory")
    add(
        "--settings",
        metavar="FILE_OR_JSON",
        default=default(None),
        help="further settings, as for `apr code`",
    )
    add(
        "--setting-sources",
        metavar="LIST",
        type=setting_sources,
        default=default(SOURCES),
        help="which files count, of user,project,local",
    )


def run(args: argparse.Namespace) -> int:
    """Show, get or set; return the exit code."""
    root = Path(args.root).resolve()
    if not root.is_dir():
        raise AprError(f"not a directory: {args.root}")
    if args.action == "set":
        return _set(args, root)
    settings = _load(args, root)
    if args.action == "get":
        return _get(settings, _key(args.key), as_json=args.json)
    _show(settings, as_json=args.json)
    return 0


def _load(args: argparse.Namespace, root: Path) -> Settings:
    return load(root, os.environ, flag_settings=args.settings, sources=args.setting_sources)


def _set(args: argparse.Namespace, root: Path) -> int:
    from apr.settings.write import change

    rung: Rung = args.rung or "user"
    name = "settings.local.json" if rung == "local" else "settings.json"
    folder = user_folders(os.environ)[1] if rung == "user" else root / ".apr"
    key = _key(args.key)
    change(folder / name, key, legible(args.value))
    for entry in _load(args, root).entries:
        here = entry.source.name == str(folder / name) and entry.key[: len(key)] == key
        if here and entry.state in {"shadowed", "refused"}:
            why = entry.reason or "a stronger file sets it too; see apr config"
            print(plain(f"apr: {dotted(entry.key)} has no effect: {why}"), file=sys.stderr)
    return 0


def _get(settings: Settings, key: tuple[str, ...], *, as_json: bool) -> int:
    if set(unknown(_nested(key))):
        raise AprError(f"{dotted(key)}: there is no such key; docs/settings.md lists them")
    value: Any = msgspec.to_builtins(settings)
    for part in key:
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        print(f"apr: {plain(dotted(key))} is not set", file=sys.stderr)
        return 1
    print(plain(value) if isinstance(value, str) and not as_json else _json(value))
    return 0


def _show(settings: Settings, *, as_json: bool) -> None:
    if as_json:
        print(_json({"entries": [_data(entry) for entry in settings.entries]}))
        return
    if not settings.entries:
        print("apr: no settings: no file sets any", file=sys.stderr)
        return
    rows = [("KEY", "VALUE", "SET BY", "")]
    rows += [_row(entry) for entry in sorted(settings.entries, key=lambda entry: entry.key)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True))
        print("  ".join(cells).rstrip())


def _row(entry: Entry) -> tuple[str, str, str, str]:
    state = entry.state if entry.reason is None else f"{entry.state}: {entry.reason}"
    shown = "" if entry.state == "set" else state
    return line(dotted(entry.key)), line(_json(entry.value)), line(entry.source.name), shown


def _data(entry: Entry) -> dict[str, object]:
    return {
        "key": dotted(entry.key),
        "value": entry.value,
        "state": entry.state,
        "reason": entry.reason,
        "rung": entry.source.rung,
        "source": legible(entry.source.name),
    }


def _json(value: object) -> str:
    """Return JSON that a terminal can take too: C1 controls and the like are escaped."""
    import json

    return json.dumps(value)


def _key(text: str) -> tuple[str, ...]:
    try:
        return undotted(legible(text))
    except ValueError as error:
        raise AprError(f"{error}; keys look like permissions.defaultMode") from None


def _nested(key: tuple[str, ...]) -> dict[str, Any]:
    value: Any = {}
    for part in reversed(key):
        value = {part: value}
    return dict(value)
