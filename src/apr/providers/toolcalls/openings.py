"""What follows a mark, or begins a line, is read until it is clear whether a call begins there."""

from collections.abc import Collection, Mapping
from enum import Enum, auto

from msgspec import Struct

from apr.providers.base import ToolSpec
from apr.providers.toolcalls import shapes
from apr.providers.toolcalls.families import Family
from apr.providers.toolcalls.lexer import ENDS, Kind, Token
from apr.providers.toolcalls.shapes import Shape
from apr.providers.toolcalls.trial import WORDS, Trial

_SECTIONS = frozenset({"kimi", "deepseek"})
"""Forms whose calls have marks of their own inside of the section that a mark opens."""
_CHARACTERS = frozenset({Kind.TEXT, Kind.NEWLINE, Kind.FENCE, Kind.STOP})


_FORMS = {Shape.JSON: "json", Shape.PYTHON: "python", Shape.GEMMA: "gemma"}


class Found(Enum):
    """What an opening turns out to be."""

    TAGS = auto()
    """A call in tags."""
    CALL = auto()
    """A call in the verdict's shape."""
    ATTEMPT = auto()
    """Something that was meant as a call."""
    SECTION = auto()
    """A mark that opens nothing yet, and is none of the answer's text either."""
    HEADER = auto()
    """The header of a message, of which the first mark is missing."""
    TEXT = auto()


class Verdict(Struct, frozen=True):
    """What was found, and how to go on: with which tokens, in which shape, on what trial."""

    found: Found
    tokens: tuple[Token, ...] = ()
    shape: Shape = Shape.WAIT
    trial: Trial = Trial.NONE
    name: str = ""
    """The tool's name, where it has been read already."""


class Marked:
    """Behind a mark that opens a call, if one follows.

    Args:
        opener: the mark.
        tools: those that can be called.
        family: the model's.
        own: the forms that are the model's own.
        line_start: the mark is the first thing on its line.
    """

    def __init__(
        self,
        opener: Token,
        tools: Mapping[str, ToolSpec],
        family: Family | None,
        own: Collection[str],
        *,
        line_start: bool,
    ) -> None:
        self._opener = opener
        self._tools = tools
        self._family = family
        self._own = opener.form in own
        self._line_start = line_start
        self._sure = opener.form == "tool_call" and line_start
        self._seen: set[Kind] = set()
        self._head = ""
        self._tokens: list[Token] = []

    def push(self, token: Token) -> Verdict | None:
        """Read a token. Returns None to get more."""
        if token.kind in _CHARACTERS:
            return self._characters(token)
        name = self._head.strip()
        self._tokens.append(token)
        if not name:
            return self._mark(token)
        if token.kind is Kind.CALL and self._family == "glm" and name in self._tools:
            self._tokens.pop()  # written where the first key should begin
            return None
        if token.kind is Kind.END_KEY and (split := shapes.name_and_key(name, self._tools)):
            return self._tags(split[0], Token(Kind.PARAMETER, token.raw, split[1], "glm"))
        return self._behind_name(token, name) if shapes.NAME.fullmatch(self._head) else self._no()

    def _characters(self, token: Token) -> Verdict | None:
        if token.blank and not self._head:
            return None
        self._tokens.append(token)
        self._head += token.raw
        text = self._head.lstrip()
        shape = shapes.behind_mark(text)
        listed = shape is Shape.JSON and text[0] == "["
        if shape is None or (listed and self._opener.form == "tool_call" and not self._line_start):
            return self._no()
        return None if shape is Shape.WAIT else self._call(shape)

    def _mark(self, token: Token) -> Verdict | None:
        """Read a mark right behind the opener."""
        if token.kind is Kind.FUNCTION:
            return Verdict(Found.TAGS, (token,))
        if token.kind is Kind.ARGUMENTS and self._opener.kind is Kind.ENTRY:
            return Verdict(Found.CALL, (token,), Shape.NAMED)  # the name is missing
        section = self._opener.form in _SECTIONS and self._opener.form == token.form
        if section and token.kind is Kind.CALL is self._opener.kind:
            return Verdict(Found.SECTION)  # doubled
        entry = token.kind is Kind.ENTRY and self._opener.kind is Kind.CALL
        doubled = token.kind is Kind.CALL and self._line_start and self._own
        # What may be read again is held back once; what is at least an attempt, without end.
        if (entry or doubled) and (token.kind not in self._seen or self._sure):
            self._seen.add(token.kind)
            self._tokens = []
            return None
        return self._no()

    def _behind_name(self, token: Token, name: str) -> Verdict | None:
        """Read a mark behind what may be a name."""
        section = self._opener.kind is Kind.ENTRY or self._opener.form in _SECTIONS
        known = name in self._tools
        match token.kind:
            case Kind.ARGUMENTS | Kind.ID:
                return Verdict(Found.CALL, tuple(self._tokens), Shape.NAMED)
            case Kind.END | Kind.CUT | Kind.END_ENTRY | Kind.END_CALL if section:
                return Verdict(Found.CALL, tuple(self._tokens), Shape.NAMED)
            case Kind.END | Kind.CUT if known and (self._own or self._line_start):
                return Verdict(Found.CALL, tuple(self._tokens), Shape.NAMED)
            case Kind.PARAMETER if token.form == "glm" or known:
                return self._tags(name, token)
            case Kind.END_CALL if known or (self._own and self._line_start):
                return self._tags(name, token)
        return self._no()

    def _tags(self, name: str, token: Token) -> Verdict:
        """A call in tags, of which the function's tag is a mere name."""
        form = "glm" if token.form in ("glm", "tool_call") else "function"
        return Verdict(Found.TAGS, (Token(Kind.FUNCTION, "", name, form), token))

    def _call(self, shape: Shape) -> Verdict:
        trial = Trial.NONE
        if self._opener.form in WORDS and not self._own:
            trial = Trial.TOOL if self._line_start else Trial.LAST
        return Verdict(Found.CALL, tuple(self._tokens), shape, trial)

    def _no(self) -> Verdict:
        """No call follows: say whether one was meant."""
        bare = not self._head.strip() and self._tokens[-1].kind in ENDS
        if self._own and self._opener.form in _SECTIONS and not bare:
            return Verdict(Found.SECTION)
        if self._own and self._line_start and (bare or self._opener.form not in WORDS):
            return Verdict(Found.ATTEMPT, tuple(self._tokens))
        return Verdict(Found.TEXT)


