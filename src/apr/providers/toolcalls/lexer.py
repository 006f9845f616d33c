"""Model text in pieces of any size -> tokens: the tags that may matter, and the text between them.

The lexer knows spellings, not meanings: whether a tag opens a call or is merely mentioned is
decided by `stream`. A token's `raw` is the exact text it stands for, so tokens can be joined back.
"""

import re

from msgspec import Struct

from apr.patterns import Pattern
from apr.providers.toolcalls.marks import ENDS, MARKS, Kind

__all__ = ["ENDS", "Kind", "Lexer", "Token"]

LONGEST = 200
"""Characters that a tag, or a run of backticks, can have at most: bounds what is held back."""


class Token(Struct, frozen=True):
    """A piece of the output. `name` is that of a function or parameter tag.

    `form` is the notation that a mark belongs to; tags of one notation do not end another's values.
    `string` is what a parameter tag says of its value: "true" that it is text, "false" that it is
    JSON, "" nothing.
    """

    kind: Kind
    raw: str
    name: str = ""
    form: str = ""
    string: str = ""

    @property
    def blank(self) -> bool:
        """Whether this is white space only, or a sign that means nothing."""
        return self.kind in _BLANK or (self.kind is Kind.TEXT and self.raw.isspace())


_FIRST_HEADINGS = ("analysis", "final", "commentary")
_HEADINGS = tuple(f"assistant{channel}" for channel in _FIRST_HEADINGS)
_HEADING = Pattern("|".join(_HEADINGS))
_FIRST_HEADING = Pattern("|".join((*_HEADINGS, *_FIRST_HEADINGS)))
_PROSE = frozenset({Kind.TEXT, Kind.FENCE})
_BLANK = frozenset({Kind.NEWLINE, Kind.STOP})
_NAMED = {"function": Kind.FUNCTION, "invoke": Kind.FUNCTION, "parameter": Kind.PARAMETER}
_DSML = ("", "｜DSML｜", "｜DSML｜ ", "|DSML|", "|DSML| ")
_STARTS = (*(f"<{dsml}{word}" for dsml in _DSML for word in _NAMED), "<arg_key>", "</arg_key>")
_UNFINISHED = Pattern(
    r"""<(?:[｜|]DSML[｜|][ ]?)?(?:function|parameter|invoke)
        (?:[ ]?|[ ]n(?:am?)?|[ ]name[ ]?|(?:[ ]name)?[ ]?=[^<>\n]*)
    | <arg_key>\s?(?:<arg_key>)?[^<>\n]*(?:</arg_key>\s?){0,2}\s{0,8}(?:</?[a-z_]*)?
    | (?:</arg_key>\s?){1,2}\s{0,8}(?:</?[a-z_]*)?
    | <tool_call[ ][^<>\n]* | </parameter[\w/ ]*""",
    re.VERBOSE,
)
_MARK = Pattern(r"<\|channel>thought|<[^<>\n]{1,40}>|\[[^\[\]\n]{1,12}[\]\[]")
# Tags as specified and as models vary them: names in quotes or as `name=`, a `>` that is forgotten,
# attributes on a call, and the closers </parameter/>, </parameter1> and </parameter_function>.
_TOKEN = Pattern(
    r"""[^<`~\n\[]+ | \n | `{1,200} | ~{1,200}
    | <tool_call[ ][^<>\n]{1,128}>
    | </parameter[\w/ ]{0,32}(?:>|(?=\n))
    | <(?P<dsml>[｜|]DSML[｜|][ ]?)?(?P<tag>function|parameter|invoke)(?:[ ]?=|[ ]name[ ]?=)[ ]?
      (?P<quote>["']?)(?P<name>[^\s"'<>=]{1,128}?)(?P=quote)
      (?:[ ]string=["']?(?P<string>true|false)["']?)?[ ]?/?(?:>|(?=\n))
    | (?:<arg_key>\s?){1,2}(?P<key>[^<>\n]{1,100}?)\s?(?:</arg_key>\s?){1,2}(?:\s{0,8}<arg_value>)?
    | (?P<end>(?:</arg_key>\s?){1,2}(?:\s{0,8}<arg_value>)?)
    | <|\[""",
    re.VERBOSE,
)


