"""What may be done, changed while the session runs: /permissions, /add-dir."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Literal, get_args

import msgspec

from apr.agent.permissions import BadRule, Policy, Rule, parse_rules
from apr.assembly import Options, directory
from apr.errors import AprError
from apr.legible import legible
from apr.settings import Settings, files, rules
from apr.settings.files import read
from apr.terminal.commands.configuring import Rung, destination, file_of, put
from apr.terminal.commands.desk import Desk
from apr.terminal.commands.layout import table, wrapped
from apr.ui.terminal import line

Behavior = Literal["allow", "ask", "deny"]
_BEHAVIORS: tuple[Behavior, ...] = get_args(Behavior)


async def permissions(desk: Desk, given: str) -> AsyncIterator[str]:
    """List the rules with where they come from; add or remove one, which counts at once."""
    rest, rung = destination(given, "local")
    verb, _, text = rest.partition(" ")
    if not verb:
        for shown in table(_listed(desk), desk.width(), most=50):
            yield shown
        return
    rule = _rule(text)
    if verb == "remove":
        for shown in _removed(desk, rule):
            yield wrapped(shown, desk.width())
        return
    behavior = next((one for one in _BEHAVIORS if one == verb), None)
    if behavior is None:
        raise AprError("usage: /permissions [allow|ask|deny|remove RULE]")
    for shown in _added(desk, behavior, rule, rung):
        yield wrapped(shown, desk.width())


async def add_dir(desk: Desk, given: str) -> AsyncIterator[str]:
    """Make a directory part of the project, at once."""
    if not given:
        for path in desk.policy.directories:
            yield line(str(path))
        yield "usage: /add-dir DIR"
        return
    path = directory(desk.root, given)
    if any(path.is_relative_to(known) for known in (desk.root, *desk.policy.directories)):
        yield wrapped(line(f"{path} is part of the project already."), desk.width())
        return
    added = (*desk.policy.directories, path)
    desk.assembled.enforce(msgspec.structs.replace(desk.policy, directories=added))
    named = legible(str(path))
    desk.assembled.agent.inbox.append(f"The user has added the directory {named} to the project.")
    told = f"{path} is part of the project, for this session. To keep it: permissions."
    yield wrapped(line(f"{told}additionalDirectories in the settings."), desk.width())


def renewed(policy: Policy, before: Settings, after: Settings, options: Options) -> Policy:
    """Return the policy when the settings have changed; what the session added to it stays.

    It looks for the directories that the settings name, and at nothing else.

    Raises:
        AprError: a rule cannot be read, or there is no such directory.
    """
    root = policy.root
    old, new = _of(before, options), _of(after, options)
    changed = {
        kind: (
            *new[kind],
            *(r for r in getattr(policy, kind) if r not in old[kind] and r not in new[kind]),
        )
        for kind in _BEHAVIORS
    }
    was, are = (
        tuple(directory(root, name) for name in one.permissions.additional_directories)
        for one in (before, after)
    )
    left = tuple(path for path in policy.directories if path not in was or path in are)
    added = tuple(path for path in are if path not in left)
    return msgspec.structs.replace(policy, **changed, directories=(*left, *added))


def _of(settings: Settings, options: Options) -> dict[str, tuple[Rule, ...]]:
    chosen = rules(settings, allow=options.allow, deny=options.deny)
    try:
        return {kind: parse_rules(getattr(chosen, kind)) for kind in _BEHAVIORS}
    except BadRule as error:
        raise AprError(str(error)) from None


def _rule(text: str) -> Rule:
    """Return the rule that was typed, with or without quotes around it.

    Raises:
        AprError: it is none, or several.
    """
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    try:
        found = parse_rules([text])
    except BadRule as error:
        raise AprError(str(error)) from None
    if len(found) != 1:
        raise AprError('one rule at a time: /permissions allow "Bash(npm test:*)"')
    return found[0]


def _listed(desk: Desk) -> Iterator[tuple[str, str, str]]:
    """Yield rows: what a rule does, the rule, where it comes from."""
    policy, options, settings = desk.policy, desk.plan.options, desk.settings
    yield "mode", policy.mode, ""
    for path in policy.directories:
        yield "dir", line(str(path)), ""
    for kind in _BEHAVIORS:
        where: dict[Rule, str] = {}
        for entry in settings.entries:
            if entry.key == ("permissions", kind):
                why = f" [refused: {entry.reason}]" if entry.reason else ""
                where |= dict.fromkeys(_readable(entry.value), f"{entry.source.name}{why}")
        flags = {"allow": options.allow, "deny": options.deny}.get(kind, ())
        where |= {rule: "the command line" for rule in _readable(flags) if rule not in where}
        for rule, source in where.items():
            yield kind, line(str(rule)), line(source)
        for rule in getattr(policy, kind):
            if rule not in where:
                yield kind, line(str(rule)), "this session"
    for rule in desk.assembled.agent.gate.granted:
        yield "allow", line(str(rule)), "until the next prompt: a skill or command brings it"


def _added(desk: Desk, behavior: Behavior, rule: Rule, rung: Rung) -> Iterator[str]:
    if behavior == "allow" and desk.settings.allow_managed_permission_rules_only:
        raise AprError("Only the organisation's rules may allow something here.")
    if behavior == "allow" and not rule.can_allow():
        raise AprError(f"{rule} allows nothing: name the tool, or mcp__SERVER__*.")
    if rung == "session":
        now = getattr(desk.policy, behavior)
        changed = {behavior: now if rule in now else (*now, rule)}
        desk.assembled.enforce(msgspec.structs.replace(desk.policy, **changed))
        yield line(f"{behavior} {rule}, in this session.")
        return
    path = file_of(desk.root, rung)
    known = _in_file(path, rung, behavior)
    after = known if str(rule) in known else [*known, str(rule)]
    put(desk, path, ("permissions", behavior), _json(after))
    yield line(f"{behavior} {rule}, written to {path}.")
    if rule not in getattr(desk.policy, behavior):
        yield "It has no effect here: see /config permissions."


def _removed(desk: Desk, rule: Rule) -> Iterator[str]:
    """Take a rule out of apr's own files and out of the session; say where it still stands."""
    found = False
    for rung, path in files(desk.root, os.environ):
        for behavior in _BEHAVIORS:
            known = _in_file(path, rung, behavior)
            left = [text for text in known if _readable([text]) != (rule,)]
            if len(left) == len(known):
                continue
            found = True
            if rung == "managed" or path.parent.name == ".claude":
                yield line(f"{path} has it: it is taken out there, for apr does not write it.")
                continue
            put(desk, path, ("permissions", behavior), _json(left))
            yield line(f"{behavior} {rule} is taken out of {path}.")
    stays = _of(desk.settings, desk.plan.options)
    for behavior in _BEHAVIORS:
        now = getattr(desk.policy, behavior)
        if rule in now and rule not in stays[behavior]:
            changed = {behavior: tuple(one for one in now if one != rule)}
            desk.assembled.enforce(msgspec.structs.replace(desk.policy, **changed))
            found = True
            yield line(f"{behavior} {rule} does not hold in this session any more.")
        elif rule in now and not found:
            found = True
            yield line(f"The command line has {rule}: it holds until the session ends.")
    if not found:
        yield line(f"There is no rule {rule}. /permissions lists those that there are.")


def _readable(texts: Iterable[str]) -> tuple[Rule, ...]:
    """Return the rules that can be read; a file that is not used may hold others."""
    found: list[Rule] = []
    for text in texts:
        with contextlib.suppress(BadRule):
            found += parse_rules([text])
    return tuple(found)


def _in_file(path: Path, rung: str, behavior: Behavior) -> list[str]:
    layer = read(path, "managed" if rung == "managed" else "user")
    permissions = layer.data.get("permissions") if layer is not None else None
    return list((permissions or {}).get(behavior) or ())


def _json(value: list[str]) -> str:
    return msgspec.json.encode(value).decode()
