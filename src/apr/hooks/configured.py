"""From the settings' hooks to those that are run."""

from apr.hooks.declared import TIMEOUT_S, Declared, Group, Handler
from apr.settings import Hook, HookGroup, Settings


def declared(settings: Settings) -> tuple[Declared, list[str]]:
    """Return the hooks that the settings declare, and what is said of those that cannot be run."""
    notices: list[str] = []
    hooks = {
        event: tuple(_group(event, group, notices) for group in groups)
        for event, groups in settings.hooks.items()
    }
    return hooks, notices


def _group(event: str, group: HookGroup, notices: list[str]) -> Group:
    handlers = []
    for hook in group.hooks:
        if hook.type == "command" and hook.command.strip():
            handlers.append(_handler(hook))
        else:
            what = "without a command" if hook.type == "command" else f"of type {hook.type!r}"
            notices.append(f"hooks.{event}: a hook {what} is not run; apr runs commands")
    return Group(group.matcher, tuple(handlers))


def _handler(hook: Hook) -> Handler:
    return Handler(
        command=hook.command,
        timeout=hook.timeout or TIMEOUT_S,
        background=hook.background,
    )