class Unmarked:
    """At the start of a line, where a call may begin without any mark.

    Args:
        tools: those that can be called.
        family: the model's.
        own: the forms that are the model's own.
    """

    def __init__(
        self, tools: Mapping[str, ToolSpec], family: Family | None, own: Collection[str]
    ) -> None:
        self._tools = tools
        self._own = own
        self._fenced = family == "deepseek_v3"
        self._head = ""
        self._tokens: list[Token] = []

    def push(self, token: Token) -> Verdict | None:
        """Read a token. Returns None to get more."""
        self._tokens.append(token)
        if token.kind is Kind.HEADER and shapes.is_address(self._head, self._tools):
            return Verdict(Found.HEADER)
        if token.kind in (Kind.ARGUMENTS, Kind.ID) and shapes.is_name(self._head, self._tools):
            return Verdict(Found.CALL, tuple(self._tokens), Shape.NAMED)
        fence = token.kind is Kind.FENCE and self._fenced
        if token.kind not in (Kind.TEXT, Kind.NEWLINE) and not fence:
            return Verdict(Found.TEXT)
        self._head += token.raw
        if name := shapes.addressed(self._head, self._tools):
            return Verdict(Found.CALL, tuple(self._tokens), Shape.NAMED, name=name)
        python = "python" in self._own
        shape = shapes.unmarked(self._head, self._tools, fenced=self._fenced, python=python)
        if shape is Shape.WAIT or shapes.partly_addressed(self._head, self._tools):
            return None
        return self._call(shape) if shape else Verdict(Found.TEXT)

    def _call(self, shape: Shape) -> Verdict:
        form = _FORMS.get(shape, "named")
        own = form in self._own or shape is Shape.NUMBERED
        trial = Trial.SHAPED if own else Trial.LAST
        return Verdict(Found.CALL, tuple(self._tokens), shape, trial)
