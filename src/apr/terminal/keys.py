"""The keys that do something beyond editing the line."""

import msgspec
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from apr.agent.loop import Agent
from apr.agent.permissions import Mode
from apr.terminal.screen import Screen

_CYCLE: tuple[Mode, ...] = ("default", "acceptEdits", "plan")


def bindings(agent: Agent, screen: Screen) -> KeyBindings:
    """Return what the keys do."""
    keys = KeyBindings()

    @keys.add("s-tab")
    def _(_event: KeyPressEvent) -> None:
        gate = agent.gate
        at = _CYCLE.index(gate.policy.mode) if gate.policy.mode in _CYCLE else -1
        mode = _CYCLE[(at + 1) % len(_CYCLE)]
        gate.policy = msgspec.structs.replace(gate.policy, mode=mode)

    @keys.add("escape")
    def _(_event: KeyPressEvent) -> None:
        if screen.doing:
            agent.interrupt()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
