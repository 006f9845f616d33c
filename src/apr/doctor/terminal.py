"""The terminal that this is run at, and what the prompt of `apr code` makes of it."""

import codecs
import shutil
import sys
from collections.abc import Iterator, Mapping

from apr.doctor.finding import Finding

_WITHOUT_PASTE_MARKS = frozenset({"linux", "vt100", "vt102", "vt220", "ansi", "cons25"})
"""Terminals that send what is pasted as if it were typed."""
_DEEP = frozenset({"truecolor", "24bit"})


def terminal(env: Mapping[str, str]) -> Iterator[Finding]:
    """Look at what the terminal says of itself. Nothing is asked of it."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        yield Finding("terminal", "ok", "this is run at none")
        return
    name = env.get("TERM", "")
    encoding = sys.stdout.encoding or "ascii"
    if not name or name == "dumb":
        do = "set TERM to what your terminal is, as xterm-256color"
        yield Finding("terminal", "note", "TERM names none: all is shown as plain lines", do)
    elif name in _WITHOUT_PASTE_MARKS:
        says = f"{name} does not tell pasted lines from typed ones: each is sent as a prompt"
        yield Finding("terminal", "note", says, "use another terminal, or tmux in this one")
    if not _is_utf8(encoding):
        says = f"it is said to show {encoding}: names and drawings come out as other letters"
        yield Finding("terminal", "note", says, "set LANG to a locale of UTF-8, as C.UTF-8")
    if name and name != "dumb" and _is_utf8(encoding):
        yield Finding("terminal", "ok", f"{name}, UTF-8, {_colours(name, env)}")


def clipboard() -> Iterator[Finding]:
    """Look for a program that gives the picture in the clipboard."""
    from apr.terminal.clipboard import PROGRAMS

    found = [one.command[0] for one in PROGRAMS if shutil.which(one.command[0])]
    if found:
        yield Finding("clipboard", "ok", f"pictures are read by {found[0]}")
        return
    do = "pngpaste" if sys.platform == "darwin" else "wl-clipboard on Wayland, xclip on X11"
    says = "no program gives the pictures in it; their files can be named all the same"
    yield Finding("clipboard", "note", says, f"to paste pictures, install {do}")


def keys() -> Iterator[Finding]:
    """Read the user's keys."""
    from apr.terminal.keymap import load

    keymap, problem = load()
    if problem is not None:
        yield Finding("keys", "broken", problem, "correct it there; /help lists the actions")
    else:
        bound = sum(1 for _ in keymap.bound())
        yield Finding("keys", "ok", f"{bound} for {len(keymap.actions)} actions")


def _is_utf8(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False


def _colours(name: str, env: Mapping[str, str]) -> str:
    if env.get("NO_COLOR"):
        return "no colours (NO_COLOR is set)"
    if env.get("COLORTERM", "").lower() in _DEEP:
        return "16 million colours"
    return "256 colours" if "256color" in name else "16 colours"
