"""Untrusted text on a terminal: what a model, a file or a command says must not drive it."""

import os
from functools import cache
from typing import TextIO

from apr.legible import legible


@cache
def _visible() -> dict[int, str]:
    """Return what stands for each code that could drive a terminal. It takes a millisecond."""
    # C0 and C1 controls but tab and newline.
    controls = {
        code: f"\\x{code:02x}"
        for code in (*range(0x20), *range(0x7F, 0xA0))
        if code not in {0x09, 0x0A}
    }
    # What turns the direction of text round, or ends a line or paragraph without being a line's
    # end: by it a text can be read otherwise than what reads it as a program does ("Trojan
    # Source").
    turning = {
        code: f"\\u{code:04x}"
        for code in (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
    }
    # Letters that nobody sees: tags spell ASCII a second time.
    unseen = {code: f"\\U{code:08x}" for code in range(0xE0000, 0xE0080)}
    return controls | turning | unseen | _halves()


@cache
def _halves() -> dict[int, str]:
    """Return what stands for the halves of characters: no terminal can be sent them."""
    return dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


@cache
def _no_bytes() -> dict[int, str]:
    """Return the halves but those that stand for bytes, which `legible` knows."""
    return {code: mark for code, mark in _halves().items() if not 0xDC80 <= code < 0xDD00}


def plain(text: str) -> str:
    r"""Return the text with all that could drive a terminal made visible (`\x1b`)."""
    return text.translate(_visible())


def line(text: str) -> str:
    """Return the text on one line, with what the system's names may hold made legible, and `plain`.

    What a file or a stranger calls a thing must not look like another line of ours.
    """
    return plain(legible(text.translate(_no_bytes()))).replace("\n", " ").replace("\t", " ")


def coloured(stream: TextIO) -> bool:
    """Whether colour is wanted on this stream: a terminal, no `NO_COLOR`, not dumb."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
