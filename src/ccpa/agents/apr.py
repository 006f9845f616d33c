"""`apr code`, of the same Python that runs the meter."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from ccpa.agents import stream_json
from ccpa.agents.base import MCP_TIMEOUT_MS, Command, Task, Wire, environment
from ccpa.fixtures import Settings
from ccpa.scripted.adapt import Offered


class Apr(Struct, frozen=True):
    """Writes its own trace, and has the teacher's tools by the teacher's names."""

    name: str = "apr-code"
    wire: Wire = "chat"
    writes_trace: bool = True
    tools: Mapping[str, Offered] = {}

    def command(self, task: Task) -> Command:
        """Start it headless."""
        argv = [sys.executable, "-P", "-m", "apr", "code", "--print"]
        argv += ["--base-url", task.base_url, "--model", task.model]
        argv += ["--emit-trace", str(task.trace)]
        argv += ["--continue"] if task.goes_on else []
        argv += _options(task.settings)
        words, talk = stream_json.options(task.prompts, task.person)
        argv += ["--output-format", "stream-json" if talk else "json"]
        rest = words if talk else ["--", *task.prompts]
        return Command(
            argv=(*argv, *rest),
            environment=environment(task, MCP_TIMEOUT=MCP_TIMEOUT_MS),
            files=_user_settings(task),
            talk=talk,
        )


def _user_settings(task: Task) -> dict[Path, str]:
    """Return what only the user can say: where searches go."""
    if task.search_url is None:
        return {}
    settings = {"apr": {"webSearch": {"url": task.search_url}}}
    return {task.home / ".apr" / "settings.json": json.dumps(settings)}


def _options(settings: Settings) -> list[str]:
    options: list[str] = []
    if settings.permission_mode is not None:
        options += ["--permission-mode", settings.permission_mode]
    if settings.max_turns is not None:
        options += ["--max-turns", str(settings.max_turns)]
    for rule in settings.allow:
        options += ["--allowedTools", rule]
    for rule in settings.deny:
        options += ["--disallowedTools", rule]
    return options


AGENT = Apr()
