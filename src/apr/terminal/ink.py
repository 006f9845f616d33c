"""Text with its style, and how that is told to a terminal.

Only the sixteen colours that every terminal has, and of those the ones that can be read on light
and on dark ground; the terminal's owner has chosen what they look like. A style is a few words
(`bold ansicyan`), as prompt_toolkit reads them.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

Run = tuple[str, str]
"""A style, and the text that has it."""
Line = list[Run]

_SGR = {
    "bold": "1", "dim": "2", "italic": "3", "underline": "4", "reverse": "7", "strike": "9",
    "ansired": "31", "ansigreen": "32", "ansiyellow": "33", "ansiblue": "34", "ansimagenta": "35",
    "ansicyan": "36",
}  # fmt: skip
RESET = "\x1b[0m"


@lru_cache(maxsize=256)
def sgr(style: str) -> str:
    """Return the escape sequence that begins a style; none for none."""
    codes = [_SGR[word] for word in style.split()]
    return f"\x1b[{';'.join(codes)}m" if codes else ""


def painted(line: Iterable[Run], *, colour: bool) -> str:
    """Return a line as a terminal takes it; without colour only what it says."""
    if not colour:
        return said(line)
    runs = ((style, said(some)) for style, some in groupby(line, key=itemgetter(0)))
    return "".join(f"{sgr(style)}{text}{RESET}" if style else text for style, text in runs)


def said(line: Iterable[Run]) -> str:
    """Return what a line says."""
    return "".join(text for _, text in line)


def also(line: Iterable[Run], style: str) -> Line:
    """Return a line that has a further style."""
    return [(f"{own} {style}".strip(), text) for own, text in line]
