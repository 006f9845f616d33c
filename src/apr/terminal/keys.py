"""The keys of the keymap, bound to what they do."""

import time
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct
from prompt_toolkit.application import get_app
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import (
    Always,
    Condition,
    Filter,
    Never,
    emacs_mode,
    has_focus,
    vi_navigation_mode,
)
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.keys import Keys

from apr.terminal.keymap import Keymap, twice

TWICE_S = 2.0
"""Time in which a key is pressed again."""
ESC_FREE = emacs_mode | vi_navigation_mode
"""Whether Esc has no meaning for vi's keys."""
_TYPING = has_focus(DEFAULT_BUFFER)


class Deed(Struct, frozen=True):
    """What an action does, and when its keys mean it: at other times they are free for others."""

    do: Callable[[KeyPressEvent], Awaitable[None] | None]
    when: Filter = Always()
    saves: bool = True
    """Whether the line as it was before can be had back by undo."""


def bindings(keymap: Keymap, deeds: Mapping[str, Deed]) -> KeyBindings:
    """Return what the keys do.

    Args:
        keymap: the actions and their keys.
        deeds: what each action does. One that is not here does nothing.
    """
    keys = KeyBindings()
    once: dict[str, Deed] = {}
    again: dict[str, Deed] = {}
    for strokes, action in keymap.bound():
        deed = deeds.get(action)
        if deed is None:
            continue
        if len(strokes) == 1:
            once[strokes[0]] = deed
        elif twice(strokes):
            again[strokes[0]] = deed
        else:
            _bind(keys, strokes, deed)
    pressed = {key: _pressed(once.get(key), again.get(key)) for key in (*once, *again)}
    for key, deed in pressed.items():
        _bind(keys, (key,), deed)
    # As prompt_toolkit has it, but at once: that waits for what may follow, Enter as of Alt+Enter.
    _bind(keys, ("escape",), Deed(_to_normal_mode, ~ESC_FREE))
    if "c-c" in pressed:  # the signal, as `kill -INT` sends it
        _bind(keys, (Keys.SIGINT,), pressed["c-c"])
    return keys


@Condition
def _alone() -> bool:
    """Whether no key came with the one at hand: terminals send Alt+Enter as Esc and Enter."""
    return all(key.key == Keys.CPRResponse for key in get_app().key_processor.input_queue)


def _bind(keys: KeyBindings, strokes: tuple[str, ...], deed: Deed) -> None:
    keys.add(
        *strokes,
        filter=_TYPING & deed.when,
        eager=_alone if strokes == ("escape",) else False,
        save_before=lambda _event: deed.saves,
    )(deed.do)


def _pressed(once: Deed | None, again: Deed | None) -> Deed:
    """Return what a key does that does one thing, and another if it is pressed again soon.

    The second counts where it would have counted at the first press too, and nothing was typed
    between them.
    """
    once = once or Deed(lambda _event: None, Never())
    if again is None:
        return once
    first, second = once, again
    last: list[tuple[float, str]] = []

    def do(event: KeyPressEvent) -> Awaitable[None] | None:
        now, counts = time.monotonic(), second.when()
        before = last.pop() if last else None
        if before and counts and now - before[0] < TWICE_S and before[1] == _text(event):
            return second.do(event)
        done = first.do(event) if first.when() else None
        if counts:
            last.append((now, _text(event)))
        return done

    return Deed(do, first.when | second.when, first.saves)


def _to_normal_mode(event: KeyPressEvent) -> None:
    buffer, state = event.current_buffer, event.app.vi_state
    if state.input_mode in {InputMode.INSERT, InputMode.REPLACE}:
        buffer.cursor_position += buffer.document.get_cursor_left_position()
    state.input_mode = InputMode.NAVIGATION
    buffer.exit_selection()


def _text(event: KeyPressEvent) -> str:
    return event.current_buffer.text
