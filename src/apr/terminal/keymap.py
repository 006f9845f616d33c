"""Which keys do what: a data file, and the user's own over it."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct
from prompt_toolkit.keys import ALL_KEYS

from apr.errors import AprError
from apr.home import home
from apr.tools.errors import ToolError
from apr.tools.files import look
from apr.tools.paths import resolve

Strokes = tuple[str, ...]
"""Keys that are pressed one after the other, as prompt_toolkit calls them: `("c-x", "c-e")`."""

_NAMES = {
    "enter": "c-m",
    "tab": "c-i",
    "esc": "escape",
    "escape": "escape",
    "space": " ",
    "backspace": "c-h",
}
_MODIFIERS = ("ctrl", "alt", "shift")
_SAME = {"c-[": "escape", "c- ": "c-@"}
"""What terminals send for one key and for another: they cannot be told apart."""


class KeysError(AprError):
    """Keys that cannot be used. The message says where."""


class Action(Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of an action, as people write them, and what it does."""

    keys: tuple[str, ...]
    does: str = ""


class Keymap(Struct, frozen=True):
    """All actions by name, each with its keys."""

    actions: Mapping[str, Action]

    def bound(self) -> Iterator[tuple[Strokes, str]]:
        """Yield every sequence of keys and the action it stands for."""
        for name, action in self.actions.items():
            for written in action.keys:
                yield strokes(written), name

    def shown(self, action: str) -> str:
        """Return an action's keys as people write them."""
        return ", ".join(self.actions[action].keys)

    def again(self, action: str) -> str | None:
        """Return the key that means an action if it is pressed again, as people write it."""
        written = (one for one in self.actions[action].keys if twice(strokes(one)))
        return next((one.split()[0] for one in written), None)

    def described(self) -> Iterator[tuple[str, str]]:
        """Yield the keys of each action that has some, and what it does."""
        for name, action in self.actions.items():
            if action.keys:
                yield self.shown(name), action.does


def load(folder: Path | None = None) -> tuple[Keymap, str | None]:
    """Return the keys that hold, and what is wrong with the user's file, if it cannot be used.

    Then nothing of it counts, and the built-in keys stay.

    Args:
        folder: where the user's file is; None for apr's home.
    """
    shipped = Keymap(_read(Path(__file__).with_name("keys.toml").read_text("utf-8"), "keys.toml"))
    path = (folder or home()) / "keys.toml"
    try:
        data = look(resolve(path.name, path.parent), str(path)).data or b""
        return over(shipped, data.decode(), str(path)), None
    except FileNotFoundError:
        return shipped, None
    except UnicodeDecodeError:
        problem = f"{path}: not UTF-8"
    except (OSError, ToolError, KeysError) as error:
        problem = str(error)
    return shipped, f"{problem}. The built-in keys are used."


def over(keymap: Keymap, text: str, name: str) -> Keymap:
    """Return the keys with those of a file in place of them. Pure.

    Raises:
        KeysError: the file is no TOML, or names an action or a key that there is not, or two
            actions would have the same keys; it says where in the file, which is called `name`.
    """
    theirs = _read(text, name)
    for action, given in theirs.items():
        where = f"{name}:{_line(text, action)}: {action}"
        if action not in keymap.actions:
            raise KeysError(f"{where}: no such action; there are {', '.join(keymap.actions)}")
        if action == "send" and not given.keys:
            raise KeysError(f"{where}: it needs a key: without one nothing could be sent")
        for written in given.keys:
            try:
                strokes(written)
            except KeysError as error:
                raise KeysError(
                    f"{name}:{_line(text, action, written)}: {action}: {error}"
                ) from None
    merged = Keymap(
        {
            action: msgspec.structs.replace(own, keys=theirs[action].keys)
            if action in theirs
            else own
            for action, own in keymap.actions.items()
        }
    )
    if (found := _clash(merged)) is not None:
        action, other = sorted(found, key=lambda one: one not in theirs)
        raise KeysError(
            f"{name}:{_line(text, action)}: {action}: its keys clash with those of {other} "
            f"({merged.shown(other)})"
        )
    return merged


def strokes(written: str) -> Strokes:
    """Return the keys that `Ctrl-X Ctrl-E` and the like mean.

    Raises:
        KeysError: there is no such key, a terminal does not tell it, or it is needed for typing.
    """
    found: Strokes = ()
    for stroke in written.split():
        found += _stroke(stroke)
    if not found:
        raise KeysError(f"{written!r} is no key")
    if len(found[0]) == 1:
        raise KeysError(f"{written!r} begins with a character, which could then not be typed")
    if found[0] == "c-i":
        raise KeysError(f"{written!r} begins with the key that completes what is typed")
    return found


def twice(keys: Strokes) -> bool:
    """Whether it is one key, pressed again."""
    return len(keys) == 2 and keys[0] == keys[1]


def _stroke(written: str) -> Strokes:
    *modifiers, name = re.split(r"[-+](?=.)", written)
    held = [modifier.lower() for modifier in modifiers]
    unknown = next((modifier for modifier in held if modifier not in _MODIFIERS), None)
    if unknown is not None:
        raise KeysError(f"there is no key {written!r}: before a key stand Ctrl-, Alt+ or Shift+")
    key = name if len(name) == 1 else _NAMES.get(name.lower(), name.lower())
    if "shift" in held and key == "c-i":
        key = "s-tab"
    elif "ctrl" in held or "shift" in held:
        code = ("c-" if "ctrl" in held else "") + ("s-" if "shift" in held else "")
        key = code + (key.lower() if len(key) == 1 else key)
    key = _SAME.get(key, key)
    if len(key) != 1 and (key not in ALL_KEYS or key.startswith("<")):  # <any>: no key but events
        raise KeysError(f"there is no key {written!r} that a terminal could tell")
    return ("escape", key) if "alt" in held else (key,)


def _read(text: str, name: str) -> dict[str, Action]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise KeysError(f"{name}: no TOML: {error}") from None
    except RecursionError:
        raise KeysError(f"{name}: nested too deeply") from None
    actions = {}
    for action, given in data.items():
        try:
            actions[action] = msgspec.convert(given, Action)
        except msgspec.ValidationError as error:
            what = str(error).replace("`$.", f"`{action}.")
            where = f"{name}:{_line(text, action)}: {action}"
            raise KeysError(f'{where}: {what}; it goes like keys = ["Ctrl-R"]') from None
    return actions


def _clash(keymap: Keymap) -> tuple[str, str] | None:
    """Return two actions that one press of keys would mean.

    Keys that begin other keys clash too: of the first, none would know whether more is to come.
    Only Esc, which terminals send before other keys, and a key pressed twice are told by time.
    """
    bound = list(keymap.bound())
    for index, (keys, action) in enumerate(bound):
        for others, other in bound[index + 1 :]:
            shorter, longer = sorted((keys, others), key=len)
            told_by_time = shorter == ("escape",) or (len(shorter) == 1 and twice(longer))
            if longer[: len(shorter)] != shorter or (keys != others and told_by_time):
                continue
            if action != other:
                return action, other
    return None


def _line(text: str, action: str, key: str | None = None) -> int:
    """Return the line, from 1, that an action or one of its keys stands in."""
    name = rf"[\"']?{re.escape(action)}[\"']?"
    begun = re.search(rf"(?m)^\s*(?:\[\s*{name}\s*\]|{name}\s*[.=])", text)
    at = begun.end() if begun else 0
    if key is not None:
        at = max(at, text.find(f'"{key}"', at), text.find(f"'{key}'", at))
    return text.count("\n", 0, at) + 1
