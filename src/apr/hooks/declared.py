"""Hooks as they are declared: an event, who it must concern, and what is run."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

TIMEOUT_S = 60.0

Callback = Callable[[dict[str, Any], str | None], Awaitable[dict[str, Any]]]
"""Takes the event's data and the tool use id, returns what a command would print as JSON."""

_NAMES = re.compile(r"[\w|-]*")


class Handler(Struct, frozen=True, kw_only=True):
    """One thing to run: a shell command, or a function of a program that drives the agent."""

    command: str = ""
    callback: Callback | None = None
    timeout: float = TIMEOUT_S
    """Seconds."""
    background: bool = False
    """Whether nobody waits for it. It can decide nothing then."""
    block_on_failure: bool = False
    """Whether it blocks where it cannot be run, takes too long, or fails."""
    condition: str | None = None
    """A permission rule that the tool use must match for it to run."""
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)
    """What it finds in its environment besides."""


class Group(Struct, frozen=True):
    """Handlers that run for the same subjects. `matcher` as in the settings; None matches all."""

    matcher: str | None
    handlers: tuple[Handler, ...]


Declared = Mapping[str, Sequence[Group]]
"""By event, in the order of the settings."""


def matches(matcher: str | None, subject: str) -> bool:
    """Whether a matcher fits a subject: a tool's name, or what kind of an event it is.

    Names, with `|` between them, must be met exactly; anything else is a regular expression that is
    searched for. `*` and nothing match all, and every matcher an event that has no subject.
    """
    if not subject or matcher is None or matcher in {"", "*"}:
        return True
    if _NAMES.fullmatch(matcher):
        return subject in matcher.split("|")
    try:
        return re.search(matcher, subject) is not None
    except re.error:
        return False


def problems(declared: Declared) -> list[str]:
    """Return what is wrong with the matchers, in words."""
    found = []
    for event, groups in declared.items():
        for group in groups:
            try:
                re.compile(group.matcher if group.matcher not in {None, "*"} else "")
            except re.error as error:
                found.append(f"hooks.{event}: the matcher {group.matcher!r} fits nothing: {error}")
    return found
