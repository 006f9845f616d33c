"""The settings, changed while the session runs: /config, /statusline."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from apr.errors import AprError
from apr.settings import Entry, dotted, undotted, unknown, user_folders
from apr.settings.schema import Path_
from apr.terminal.commands.desk import Desk
from apr.terminal.commands.layout import table, wrapped
from apr.ui.terminal import line

Rung = Literal["user", "project", "local", "session"]
_RUNGS: tuple[Rung, ...] = ("user", "project", "local", "session")
_AT_ONCE = frozenset({"permissions", "statusLine"})
"""The keys that count in the session that runs; of others its parts were made when it began."""


async def config(desk: Desk, given: str) -> AsyncIterator[str]:
    """Show the settings, or one; or set one in one file."""
    rest, rung = destination(given, "user")
    name, _, value = rest.partition(" ")
    if not name:
        for shown in table(_entries(desk.plan.settings().entries), desk.width(), most=30):
            yield shown
        yield wrapped("/config KEY VALUE sets one; docs/settings.md lists them.", desk.width())
        return
    key = _key(name)
    if value:
        for shown in kept(desk, rung, key, value.strip()):
            yield shown
        return
    entries = [one for one in desk.plan.settings().entries if one.key[: len(key)] == key]
    for shown in table(_entries(entries), desk.width(), most=30):
        yield shown
    if not entries:
        yield line(f"{dotted(key)} is not set.")


async def statusline(desk: Desk, given: str) -> AsyncIterator[str]:
    """Show the command behind the status line; set it, or have apr's own line again."""
    key = ("statusLine",)
    if given:
        value = None if given == "off" else {"type": "command", "command": given}
        for shown in kept(desk, "user", key, msgspec.json.encode(value).decode()):
            yield shown
        return
    entries = [one for one in desk.plan.settings().entries if one.key == key]
    for shown in table(_entries(entries), desk.width()):
        yield shown
    if not any(one.state == "set" for one in entries):
        yield wrapped(
            "The status line is apr's own. /statusline COMMAND has a command of yours write it: it "
            "reads JSON from standard input, and its first lines are shown.",
            desk.width(),
        )


def destination(given: str, default: Rung) -> tuple[str, Rung]:
    """Return what was typed without the option that says which file is meant, and that file's rung.

    The option stands first or last: `--user`, `--project`, `--local` or `--session`.
    """
    words = given.split(" ")
    for rung in _RUNGS:
        for at in (0, -1):
            if words[at] == f"--{rung}":
                del words[at]
                return " ".join(words).strip(), rung
    return given.strip(), default


def file_of(root: Path, rung: Rung) -> Path:
    """Return the file that apr writes on a rung of the ladder.

    Raises:
        AprError: there is none: what is for the session alone is in no file.
    """
    if rung == "session":
        raise AprError("--session: this can only be kept in a file: --user, --project or --local")
    if rung == "user":
        return user_folders(os.environ)[1] / "settings.json"
    return root / ".apr" / ("settings.json" if rung == "project" else "settings.local.json")


def kept(desk: Desk, rung: Rung, key: Path_, given: str) -> Iterator[str]:
    """Write a value into a settings file, have it count where it can, and say what came of it.

    Raises:
        AprError: there is no such key, the value does not fit, or the file cannot be used.
        OSError: it cannot be written.
    """
    path = file_of(desk.root, rung)
    put(desk, path, key, given)
    yield wrapped(line(f"{dotted(key)} is written to {path}."), desk.width())
    here = [
        one
        for one in desk.settings.entries
        if one.source.name == str(path) and one.key[: len(key)] == key
    ]
    for entry in here:
        if entry.state in {"shadowed", "refused"}:
            why = entry.reason or "a stronger file sets it too; see /config"
            yield wrapped(line(f"{dotted(entry.key)} has no effect: {why}"), desk.width())
    if rung not in desk.plan.options.sources:
        yield "It has no effect here: --setting-sources leaves that file out."
    elif key[0] not in _AT_ONCE:
        yield "It counts from the next session on."


def put(desk: Desk, path: Path, key: Path_, given: str) -> None:
    """Write a value into a settings file, and have it count where it can.

    Raises:
        AprError: the settings could not be used so; then the file is as it was.
        OSError: it cannot be written.
    """
    from apr.settings.write import change, replace

    try:
        before = path.read_bytes()
    except FileNotFoundError:
        before = None
    change(path, key, given)
    try:
        _renew(desk)
    except AprError:
        if before is None:
            path.unlink()
        else:
            replace(path.resolve(), before)
        raise


def _renew(desk: Desk) -> None:
    """Have the settings count as they are now, in so far as they can in a session that runs.

    Raises:
        AprError: a file cannot be used, or a rule cannot be read; then nothing has changed.
    """
    from apr.terminal.commands.permitting import renewed

    settings = desk.plan.settings()
    desk.assembled.enforce(renewed(desk.policy, desk.settings, settings, desk.plan.options))
    desk.settings = settings


def _entries(entries: tuple[Entry, ...] | list[Entry]) -> Iterator[tuple[str, str, str]]:
    """Yield rows: key, value, where it comes from and what becomes of it."""
    for entry in sorted(entries, key=lambda one: one.key):
        state = "" if entry.state == "set" else f"  [{entry.state}]"
        state = f"  [refused: {entry.reason}]" if entry.reason else state
        yield line(dotted(entry.key)), line(_json(entry.value)), line(entry.source.name + state)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _key(text: str) -> Path_:
    try:
        key = undotted(text)
    except ValueError as error:
        raise AprError(f"{error}; keys look like permissions.defaultMode") from None
    if set(unknown(_nested(key))):
        raise AprError(f"{dotted(key)}: there is no such key; docs/settings.md lists them")
    return key


def _nested(key: Path_) -> Any:
    value: Any = {}
    for part in reversed(key):
        value = {part: value}
    return value
