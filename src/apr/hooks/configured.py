"""From the settings' hooks to those that are run."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from apr.hooks.declared import TIMEOUT_S, Declared, Group, Handler
from apr.settings import Hook, HookGroup, Settings

Hooks = Mapping[str, Sequence[HookGroup]]


def declared(
    settings: Settings,
    plugins: Iterable[tuple[Path, Hooks]] = (),
    callbacks: Declared | None = None,
) -> tuple[Declared, list[str]]:
    """Return the hooks that are declared, and what is said of those that cannot be run.

    `plugins` are those of plugins, each with its plugin's folder; they come after the settings'.
    They are a project's or user's own: where the organisation allows only its hooks, they are not
    run, nor where hooks are turned off. `callbacks` are those of the program that drives us: they
    are left out only where all hooks are turned off.
    """
    notices: list[str] = []
    hooks: dict[str, list[Group]] = {}
    sources: list[tuple[Path | None, Hooks]] = [(None, settings.hooks)]
    if not (settings.disable_all_hooks or settings.allow_managed_hooks_only):
        sources += plugins
    for folder, declarations in sources:
        environment = {"CLAUDE_PLUGIN_ROOT": str(folder)} if folder else {}
        for event, groups in declarations.items():
            hooks.setdefault(event, []).extend(
                _group(event, group, environment, notices) for group in groups
            )
    for event, given in (callbacks or {}).items() if not settings.disable_all_hooks else ():
        hooks.setdefault(event, []).extend(given)
    return hooks, notices


def _group(
    event: str, group: HookGroup, environment: Mapping[str, str], notices: list[str]
) -> Group:
    handlers = []
    for hook in group.hooks:
        if hook.type == "command" and hook.command.strip():
            handlers.append(_handler(hook, environment))
        else:
            what = "without a command" if hook.type == "command" else f"of type {hook.type!r}"
            notices.append(f"hooks.{event}: a hook {what} is not run; apr runs commands")
    return Group(group.matcher, tuple(handlers))


def _handler(hook: Hook, environment: Mapping[str, str]) -> Handler:
    root = environment.get("CLAUDE_PLUGIN_ROOT")
    return Handler(
        command=hook.command.replace("${CLAUDE_PLUGIN_ROOT}", root) if root else hook.command,
        timeout=hook.timeout or TIMEOUT_S,
        background=hook.background,
        condition=hook.condition,
        environment=environment,
    )
