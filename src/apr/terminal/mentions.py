"""How a file is named in what somebody types: `@path` in a prompt, a word in a shell line. Pure.

Whatever is written here is read as the same path: what cannot be written so that it is, is not.
"""

import shlex
from collections.abc import Callable

from msgspec import Struct

from apr.patterns import Pattern
from apr.skills import filling

_MENTION = Pattern(r"(?<![\w`@/.\\])@(?:\"([^\"\n]*)(?:\"([^\s\"]*))?|([^\s\"`]*))\Z")
_WORD = Pattern(r"(?:[^\s'\"\\|&;<>()`$]|\\.|'[^']*(?:'|\Z)|\"[^\"$`]*(?:\"|\Z))*\Z")
_QUOTED = Pattern(r"\\(.)|'([^']*)'?|\"([^\"]*)\"?|([^'\"\\]+)")
_LOOKED_AT = 1000
"""Characters before the cursor among which the name that is being typed begins."""


class Typed(Struct, frozen=True):
    """A name that somebody is typing."""

    path: str
    length: int
    """Characters before the cursor that it takes up, with all that marks it."""
    write: Callable[[str], str | None]
    """Returns how a path is written in its place, None where it cannot be."""


def mention(before: str) -> Typed | None:
    """Return the `@path` that ends at the cursor, from the text before it."""
    match = _MENTION.search(before[-_LOOKED_AT:])
    if match is None:
        return None
    quoted, behind, bare = match.groups()
    path = bare if quoted is None else quoted + (behind or "")
    return Typed(path.removeprefix("./"), len(match[0]), as_mention)


def as_mention(path: str) -> str | None:
    """Return what is read as this path in a prompt: `@src/main.c`, `@"a name"`."""
    for text in (f"@{path}", f'@"{path}"'):
        if filling.files(text) == [path] and "`" not in path:  # another may make it code
            return text
    return None


def shell_word(before: str) -> Typed | None:
    """Return the word of a shell line that ends at the cursor, from the line before it."""
    match = _WORD.search(before[-_LOOKED_AT:])
    if match is None or not match[0]:
        return None
    pieces = (piece.groups("") for piece in _QUOTED.finditer(match[0]))
    path = "".join("".join(piece) for piece in pieces)
    return Typed(path, len(match[0]), as_shell_word)


def as_shell_word(path: str) -> str | None:
    """Return what a shell reads as this path; `~/` stays the home directory."""
    home, rest = ("~/", path[2:]) if path.startswith("~/") else ("", path)
    if not home and path.startswith("-"):
        rest = f"./{path}"  # no option
    return home + (shlex.quote(rest) if rest else "")
