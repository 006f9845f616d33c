"""What stands for something else in a skill or command: arguments, commands, files. Pure parts.

`$ARGUMENTS` is all that was given, `$1` the first word, `$ARGUMENTS[0]` too. Text in which nothing
of that stands gets what was given behind it. `` !`command` `` is its output, `@file` its content.
"""

import re
import shlex
from collections.abc import Iterator, Mapping

_PLACE = re.compile(r"\$(?:ARGUMENTS\[(\d{1,3})\]|(ARGUMENTS)\b|(\d{1,3})(?!\d))")
_NAMED = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_SHELL = re.compile(r"!`([^`\n]+)`")
_FILE = re.compile(r"(?<![\w`@/.\\])@((?:~?[\w.@+-]*/)?[\w./@+-]*[\w/])")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)


def words(arguments: str) -> list[str]:
    """Return the words of what was given; quotes hold a word together."""
    try:
        return shlex.split(arguments)
    except ValueError:  # a quote that is never closed is an apostrophe
        return arguments.split()


def fill(body: str, arguments: str, names: Mapping[str, str]) -> str:
    """Put in what was given, and `${NAMES}`."""
    given = words(arguments)
    used = False

    def place(match: re.Match[str]) -> str:
        nonlocal used
        used = True
        if match[2]:
            return arguments
        index = int(match[1]) if match[1] is not None else int(match[3]) - 1
        return given[index] if 0 <= index < len(given) else ""

    filled = _NAMED.sub(lambda match: names.get(match[1], match[0]), _PLACE.sub(place, body))
    if arguments.strip() and not used:
        filled = f"{filled.rstrip()}\n\nARGUMENTS: {arguments}"
    return filled


def commands(text: str) -> list[str]:
    """Return the commands whose output stands in a text, each once."""
    return list(dict.fromkeys(match[1] for match in _SHELL.finditer(text)))


def put_output(text: str, outputs: Mapping[str, str]) -> str:
    """Put the output of commands in their place."""
    return _SHELL.sub(lambda match: outputs.get(match[1], match[0]), text)


def files(text: str) -> list[str]:
    """Return what `@` names in a text, each once, outside code."""
    return list(dict.fromkeys(_named(_CODE.sub(" ", text))))


def _named(text: str) -> Iterator[str]:
    for match in _FILE.finditer(text):
        yield match[1].rstrip(".")
