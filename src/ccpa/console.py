"""What reaches the terminal: one way to make a console, and text that cannot command it."""

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # what a terminal obeys instead of showing
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what makes text read in another order
    r"\u2028\u2029"  # what ends a line in some viewers
    r"\ud800-\udfff]"  # what cannot be encoded
)


def plain(text: str) -> str:
    r"""Return untrusted text with all that a terminal would act on spelled out (`\x1b`, `\u202e`).

    Newlines and tabs stay. Use it on every name, message and content from a file or a model.
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    r"""Return untrusted text as `plain` does, with newlines and tabs spelled out (`\n`) as well."""
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")


def on_terminal() -> bool:
    """Say whether a person reads stdout: then colour and tables, else one fact a line."""
    return sys.stdout.isatty()


def console(*, stderr: bool = False) -> "Console":
    """Return a console for stdout or stderr.

    Rich itself honours NO_COLOR, FORCE_COLOR, TERM and COLUMNS. Square brackets in text are text,
    not markup: style with `rich.text.Text` or `style=`. Off a terminal, lines are not wrapped.
    """
    from rich.console import Console

    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    made.soft_wrap = not made.is_terminal
    return made
