"""What the agent asks of hooks, and what it hears back. Who has none pays nothing."""

from typing import Any, Literal, Protocol

from msgspec import Struct

from ccpa.trace import HookEvent

HookName = Literal[
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "PostToolUseFailure",
    "SubagentStart",
    "SubagentStop",
    "PreCompact",
    "PostCompact",
    "Notification",
    "Stop",
    "SessionEnd",
]


class Fired(Struct, frozen=True, kw_only=True):
    """What all hooks of one event came to, together."""

    events: tuple[HookEvent, ...] = ()
    """One for each hook that ran, in order of the settings; their turn is the caller's to set."""
    behavior: Literal["allow", "ask", "deny"] | None = None
    """What they decided, the strictest first; a hook that blocks denies. None: nothing."""
    reason: str = ""
    """Why, for the model."""
    updated_input: dict[str, Any] | None = None
    """What the tool is to be called with instead."""
    context: tuple[str, ...] = ()
    """What the model is to read besides."""
    stop: str | None = None
    """A hook has ended the run (`continue: false`), and why."""
    notices: tuple[str, ...] = ()
    """What a person should know of: errors of hooks that do not block."""


NOTHING = Fired()


class Hooks(Protocol):
    """Runs the hooks of an event."""

    async def fire(
        self,
        event: HookName,
        *,
        subject: str = "",
        tool_use_id: str | None = None,
        **payload: Any,
    ) -> Fired:
        """Run every hook of the event whose matcher fits `subject`.

        `payload` is what the hooks read of the event, besides what every hook reads. A hook that
        fails never raises: it is an event that warns.
        """
        ...


class NoHooks:
    """No hooks at all."""

    async def fire(
        self,
        event: HookName,
        *,
        subject: str = "",
        tool_use_id: str | None = None,
        **payload: Any,
    ) -> Fired:
        """Nothing happens."""
        return NOTHING
