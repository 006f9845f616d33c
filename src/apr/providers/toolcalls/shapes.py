"""What text behind a mark, or at the start of a line, begins: a call, and of which kind.

The answers are about text that is still coming. `WAIT` is the answer for exactly those beginnings
that more text can make a call, so how the text is cut into pieces changes no answer.
"""

from collections.abc import Mapping
from enum import Enum, auto

from apr.patterns import Pattern
from apr.providers.base import ToolSpec
from apr.providers.toolcalls.schema import properties

PHI = "functools"
"""What Phi 4 mini writes before a list of calls."""
LONGEST = 200
"""Characters within which a beginning must show what it is: bounds what is held back."""


class Shape(Enum):
    """How a call goes on."""

    WAIT = auto()
    JSON = auto()
    NAMED = auto()
    """A name, then a JSON object."""
    NUMBERED = auto()
    """A name with namespace and index, then a JSON object: hardly ever anything but a call."""
    PYTHON = auto()
    GEMMA = auto()


_ADDRESSES = tuple(
    f"{role}{channel}to=functions."
    for role in ("", "assistant", "assistant ")
    for channel in ("", "commentary ", "analysis ")
)
_ADDRESSED = Pattern(
    r"(?:assistant)?\s?(?:commentary |analysis )?to=functions\.([\w\-]+?)\s*"
    r"(?:commentary|analysis)?\s*(?:json|code)?\s*\{"
)
_PARTLY_ADDRESSED = Pattern(
    r"(?:assistant)?\s?(?:commentary |analysis )?to=functions\.([\w\-]*)\s*[a-z]*\s*"
)
NAME = Pattern(r"\s*[\w.:\-]{1,128}\s*")

_BEHIND_MARK = (
    (Shape.JSON, Pattern(r"(?:```(?:json)?\s*)?(?:\{|\[\s*[\[{\]])")),
    (Shape.PYTHON, Pattern(r"(?:\[\s*)?[A-Za-z_][\w.\-]*\(")),
    (Shape.GEMMA, Pattern(r"call:[\w.:\-]+\s*\{")),
    (Shape.NAMED, Pattern(r"[\w.:\-]+\s*(?:```(?:json)?\s*)?\{")),
)
_PARTLY_BEHIND_MARK = Pattern(
    r"\[\s*(?:[A-Za-z_][\w.\-]*)?|[\w.:\-]*\s*|[\w.:\-]+ [\w\-]*"
    r"|[\w.:\-]*\s*```(?:j(?:s(?:on?)?)?)?\s*(?:\[\s*)?"
)
_OBJECT = Pattern(
    r"""\[?\s*\{\s*["'](?:name|tool_name|type|function|arguments|parameters|id)["']\s*:"""
)
_PARTLY_OBJECT = Pattern(r"""\[?\s*(?:\{\s*(?:["'][a-z_]{0,10}(?:["']\s*)?)?)?""")
_PYTHON = Pattern(r"\[\s*([A-Za-z_][\w.\-]*)\(")
_PARTLY_PYTHON = Pattern(r"\[\s*([A-Za-z_][\w.\-]*)")
_NAMED = Pattern(r"(functions\.)?([\w\-]+)(:\d+)?[ \t]*")
_FENCED = Pattern(r"(?:function)?([\w\-]+)\s*```(?:json)?\s*\{")
_PARTLY_FENCED = Pattern(r"(?:function)?([\w\-]+)\s*`{0,3}(?:j(?:s(?:on?)?)?)?\s*")


def behind_mark(text: str) -> Shape | None:
    """Return what text behind the mark that opens a call begins; None if nothing known."""
    beginning = text[:LONGEST]
    for shape, pattern in _BEHIND_MARK:
        if pattern.match(beginning):
            return shape
    partly = len(text) <= LONGEST and _PARTLY_BEHIND_MARK.fullmatch(text)
    return Shape.WAIT if partly else None


def _marked_by_word(name: str, brace: str, tools: Mapping[str, ToolSpec]) -> Shape | None:
    """Return what `call:NAME{` begins: what is left of Gemma's calls without their marks."""
    if brace:
        return Shape.GEMMA if name in tools else None
    return Shape.WAIT if any(tool.startswith(name) for tool in tools) else None


