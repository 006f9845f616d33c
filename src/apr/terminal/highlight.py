"""Code in colour, by Pygments, which is imported when there is code to show."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from apr.terminal.ink import Line

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

_STYLES = {
    "Comment": "dim",
    "Keyword": "ansimagenta",
    "Keyword.Constant": "ansicyan",
    "Operator.Word": "ansimagenta",
    "Name.Builtin": "ansicyan",
    "Name.Class": "ansiblue",
    "Name.Decorator": "ansicyan",
    "Name.Function": "ansiblue",
    "Name.Attribute": "ansiblue",
    "Name.Tag": "ansimagenta",
    "Literal.String": "ansigreen",
    "Literal.Number": "ansicyan",
    "Generic.Deleted": "ansired",
    "Generic.Inserted": "ansigreen",
    "Generic.Heading": "bold",
    "Generic.Subheading": "ansicyan",
    "Generic.Prompt": "dim",
}
_LONGEST = 1000
"""Characters of a line beyond which code is generated rather than read: it stays without colour."""

_MOST = 40_000
"""Characters that are read at once: lexers are slow on some texts, and people wait."""


@lru_cache(maxsize=32)
def lexer_for(name: str) -> "Lexer | None":
    """Return what reads a language, by its name or by a file's; None where nothing does."""
    from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
    from pygments.util import ClassNotFound

    find = get_lexer_for_filename if "." in name else get_lexer_by_name
    try:
        return find(name, stripnl=False, ensurenl=False) if name else None
    except ClassNotFound:
        return None


def highlighted(lines: Sequence[str], name: str) -> list[Line]:
    """Return lines of code in colour, as the language or file `name` says.

    They are read as one text, from its beginning. Each comes back as it was, cut into runs.
    """
    lexer = lexer_for(name)
    too_much = sum(map(len, lines)) > _MOST or any(len(line) > _LONGEST for line in lines)
    if lexer is None or too_much:
        return [[("", line)] for line in lines]
    shown: list[Line] = [[]]
    for token, text in lexer.get_tokens("\n".join(lines)):
        style = _style(token)
        first, *further = text.split("\n")
        if first:
            shown[-1].append((style, first))
        shown += [[(style, part)] if part else [] for part in further]
    if len(shown) != len(lines):  # a lexer that changes the text is none for us
        return [[("", line)] for line in lines]
    return shown


@lru_cache(maxsize=256)
def _style(token: "_TokenType") -> str:
    while token.parent is not None:
        if (style := _STYLES.get(str(token).removeprefix("Token."))) is not None:
            return style
        token = token.parent
    return ""
