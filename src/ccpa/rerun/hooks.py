"""Running a recorded hook again, as the workspace's own settings declare it."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ccpa.process import Finished, clean_environment, run_shell
from ccpa.rerun.bench import Workbench

SETTINGS_FILES = (".claude/settings.json", ".claude/settings.local.json")
TIMEOUT_S = 60.0


class _Command(Struct, frozen=True):
    command: str


class _Group(Struct, frozen=True):
    hooks: list[_Command]
    matcher: str | None = None


class _Permissions(Struct, frozen=True):
    deny: list[str] = []


class Settings(Struct, frozen=True):
    """What is looked at of a settings file; it may say much more."""

    hooks: dict[str, list[_Group]] = {}
    permissions: _Permissions = _Permissions()


class Hook(Struct, frozen=True):
    """One hook of a project: its matcher (None matches everything) and its command."""

    matcher: str | None
    command: str


def project_settings(root: Path) -> list[Settings]:
    """Return what a project's settings files say; one that is no settings file says nothing."""
    found = []
    for file in SETTINGS_FILES:
        with suppress(OSError, msgspec.MsgspecError):
            found.append(msgspec.json.decode((root / file).read_bytes(), type=Settings))
    return found


def declared(root: Path, event: str, subject: str | None) -> list[Hook]:
    """Return the hooks that a project's settings declare for an event.

    `subject` is what matchers are held against: a tool's name, or another word the event has; None
    where it is not known, and any may match.
    """
    found: list[Hook] = []
    for settings in project_settings(root):
        for group in settings.hooks.get(event, []):
            if subject is None or _matches(group.matcher or "", subject):
                matcher = group.matcher or None
                found += [Hook(matcher, hook.command) for hook in group.hooks]
    return found


def _matches(matcher: str, subject: str) -> bool:
    try:
        return matcher in ("", "*") or re.fullmatch(matcher, subject) is not None
    except re.error:
        return False


def run_hook(bench: Workbench, command: str, given: dict[str, Any]) -> Finished:
    """Run one hook with `given` on its stdin, paths put in terms of the copy and back."""
    environment = clean_environment(bench.home)
    environment |= {"CLAUDE_PROJECT_DIR": str(bench.root), "APR_PROJECT_DIR": str(bench.root)}
    done = run_shell(
        command,
        cwd=bench.root,
        environment=environment,
        timeout_s=TIMEOUT_S,
        stdin=bench.to_copy(json.dumps(given)).encode(),
    )
    return Finished(exit_code=done.exit_code, output=bench.to_session(done.output).strip())
