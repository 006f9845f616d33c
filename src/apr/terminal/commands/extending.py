"""What the user and others have added: /hooks, /agents, /skills, /plugins."""

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from apr.errors import AprError
from apr.settings import Settings
from apr.terminal.commands.configuring import kept
from apr.terminal.commands.desk import Desk
from apr.terminal.commands.layout import table, wrapped
from apr.ui.terminal import line

if TYPE_CHECKING:
    from apr.plugins.enabled import Brought
    from apr.skills.found import Skill


async def hooks(desk: Desk, _given: str) -> AsyncIterator[str]:
    """List the hooks with where they come from, and what is wrong with them."""
    from apr.doctor.configured import hooks as checked

    settings, width = desk.plan.settings(), desk.width()
    rows = list(_declared(settings, _brought(desk)))
    for shown in table([(line(event), line(what)) for event, what in rows], width):
        yield shown
    if not rows:
        yield "There are no hooks. docs/hooks.md says what they can do."
    told = [finding.says for finding in checked(settings) if finding.state == "broken"]
    for shown in _problems(told, width):
        yield shown
    if rows:
        yield "A hook that is changed counts from the next session on. /debug shows those that ran."


async def agents(desk: Desk, _given: str) -> AsyncIterator[str]:
    """List the kinds of subagents, and the files that cannot be used."""
    from apr.skills.found import places
    from apr.subagents.definitions import ranked, read

    rows = [
        (line(kind.name), line(f"{kind.description}  ({kind.source})"))
        for kind in desk.assembled.kinds.values()
    ]
    for shown in table(rows, desk.width()):
        yield shown
    brought = _brought(desk)
    where = places(desk.root, os.environ, desk.plan.options.sources)
    _, notices = read(ranked([*where, *(brought.places if brought is not None else ())]))
    for shown in _problems(notices, desk.width()):
        yield shown


async def skills(desk: Desk, _given: str) -> AsyncIterator[str]:
    """List the skills and commands, and the files that cannot be used."""
    from apr.memory import tokens
    from apr.skills.found import discover, places
    from apr.skills.library import listing

    found, width = desk.assembled.skills, desk.width()
    for shown in table([_row(skill) for skill in found.values()], width):
        yield shown
    if not found:
        yield "There are no skills or commands. docs/skills.md says how to write one."
    elif (listed := listing(found)[0]) and desk.assembled.agent.tools.get("Skill") is not None:
        about = f"The model is told of them in about {tokens(listed):,} tokens."
        yield wrapped(about, width)
    brought = _brought(desk)
    where = places(desk.root, os.environ, desk.plan.options.sources)
    _, notices = discover([*where, *(brought.places if brought is not None else ())])
    for shown in _problems(notices, width):
        yield shown


async def plugins(desk: Desk, given: str) -> AsyncIterator[str]:
    """List the plugins that are offered, or turn one on or off."""
    from apr.plugins.enabled import find
    from apr.plugins.known import known

    words = given.split()
    settings = desk.plan.settings()
    if not words:
        for shown in _offered(desk):
            yield shown
        return
    if len(words) != 2 or words[0] not in {"enable", "disable"}:
        raise AprError("usage: /plugins [enable|disable NAME@MARKETPLACE]")
    on = words[0] == "enable"
    if on:
        find(words[1], known(desk.root, os.environ, settings), os.environ)
    elif words[1] not in settings.enabled_plugins:
        raise AprError(f"no settings turn on a plugin {words[1]!r}")
    for shown in kept(desk, "user", ("enabledPlugins", words[1]), "true" if on else "false"):
        yield shown


def _declared(settings: Settings, brought: "Brought | None") -> Iterator[tuple[str, str]]:
    """Yield every hook: its event, and what is run, for what, on whose word."""
    for entry in settings.entries:
        if entry.key[0] == "hooks" and isinstance(entry.value, list):
            why = f" [not run: {entry.reason}]" if entry.reason else ""
            for command in _commands(entry.value):
                yield entry.key[-1], f"{command}  ({entry.source.name}){why}"
    off = settings.disable_all_hooks or settings.allow_managed_hooks_only
    for folder, declared in brought.hooks if brought is not None and not off else ():
        for event, groups in declared.items():
            for command in _commands(msgspec.to_builtins(groups)):
                yield event, f"{command}  (the plugin {folder})"


def _commands(groups: Iterable[Any]) -> Iterator[str]:
    """Yield the hooks of an event as settings write them: matcher, and what is run."""
    for group in groups:
        matcher = (group.get("matcher") if isinstance(group, dict) else None) or "*"
        for hook in group.get("hooks", ()) if isinstance(group, dict) else ():
            what = hook.get("command") or f"of type {hook.get('type')!r}, which is not run"
            limit = f", {hook['timeout']:g} s" if hook.get("timeout") else ""
            yield f"{matcher}: {what}{limit}"


def _row(skill: "Skill") -> tuple[str, str]:
    whose = (
        "the model's alone" if not skill.by_user else "yours alone" if not skill.by_model else ""
    )
    about = ", ".join(filter(None, [skill.kind, skill.source, whose]))
    name = f"/{skill.name}" if skill.by_user else skill.name
    return line(name), line(f"{skill.description}  ({about}: {skill.path})")


def _offered(desk: Desk) -> Iterator[str]:
    from apr.plugins import manifest
    from apr.plugins.known import known
    from apr.plugins.manifest import PluginError

    settings, width = desk.plan.settings(), desk.width()
    rows: list[tuple[str, str, str]] = []
    told: list[str] = []
    seen = set()
    for market in known(desk.root, os.environ, settings).values():
        try:
            offers = manifest.marketplace(market.folder).plugins if market.folder else ()
        except PluginError as error:
            told.append(str(error))
            continue
        for offer in offers:
            key = f"{offer.name}@{market.name}"
            seen.add(key)
            state = "on" if settings.enabled_plugins.get(key) else "off"
            rows.append((state, line(key), line(f"{offer.description}  ({market.by})")))
    missing = [key for key, on in settings.enabled_plugins.items() if on and key not in seen]
    rows += [("on", line(key), "is not to be found") for key in missing]
    yield from table(rows, width)
    if not rows:
        yield "No plugins are offered. apr plugin marketplace add SOURCE adds where some are."
    brought = _brought(desk)
    yield from _problems([*told, *(brought.notices if brought is not None else ())], width)


def _brought(desk: Desk) -> "Brought | None":
    settings = desk.plan.settings()
    if not settings.enabled_plugins:
        return None
    from apr.plugins.enabled import bring

    return bring(desk.root, os.environ, settings)


def _problems(told: Iterable[str], width: int) -> Iterator[str]:
    for text in dict.fromkeys(told):
        yield wrapped(line(text), width, first="✗ ", rest="  ")
