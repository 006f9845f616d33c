"""Consent of the program that drives us, in a person's place: `can_use_tool`, and what it changes.

A program may change the rules as it answers. What it changes for the session holds at once; what it
wants to keep goes into a settings file as well.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from apr.agent.asking import Answer, Asker, Question
from apr.agent.gate import Gate
from apr.agent.permissions import BadRule, Mode, Policy, Rule, parse_rules
from apr.assembly import directory
from apr.errors import AprError
from apr.headless.host import Host, HostFailed
from apr.settings import Settings, permission_mode, user_folders

Behavior = Literal["allow", "deny", "ask"]
Destination = Literal["session", "localSettings", "projectSettings", "userSettings"]


class RuleValue(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A rule; without content, every use of the tool."""

    tool_name: str
    rule_content: str | None = None


class Update(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of what may be done."""

    type: Literal[
        "addRules", "replaceRules", "removeRules", "setMode", "addDirectories", "removeDirectories"
    ]
    destination: Destination
    rules: tuple[RuleValue, ...] = ()
    behavior: Behavior | None = None
    mode: str | None = None
    directories: tuple[str, ...] = ()


class Allowed(Struct, tag_field="behavior", tag="allow", rename="camel"):
    """The tool may be used."""

    updated_input: dict[str, Any] | None = None
    updated_permissions: list[Update] = field(default_factory=list)


class Denied(Struct, tag_field="behavior", tag="deny"):
    """It may not."""

    message: str = ""
    interrupt: bool = False


Consent = Allowed | Denied

_TOOL = re.compile(r"[^\s(),]+")


def asker(host: Host, gate: Gate, settings: Settings) -> Asker:
    """Return what asks the program. `gate` is the session's own: what changes, changes there."""

    async def ask(question: Question) -> Answer:
        try:
            given = await host.ask(
                "can_use_tool",
                tool_name=question.call.name,
                input=question.call.input,
                tool_use_id=question.call.id,
                permission_suggestions=msgspec.to_builtins(suggestions(question)),
                blocked_path=next((str(path) for path in question.access.paths), None),
                decision_reason=question.reason,
            )
            consent = msgspec.convert(given, Consent)
        except HostFailed as error:
            return Answer(allow=False, message=f"They could not be asked: {error}")
        except msgspec.ValidationError as error:
            return Answer(allow=False, message=f"Their answer was not understood: {error}")
        if isinstance(consent, Denied):
            return Answer(allow=False, message=consent.message, interrupt=consent.interrupt)
        try:
            updates = consent.updated_permissions
            policy = changed(gate.policy, updates, settings)
            keep(updates, policy.root)
        except (AprError, OSError) as error:
            return Answer(allow=False, message=f"Their rules could not be taken over: {error}")
        added = tuple(rule for rule in policy.allow if rule not in gate.policy.allow)
        mode = policy.mode if policy.mode != gate.policy.mode else None
        gate.policy = policy
        updated = consent.updated_input
        return Answer(
            allow=True,
            updated_input=updated if updated != question.call.input else None,
            rules=added,
            mode=mode,
        )

    return ask


def changed(policy: Policy, updates: Sequence[Update], settings: Settings) -> Policy:
    """Return the policy with the updates applied, one after the other.

    Raises:
        AprError: the settings forbid one, or it cannot be understood; then none counts.
    """
    for update in updates:
        match update.type:
            case "setMode":
                policy = with_mode(policy, update.mode, settings)
            case "addDirectories" | "removeDirectories":
                policy = _with_directories(policy, update)
            case _:
                policy = _with_rules(policy, update, settings)
    return policy


def with_mode(policy: Policy, mode: str | None, settings: Settings) -> Policy:
    """Return the policy in another mode.

    Raises:
        AprError: there is no such mode, or the settings forbid it.
    """
    try:
        known = msgspec.convert(mode, Mode)
    except msgspec.ValidationError:
        raise AprError(f"there is no permission mode {mode!r}") from None
    allowed = msgspec.convert(permission_mode(settings, known), Mode)
    return msgspec.structs.replace(policy, mode=allowed)


def _with_rules(policy: Policy, update: Update, settings: Settings) -> Policy:
    if settings.allow_managed_permission_rules_only and update.behavior == "allow":
        raise AprError("only the organisation's rules may allow something")
    if update.behavior is None:
        raise AprError(f"{update.type} says no behavior")
    given = tuple(_rule(value) for value in update.rules)
    before: tuple[Rule, ...] = getattr(policy, update.behavior)
    after = {
        "addRules": (*before, *(rule for rule in given if rule not in before)),
        "removeRules": tuple(rule for rule in before if rule not in given),
        "replaceRules": given,
    }[update.type]
    if update.type != "addRules" and update.behavior != "allow":
        fixed = parse_rules(getattr(settings.permissions, update.behavior))
        after = (*after, *(rule for rule in fixed if rule not in after))
    return msgspec.structs.replace(policy, **{update.behavior: after})


def _with_directories(policy: Policy, update: Update) -> Policy:
    named = tuple(directory(policy.root, name) for name in update.directories)
    kept = tuple(known for known in policy.directories if known not in named)
    added = named if update.type == "addDirectories" else ()
    return msgspec.structs.replace(policy, directories=(*kept, *added))


def keep(updates: Sequence[Update], root: Path) -> None:
    """Write what is to be kept into the settings files.

    Raises:
        AprError: a file cannot be used.
        OSError: it cannot be written.
    """
    from apr.settings.files import read
    from apr.settings.write import change

    for update in updates:
        path = _file(update.destination, root)
        if path is None:
            continue
        layer = read(path, "user")
        known = (layer.data if layer else {}).get("permissions", {})
        key, value = _kept(update, known)
        change(path, ("permissions", key), msgspec.json.encode(value).decode())


def _kept(update: Update, known: dict[str, Any]) -> tuple[str, Any]:
    """Return the key that changes in a file's `permissions`, and its new value."""
    if update.type == "setMode":
        return "defaultMode", update.mode
    key = update.behavior or "additionalDirectories"
    given = list(update.directories) or [_written(value) for value in update.rules]
    before = list(known.get(key, []))
    if update.type.startswith("add"):
        return key, [*before, *(one for one in given if one not in before)]
    if update.type.startswith("remove"):
        return key, [one for one in before if one not in given]
    return key, given


def _file(destination: Destination, root: Path) -> Path | None:
    if destination == "session":
        return None
    if destination == "userSettings":
        return user_folders(os.environ)[1] / "settings.json"
    name = "settings.local.json" if destination == "localSettings" else "settings.json"
    return root / ".apr" / name


def _rule(value: RuleValue) -> Rule:
    if not _TOOL.fullmatch(value.tool_name):
        raise AprError(f"not the name of a tool: {value.tool_name!r}")
    content = value.rule_content
    return Rule(value.tool_name, None if content in {None, "", "*", ":*"} else content)


def _written(value: RuleValue) -> str:
    """Return a rule as it stands in a file.

    Raises:
        AprError: read again, it would be another one.
    """
    rule = _rule(value)
    if not _readable(rule):
        raise AprError(f"such a rule cannot be kept in a file: {rule}")
    return str(rule)


def _readable(rule: Rule) -> bool:
    """Whether a rule is the same when it is read again."""
    try:
        return parse_rules([str(rule)]) == (rule,)
    except BadRule:
        return False


def suggestions(question: Question) -> list[Update]:
    """Return what a person could allow besides, so as not to be asked again."""
    access = question.access
    if access.kind == "write":
        return [Update(type="setMode", destination="session", mode="acceptEdits")]
    command = (access.command or "").strip()
    rule = RuleValue(question.call.name, command)
    if command and "*" not in command and _readable(_rule(rule)):  # a * would stand for anything
        return [
            Update(type="addRules", destination="localSettings", rules=(rule,), behavior="allow")
        ]
    return []
