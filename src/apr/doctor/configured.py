"""What is configured: settings files, permission rules, hooks, MCP servers."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

from apr.agent.permissions import BadRule, parse_rules
from apr.doctor.finding import Finding
from apr.errors import AprError
from apr.hooks.base import HookName
from apr.hooks.configured import declared
from apr.hooks.declared import matches, problems
from apr.settings import MANAGED, Settings, SettingsError, dotted, files, load
from apr.settings.files import read

_TOOLS = (
    "Agent", "AskUserQuestion", "Bash", "BashOutput", "Edit", "ExitPlanMode", "Glob", "Grep",
    "KillShell", "ListMcpResourcesTool", "Monitor", "NotebookEdit", "Read", "ReadMcpResourceTool",
    "Skill", "TaskCreate", "TaskGet", "TaskList", "TaskUpdate", "TodoWrite", "WebFetch",
    "WebSearch", "Write",
)  # fmt: skip
_OF_TOOLS = frozenset({"PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest"})


def settings_files(
    root: Path, env: Mapping[str, str], managed: Sequence[Path] = MANAGED
) -> tuple[Settings | None, list[Finding]]:
    """Return the settings, None if they cannot be used, and what is to be said of the files."""
    found: list[Finding] = []
    there = 0
    try:
        for rung, path in files(root, env, managed):
            try:
                there += read(path, rung) is not None
            except SettingsError as error:
                found.append(Finding("settings", "broken", str(error), "correct it there"))
        loaded = None if found else load(root, env, managed=managed)
    except SettingsError as error:
        return None, [*found, Finding("settings", "broken", str(error), "correct it there")]
    if loaded is None:
        return None, found
    for entry in loaded.entries:
        key = f"{entry.source.name}: {dotted(entry.key)}"
        if entry.state == "unknown":
            do = "docs/settings.md lists the keys"
            found.append(Finding("settings", "note", f"{key}: there is no such key", do))
        elif entry.state == "refused":
            do = "set it where it counts, or take it out"
            found.append(Finding("settings", "note", f"{key} is not used: {entry.reason}", do))
    counted = f"{there} file{'' if there == 1 else 's'}"
    return loaded, [Finding("settings", "ok", f"{counted}; apr config shows what counts"), *found]


def rules(settings: Settings) -> Iterator[Finding]:
    """Read the permission rules."""
    own, count = settings.permissions, 0
    for kind, texts in (("allow", own.allow), ("ask", own.ask), ("deny", own.deny)):
        for text in texts:
            try:
                read = parse_rules([text])
            except BadRule as error:
                says = f"permissions.{kind}: {error}"
                yield Finding("rules", "broken", says, "write it as docs/permissions.md says")
                continue
            count += len(read)
            for rule in read:
                if kind == "allow" and not rule.can_allow():
                    says = f"permissions.allow: {rule} allows nothing: it names no tool or server"
                    yield Finding("rules", "note", says, "name the tool, or mcp__SERVER__*")
    yield Finding("rules", "ok", f"{count} that {'is' if count == 1 else 'are'} read")


def hooks(settings: Settings) -> Iterator[Finding]:
    """Look for hooks that never run."""
    wanted, notices = declared(settings)
    for text in (*notices, *problems(wanted)):
        yield Finding("hooks", "broken", text, "correct it in the settings")
    count = 0
    for event, groups in wanted.items():
        count += sum(len(group.handlers) for group in groups)
        if event not in get_args(HookName):
            do = f"events are {', '.join(get_args(HookName))}"
            yield Finding("hooks", "broken", f"hooks.{event}: there is no such event", do)
        for group in groups if event in _OF_TOOLS else ():
            if not _fits(group.matcher):
                says = f"hooks.{event}: the matcher {group.matcher!r} fits no tool"
                do = f"tools are {', '.join(_TOOLS)}, and mcp__SERVER__TOOL"
                yield Finding("hooks", "broken", says, do)
    yield Finding("hooks", "ok", f"{count} configured")


def _fits(matcher: str | None) -> bool:
    if matcher is None or "mcp__" in matcher:
        return True
    return any(matches(matcher, tool) for tool in (*_TOOLS, "mcp__server__tool"))


def servers(root: Path, env: Mapping[str, str], settings: Settings | None) -> Iterator[Finding]:
    """List the MCP servers that are configured. None is started."""
    from apr.mcp.approval import judge
    from apr.mcp.config import load as load_servers

    try:
        said = load_servers(root, env)
    except AprError as error:
        yield Finding("mcp", "broken", str(error), "correct it there")
        return
    for text in said.notices:
        yield Finding("mcp", "broken", text, "correct it there")
    for server in said.servers:
        about = f"mcp {server.name}"
        verdict = judge(server, settings or Settings(), said)
        where = f"{server.kind} of {server.source}: {server.address}"
        if verdict.state in {"denied", "disabled"}:
            do = "nothing, if that is as it should be"
            yield Finding(about, "note", f"{where}: not used: {verdict.reason}", do)
        elif (
            server.kind == "stdio"
            and shutil.which(server.command, path=_path(server.env, env)) is None
        ):
            says = f"{where}: there is no program {server.command}"
            yield Finding(about, "broken", says, "install it, or correct the command")
        elif verdict.state == "unapproved":
            do = "approve it: /mcp approve in apr code, or the setting enabledMcpjsonServers"
            yield Finding(about, "note", f"{where}: {verdict.reason}", do)
        else:
            yield Finding(about, "ok", where)
    if not said.servers and not said.notices:
        yield Finding("mcp", "ok", "no servers")


def _path(*environments: Mapping[str, str]) -> str | None:
    return next((one["PATH"] for one in environments if "PATH" in one), None)
