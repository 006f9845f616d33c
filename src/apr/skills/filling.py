"""What stands for something else in a skill or command: arguments, commands, files. Pure parts.

Everything is found in one pass over the text as its author wrote it: what comes in is never looked
through again, so neither an argument nor the output of a command can bring in a command.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from apr.patterns import Pattern

_COMMAND = Pattern(
    r"^```![ \t]*\n(?P<block>.*?)\n```[ \t]*$|(?<!\S)!`(?P<inline>[^`\n]+)`",
    re.DOTALL | re.MULTILINE,
)
_PLACE = (
    r"(?P<escape>\\)?\$(?:ARGUMENTS\[(?P<index>\d{{1,3}})\]|(?P<all>ARGUMENTS)\b"
    r"|(?P<number>\d{{1,3}})(?!\d)|\{{(?P<variable>[A-Z][A-Z0-9_]*)\}}{names})"
)
_FROM_ZERO = Pattern(r"(?<!\\)\$(?:0(?!\d)|ARGUMENTS\[)")
_FILE = Pattern(
    r"(?<![\w`@/.\\])@(?:\"(?P<quoted>[^\"\n]+)\"|(?P<plain>(?:~?[\w.@+-]*/)?[\w./@+-]*[\w/]))"
)
_CODE = Pattern(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)


class Part(Struct, frozen=True):
    """A piece of a text: words, or a command whose output stands in its place."""

    text: str
    command: bool = False


def words(arguments: str) -> list[str]:
    """Return the words of what was given; quotes hold a word together."""
    import shlex

    try:
        return shlex.split(arguments)
    except ValueError:  # a quote that is never closed is an apostrophe
        return arguments.split()


def filled(
    body: str, arguments: str, variables: Mapping[str, str], named: Sequence[str] = ()
) -> list[Part]:
    r"""Return the parts of a text, with what was given in its place.

    `$ARGUMENTS` is all of it, `$ARGUMENTS[0]` its first word, `$name` the word at that name's place
    in `named`, `${NAME}` a variable. `$0` is the first word and `$1` the second; where a text
    counts with neither `$0` nor `$ARGUMENTS[N]`, `$1` is the first, as commands were written
    before. What has no value, and what stands behind `\`, stays. Text in which nothing of that
    stands gets what was given behind it.
    """
    given = words(arguments)
    first = 0 if _FROM_ZERO.search(body) else 1
    names = {name: index for index, name in enumerate(named) if re.fullmatch(r"[A-Za-z_]\w*", name)}
    longest = sorted(names, key=len, reverse=True)
    more = rf"|(?P<name>{'|'.join(longest)})\b" if names else ""
    place = re.compile(_PLACE.format(names=more))
    used = False

    def put(match: re.Match[str]) -> str:
        nonlocal used
        found = match.groupdict()
        if found["escape"]:
            return match[0][1:]
        if found["variable"]:
            return variables.get(found["variable"], match[0])
        if found["all"]:
            used = True
            return arguments
        if found["index"]:
            index = int(found["index"])
        elif found["number"]:
            index = int(found["number"]) - first
        else:
            index = names[found["name"]]
        if not 0 <= index < len(given):
            return match[0]
        used = True
        return given[index]

    parts = [Part(place.sub(put, part.text), part.command) for part in _parts(body)]
    if arguments.strip() and not used:
        parts.append(Part(f"\n\nARGUMENTS: {arguments}"))
    return parts


def files(text: str) -> list[str]:
    """Return what `@` names in a text, each once, outside code. `@"a name"` may hold spaces."""
    if "@" not in text:
        return []
    found = _FILE.finditer(_CODE.sub(" ", text))
    return list(dict.fromkeys(match["quoted"] or match["plain"].rstrip(".") for match in found))


def _parts(body: str) -> Iterable[Part]:
    at = 0
    for match in _COMMAND.finditer(body):
        yield Part(body[at : match.start()])
        yield Part(match["block"] if match["inline"] is None else match["inline"], command=True)
        at = match.end()
    yield Part(body[at:])
