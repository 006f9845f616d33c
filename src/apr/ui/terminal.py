"""Untrusted text on a terminal: what a model, a file or a command says must not drive it."""

import os
import re
from functools import cache
from typing import TextIO

from apr.legible import legible

_IDLE = "(?<=[\x00-\x7f])[\u200c\u200d\ufe00-\ufe0f]+(?!\u20e3)"
"""Joiners and variants of letters that have none: unseen, too. A digit becomes a key's by one."""


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
    # Letters that nobody sees, so that two names look alike; tags spell ASCII a second time.
    unseen = {
        code: f"\\u{code:04x}"
        for code in (
            *(0x00AD, 0x115F, 0x1160, 0x180E, 0x200B, *range(0x2060, 0x2065)),
            *(*range(0x206A, 0x2070), 0x3164, 0xFEFF, 0xFFA0, *range(0xFFF9, 0xFFFC)),
        )
    }
    tags = {code: f"\\U{code:08x}" for code in range(0xE0000, 0xE0080)}
    return controls | turning | unseen | tags | _halves()


@cache
def _halves() -> dict[int, str]:
    """Return what stands for the halves of characters: no terminal can be sent them."""
    return dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


@cache
def _no_bytes() -> dict[int, str]:
    """Return the halves but those that stand for bytes, which `legible` knows."""
    return {code: mark for code, mark in _halves().items() if not 0xDC80 <= code < 0xDD00}


def plain(text: str) -> str:
    r"""Return the text with all that could drive a terminal, or is unseen, be seen (`\x1b`)."""
    shown = text.translate(_visible())
    return shown if shown.isascii() else re.sub(_IDLE, _told, shown)


def _told(marks: re.Match[str]) -> str:
    return "".join(f"\\u{ord(mark):04x}" for mark in marks[0])


def line(text: str) -> str:
    """Return the text on one line, with what the system's names may hold made legible, and `plain`.

    What a file or a stranger calls a thing must not look like another line of ours.
    """
    return plain(legible(text.translate(_no_bytes()))).replace("\n", " ").replace("\t", " ")


def coloured(stream: TextIO) -> bool:
    """Whether colour is wanted on this stream: a terminal, no `NO_COLOR`, not dumb."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
