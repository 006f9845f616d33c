"""Running a recorded hook again, as the workspace's own settings declare it."""

import json
import re
from pathlib import Path
from typing import Any

from ccpa.process import Finished, clean_environment, run_shell
from ccpa.rerun.bench import Workbench

SETTINGS_FILES = (".claude/settings.json", ".claude/settings.local.json")
TIMEOUT_S = 60.0


def declared(root: Path, event: str, subject: str) -> list[str]:
    """Return the commands that a project's settings declare for an event.

    `subject` is what matchers are held against: a tool's name, or another word the event has.
    """
    commands: list[str] = []
    for file in SETTINGS_FILES:
        groups = settings(root / file).get("hooks", {}).get(event, [])
        for group in groups:
            matcher = group.get("matcher", "")
            if matcher in ("", "*") or re.fullmatch(matcher, subject):
                commands += [hook["command"] for hook in group.get("hooks", [])]
    return commands


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
