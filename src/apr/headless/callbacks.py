"""Hooks that are functions of the program that drives us."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from msgspec import Struct, field

from apr.headless.host import Host
from apr.hooks.base import HookName
from apr.hooks.declared import TIMEOUT_S, Callback, Declared, Group, Handler

_EVENTS = get_args(HookName)


class Matcher(Struct, rename="camel"):
    """Callbacks for the same subjects, as `initialize` declares them."""

    matcher: str | None = None
    hook_callback_ids: list[str] = field(default_factory=list)
    timeout: float | None = None
    """Seconds."""
    on_failure: str | None = None
    """`continue`, or anything else to block."""


def declared(hooks: Mapping[str, Sequence[Matcher]], host: Host) -> tuple[Declared, list[str]]:
    """Return the hooks that are run, and what is said of those for events that there are not."""
    unknown = [event for event in hooks if event not in _EVENTS]
    notices = [
        f"hooks.{event}: there is no such event here; its hooks never run" for event in unknown
    ]
    known = {
        event: tuple(_group(one, host) for one in matchers)
        for event, matchers in hooks.items()
        if event in _EVENTS
    }
    return known, notices


def _group(matcher: Matcher, host: Host) -> Group:
    handlers = (
        Handler(
            callback=_callback(callback_id, host),
            timeout=matcher.timeout or TIMEOUT_S,
            block_on_failure=matcher.on_failure not in {None, "continue"},
        )
        for callback_id in matcher.hook_callback_ids
    )
    return Group(matcher.matcher, tuple(handlers))


def _callback(callback_id: str, host: Host) -> Callback:
    async def call(given: dict[str, Any], tool_use_id: str | None) -> dict[str, Any]:
        return await host.ask(
            "hook_callback", callback_id=callback_id, input=given, tool_use_id=tool_use_id
        )

    return call