def name_and_key(text: str, tools: Mapping[str, ToolSpec]) -> tuple[str, str] | None:
    """Return the tool and the argument whose names are run together, if that is certain."""
    found = [
        (name, key)
        for name in tools
        if text.startswith(name)
        for key in properties(tools[name])
        if key == text[len(name) :].strip()
    ]
    return found[0] if len(found) == 1 else None


def unmarked(
    text: str, tools: Mapping[str, ToolSpec], *, fenced: bool, python: bool
) -> Shape | None:
    """Return what text at the start of a line begins, if it begins a call without any mark.

    Only calls of `tools` count where the name comes first. With `fenced` the arguments may stand
    in a code fence behind the name, as in DeepSeek V3; with `python` a list of calls may also name
    what is no tool.
    """
    shape = _unmarked(text[:LONGEST], tools, fenced=fenced, python=python)
    return None if shape is Shape.WAIT and len(text) > LONGEST else shape


def _unmarked(
    text: str, tools: Mapping[str, ToolSpec], *, fenced: bool, python: bool
) -> Shape | None:
    listed = text.removeprefix(PHI)
    if not listed or (listed[0] in "{[" and (listed[0] == "[" or listed == text)):
        return _bracketed(listed, tools, python=python) if listed else Shape.WAIT
    before, brace, _ = text.partition("{")
    if before.startswith("call:"):
        return _marked_by_word(before.removeprefix("call:"), brace, tools)
    match = _NAMED.fullmatch(before)
    if brace and match and match[2] in tools:
        return Shape.NUMBERED if match[1] and match[3] else Shape.NAMED
    if brace:
        behind = _FENCED.match(text) if fenced else None
        return Shape.NAMED if behind and behind[1] in tools else None
    return Shape.WAIT if _partly_named(before, tools, fenced=fenced) else None


def addressed(text: str, tools: Mapping[str, ToolSpec]) -> str | None:
    """Return the tool that gpt-oss addresses where its marks were stripped from a message's header.

    What is left of it is `commentary to=functions.NAME json{...}`, with or without the spaces.
    """
    match = _ADDRESSED.match(text[:LONGEST])
    return match[1] if match and match[1] in tools else None


def is_address(text: str, tools: Mapping[str, ToolSpec]) -> bool:
    """Whether the text says whom a message is for, and no more."""
    return "=" in text and partly_addressed(text.strip(), tools)


def is_name(text: str, tools: Mapping[str, ToolSpec]) -> bool:
    """Whether the text is a tool's name, perhaps with the namespace and index of Kimi K2."""
    match = _NAMED.fullmatch(text)
    return match is not None and match[2] in tools


def partly_addressed(text: str, tools: Mapping[str, ToolSpec]) -> bool:
    """Whether more text can make this a message that is addressed to a tool."""
    if len(text) > LONGEST:
        return False
    if any(start.startswith(text) for start in _ADDRESSES):
        return True
    match = _PARTLY_ADDRESSED.fullmatch(text)
    return match is not None and any(
        tool.startswith(match[1]) or match[1].startswith(tool) for tool in tools
    )


def _bracketed(text: str, tools: Mapping[str, ToolSpec], *, python: bool) -> Shape | None:
    if _OBJECT.match(text):
        return Shape.JSON
    match = _PYTHON.match(text)
    if match:
        return Shape.PYTHON if python or match[1] in tools else None
    if _PARTLY_OBJECT.fullmatch(text):
        return Shape.WAIT
    match = _PARTLY_PYTHON.fullmatch(text)
    known = match and (python or any(tool.startswith(match[1]) for tool in tools))
    return Shape.WAIT if known else None


def _partly_named(text: str, tools: Mapping[str, ToolSpec], *, fenced: bool) -> bool:
    """Whether the text can become a name of a tool and what may stand between it and `{`."""
    if any(word.startswith(text) for word in ("functions.", "call:", PHI)):
        return True
    name, colon, index = text.removeprefix("functions.").partition(":")
    if colon:
        return name in tools and (not index or index.rstrip(" \t").isdecimal())
    word = name.rstrip(" \t")
    if word != name:
        return word in tools or (fenced and _partly_fenced(text, tools))
    return any(tool.startswith(name) for tool in tools) or (fenced and _partly_fenced(text, tools))


def _partly_fenced(text: str, tools: Mapping[str, ToolSpec]) -> bool:
    if "function".startswith(text):
        return True
    match = _PARTLY_FENCED.fullmatch(text)
    if not match:
        return False
    name = match[1]
    return name in tools or (text.endswith(name) and any(tool.startswith(name) for tool in tools))
