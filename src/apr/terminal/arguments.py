"""What may stand behind a command of the terminal, where that can be told: for completion.

These read settings, disks and sessions, so they are not called on the event loop.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from apr.agent.permissions import MODES
from apr.errors import AprError
from apr.terminal.commands import ALIASES, COMMANDS, Desk
from apr.terminal.entries import beginning

Choice = tuple[str, str]
"""What may stand behind a command's name, and what there is to say of it."""
Offer = Callable[[Desk, str], Iterable[Choice]]
"""Takes what has been typed behind the name; what it returns need not fit that."""

_SESSIONS = 30
"""Sessions that are offered, the last worked on first."""
_KEPT_S = 10.0
"""Time for which what a disk has been searched for is known: people type several letters."""
_KINDS = ("allow", "ask", "deny")


def _kept(offer: Offer) -> Offer:
    """Return an offer that does not depend on what is typed, and is made once in a while."""
    made: dict[Path, tuple[float, list[Choice]]] = {}

    def again(desk: Desk, typed: str) -> Iterable[Choice]:
        if desk.root not in made or time.monotonic() - made[desk.root][0] > _KEPT_S:
            made[desk.root] = (time.monotonic(), list(offer(desk, typed)))
        return made[desk.root][1]

    return again


def _words(*words: str) -> Offer:
    return lambda _desk, _typed: ((word, "") for word in words)


def _commands(_desk: Desk, _typed: str) -> Iterator[Choice]:
    yield from ((name, command.description) for name, command in COMMANDS.items())


def _models(desk: Desk, _typed: str) -> Iterator[Choice]:
    from apr.models.discovery import found
    from apr.ui.amounts import size

    yield from (
        (model.name, size(model.size)) for model in found(os.environ, desk.root) if model.info
    )


def _sessions(desk: Desk, _typed: str) -> Iterator[Choice]:
    from apr.sessions.finding import Summary, summaries

    for session in islice(summaries(desk.root), _SESSIONS):
        if isinstance(session, Summary) and session.id != desk.assembled.agent.session.id:
            yield session.id, session.name or session.first_prompt


def _permissions(desk: Desk, typed: str) -> Iterator[Choice]:
    policy = desk.policy
    for kind, rules in zip(_KINDS, (policy.allow, policy.ask, policy.deny), strict=True):
        yield kind, f"add a rule: {kind} RULE"
        yield from ((f"remove {rule}", kind) for rule in rules)
    kind = typed.partition(" ")[0]
    if kind in _KINDS:
        yield from ((f"{kind} {name}", "") for name in list(desk.assembled.agent.tools))


def _settings(_desk: Desk, _typed: str) -> Iterator[Choice]:
    from apr.settings.schema import keys

    yield from ((key, "") for key in keys())


def _directories(desk: Desk, typed: str) -> Iterator[Choice]:
    yield from ((path, "") for path in beginning(typed, desk.root) if path.endswith("/"))


ARGUMENTS: dict[str, Offer] = {
    "add-dir": _directories,
    "config": _settings,
    "debug": _words("on", "off"),
    "help": _commands,
    "mcp": _words("approve", "reject", "reconnect", "on", "off"),
    "mode": _words(*MODES),
    "model": _kept(_models),
    "permissions": _permissions,
    "plugins": _words("enable", "disable"),
    "resume": _kept(_sessions),
}
"""By the command's name."""


def offered_behind(desk: Desk, name: str, typed: str) -> list[Choice]:
    """Return what may stand behind a command's name, whether or not it fits what is typed."""
    offer = ARGUMENTS.get(ALIASES.get(name, name))
    try:
        return list(offer(desk, typed)) if offer is not None else []
    except (AprError, OSError):  # whoever runs the command is told
        return []
