"""Untrusted text on a terminal: what a model, a file or a command says must not drive it."""

import os
from typing import TextIO

from apr.legible import legible

# C0 and C1 controls but tab and newline.
_CONTROLS = {
    code: f"\\x{code:02x}"
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if code not in {0x09, 0x0A}
}
# What turns the direction of text round, or ends a line or paragraph without being a line's end:
# by it a text can be read otherwise than what reads it as a program does ("Trojan Source").
_TURNING = {
    code: f"\\u{code:04x}"
    for code in (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
# Letters that nobody sees: tags spell ASCII a second time.
_UNSEEN = {code: f"\\U{code:08x}" for code in range(0xE0000, 0xE0080)}
# Halves of characters: no terminal can be sent them.
_HALVES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
# But some stand for bytes, which `legible` knows.
_NO_BYTES = {code: mark for code, mark in _HALVES.items() if not 0xDC80 <= code < 0xDD00}
_VISIBLE = _CONTROLS | _TURNING | _UNSEEN | _HALVES


def plain(text: str) -> str:
    r"""Return the text with all that could drive a terminal made visible (`\x1b`)."""
    return text.translate(_VISIBLE)


def line(text: str) -> str:
    """Return the text on one line, with what the system's names may hold made legible, and `plain`.

    What a file or a stranger calls a thing must not look like another line of ours.
    """
    return plain(legible(text.translate(_NO_BYTES))).replace("\n", " ").replace("\t", " ")


def coloured(stream: TextIO) -> bool:
    """Whether colour is wanted on this stream: a terminal, no `NO_COLOR`, not dumb."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