class Lexer:
    """Splits text into tokens. Text that cannot become a tag comes out at once.

    With `headings` it knows what is left of the headers of gpt-oss where the tokenizer strips their
    marks: `analysis…assistantfinal…`.
    """

    def __init__(self, *, headings: bool = False) -> None:
        self._tail = ""
        self._headings = headings
        self._started = False

    def feed(self, text: str) -> list[Token]:
        """Return the tokens that are certain; how the text is cut into pieces changes no tag."""
        text = self._tail + text
        safe = len(text) - (_partly_heading(text, self._started) if self._headings else 0)
        tokens = self._lex(text[:safe], final=False)
        self._tail += text[safe:]
        return tokens

    def finish(self, *, cut: bool) -> list[Token]:
        """Return what was held back, and the token that ends the output."""
        return [*self._lex(self._tail, final=True), Token(Kind.CUT if cut else Kind.END, "")]

    def _lex(self, text: str, *, final: bool) -> list[Token]:
        tokens = []
        position = 0
        while position < len(text):
            if not final and _may_grow(text, position):
                break
            token = self._heading(text, position) or _token(text, position)
            if self._headings and token.kind is Kind.TEXT:
                token = _up_to_heading(token)
            tokens.append(token)
            self._started = True
            position += len(token.raw)
        self._tail = text[position:]
        return tokens

    def _heading(self, text: str, position: int) -> Token | None:
        if not self._headings:
            return None
        match = (_HEADING if self._started else _FIRST_HEADING).match(text, position)
        return Token(Kind.HEADER, match[0], form="heading") if match else None


def is_markup(text: str) -> bool:
    """Whether the text is nothing but marks and tags of calls, and white space."""
    lexer = Lexer()
    tokens = [*lexer.feed(text), *lexer.finish(cut=False)]
    return all(token.blank or token.kind not in _PROSE for token in tokens)


def _up_to_heading(token: Token) -> Token:
    match = _HEADING.search(token.raw)
    return Token(Kind.TEXT, token.raw[: match.start()]) if match else token


def _partly_heading(text: str, started: bool) -> int:
    """Return how many characters at the end could become a heading."""
    words = _HEADINGS if started else (*_HEADINGS, *_FIRST_HEADINGS)
    for length in range(min(len(text), len("assistantcommentary")), 0, -1):
        if any(word.startswith(text[-length:]) for word in words):
            return length
    return 0


def _token(text: str, position: int) -> Token:
    if text[position] in "<[":
        mark = _MARK.match(text, position)
        if mark and mark[0] in MARKS:
            kind, form = MARKS[mark[0]]
            return Token(kind, mark[0], form=form)
    match = _TOKEN.match(text, position)
    assert match is not None  # noqa: S101 - the alternatives cover every character
    raw = match[0]
    if match["tag"]:
        form = "dsml" if match["dsml"] else {"parameter": ""}.get(match["tag"], match["tag"])
        return Token(_NAMED[match["tag"]], raw, match["name"], form, match["string"] or "")
    if match["key"]:
        return Token(Kind.PARAMETER, raw, match["key"], "glm")
    if match["end"]:
        return Token(Kind.END_KEY, raw, form="glm")
    if raw[0] in "`~":
        return Token(Kind.FENCE, raw)
    if raw.startswith("</parameter"):
        return Token(Kind.END_PARAMETER, raw)
    if raw.startswith("<tool_call"):
        return Token(Kind.CALL, raw, form="tool_call")
    return Token(Kind.NEWLINE if raw == "\n" else Kind.TEXT, raw)


def _may_grow(text: str, start: int) -> bool:
    """Whether the text from `start` on could become another token with more text behind it."""
    if len(text) - start > LONGEST or text[start] not in "<[`~":
        return False
    rest = text[start:]
    if rest[0] in "`~":
        return len(rest) < LONGEST and not rest.strip(rest[0])
    if any(tag.startswith(rest) and tag != rest for tag in (*MARKS, *_STARTS)):
        return True
    return _UNFINISHED.fullmatch(rest) is not None
