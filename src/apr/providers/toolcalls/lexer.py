"""Model text in pieces of any size -> tokens: the tags that may matter, and the text between them.

The lexer knows spellings, not meanings: whether a tag opens a call or is merely mentioned is
decided by `stream`. A token's `raw` is the exact text it stands for, so tokens can be joined back.
"""

import re
from enum import Enum, auto

from msgspec import Struct

LONGEST = 160
"""Characters that a tag, or a run of backticks, can have at most: bounds what is held back."""


class Kind(Enum):
    """What a token is."""

    TEXT = auto()
    NEWLINE = auto()
    FENCE = auto()
    """A run of backticks or of tildes: Markdown's quotation marks."""
    CALL = auto()
    END_CALL = auto()
    FUNCTION = auto()
    END_FUNCTION = auto()
    PARAMETER = auto()
    END_PARAMETER = auto()
    THINK = auto()
    END_THINK = auto()
    END = auto()
    """The model ended its output; `raw` is empty."""
    CUT = auto()
    """The output was cut off (a token limit); `raw` is empty."""


class Token(Struct, frozen=True):
    """A piece of the output. `name` is that of a function or parameter tag."""

    kind: Kind
    raw: str
    name: str = ""

    @property
    def blank(self) -> bool:
        """Whether this is white space only."""
        return self.kind is Kind.NEWLINE or (self.kind is Kind.TEXT and self.raw.isspace())


ENDS = frozenset({Kind.END, Kind.CUT})

_FIXED = {
    "<tool_call>": Kind.CALL,
    "</tool_call>": Kind.END_CALL,
    "</function>": Kind.END_FUNCTION,
    "</parameter>": Kind.END_PARAMETER,
    "<think>": Kind.THINK,
    "</think>": Kind.END_THINK,
    "\n": Kind.NEWLINE,
}
_NAMED = {"function": Kind.FUNCTION, "parameter": Kind.PARAMETER}
_NAMED_STARTS = ("<function", "<parameter")
_UNFINISHED = re.compile(
    r"""<(?:function|parameter)(?:[ ]?|[ ]n(?:am?)?|[ ]name[ ]?|(?:[ ]name)?[ ]?=[^<>\n]*)
    | <tool_call[ ][^<>\n]* | </parameter[\w/ ]*""",
    re.VERBOSE,
)
# Tags as specified and as models vary them: names in quotes or as `name=`, a `>` that is forgotten,
# attributes on a call, and the closers </parameter/>, </parameter1> and </parameter_function>.
_TOKEN = re.compile(
    r"""[^<`~\n]+ | \n | `{1,160} | ~{1,160}
    | </?tool_call> | <tool_call[ ][^<>\n]{1,128}> | </function> | </?think>
    | </parameter[\w/ ]{0,32}(?:>|(?=\n))
    | <(function|parameter)(?:[ ]?=|[ ]name[ ]?=)[ ]?(["']?)([^\s"'<>=]{1,128})\2[ ]?(?:>|(?=\n))
    | <""",
    re.VERBOSE,
)


class Lexer:
    """Splits text into tokens. Text that cannot become a tag comes out at once."""

    def __init__(self) -> None:
        self._tail = ""

    def feed(self, text: str) -> list[Token]:
        """Return the tokens that are certain; how the text is cut into pieces changes no tag."""
        return self._lex(self._tail + text, final=False)

    def finish(self, *, cut: bool) -> list[Token]:
        """Return what was held back, and the token that ends the output."""
        return [*self._lex(self._tail, final=True), Token(Kind.CUT if cut else Kind.END, "")]

    def _lex(self, text: str, *, final: bool) -> list[Token]:
        tokens = []
        position = 0
        while position < len(text):
            if not final and _may_grow(text, position):
                break
            match = _TOKEN.match(text, position)
            assert match is not None  # noqa: S101 - the alternatives cover every character
            tokens.append(_token(match))
            position = match.end()
        self._tail = text[position:]
        return tokens


def _token(match: re.Match[str]) -> Token:
    raw = match[0]
    if match[1]:
        return Token(_NAMED[match[1]], raw, match[3])
    if raw[0] in "`~":
        return Token(Kind.FENCE, raw)
    if raw.startswith("</parameter"):
        return Token(Kind.END_PARAMETER, raw)
    if raw.startswith("<tool_call"):
        return Token(Kind.CALL, raw)
    return Token(_FIXED.get(raw, Kind.TEXT), raw)


def _may_grow(text: str, start: int) -> bool:
    """Whether the text from `start` on could become another token with more text behind it."""
    if len(text) - start > LONGEST:
        return False
    rest = text[start:]
    if rest[0] in "`~":
        return len(rest) < LONGEST and not rest.strip(rest[0])
    if any(tag.startswith(rest) and tag != rest for tag in (*_FIXED, *_NAMED_STARTS)):
        return True
    return _UNFINISHED.fullmatch(rest) is not None
