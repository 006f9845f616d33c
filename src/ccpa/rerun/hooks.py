"""Running a recorded hook again, as the workspace's own settings declare it."""

import json
import re
from pathlib import Path
from typing import Any

from msgspec import Struct

from ccpa.process import Finished, clean_environment, run_shell
from ccpa.rerun.bench import Workbench

SETTINGS_FILES = (".claude/settings.json", ".claude/settings.local.json")
TIMEOUT_S = 60.0


class Hook(Struct, frozen=True):
    """One hook of a project: its matcher (None matches everything) and its command."""

    matcher: str | None
    command: str


def declared(root: Path, event: str, subject: str | None) -> list[Hook]:
    """Return the hooks that a project's settings declare for an event.

    `subject` is what matchers are held against: a tool's name, or another word the event has; None
    where it is not known, and any may match.
    """
    found: list[Hook] = []
    for file in SETTINGS_FILES:
        for group in settings(root / file).get("hooks", {}).get(event, []):
            matcher = group.get("matcher") or None
            if matcher in (None, "*") or subject is None or re.fullmatch(matcher, subject):
                found += [Hook(matcher, hook["command"]) for hook in group.get("hooks", [])]
    return found


def settings(path: Path) -> dict[str, Any]:
    """Return what a settings file says; nothing, if there is none or it is no JSON object."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


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
