r"""Calls as Gemma 4 writes them.

    <|tool_call>call:NAME{KEY:<|"|>text<|"|>,KEY:42}<tool_call|>

Keys are bare and strings stand in marks of their own, with nothing escaped. Models also write
strings in plain quotes, or bare where they hold nothing that is syntax.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from apr.providers.base import ToolSpec
from apr.providers.toolcalls import reasons
from apr.providers.toolcalls.brackets import Brackets
from apr.providers.toolcalls.hermes_json import read_arguments
from apr.providers.toolcalls.lexer import ENDS, Kind, Token
from apr.providers.toolcalls.named_json import name_of
from apr.providers.toolcalls.pieces import INVALID, Call

QUOTE = '<|"|>'

_PART = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[^\s{}\[\],:"][^{}\[\],:"]*)""", re.DOTALL
)
_LITERAL = re.compile(r"true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?")
_CLOSERS = frozenset({Kind.END_CALL, Kind.CALL, Kind.HEADER})


def render(name: str, arguments: Mapping[str, Any]) -> str:
    """Return the call as the model would write it."""
    body = ",".join(f"{key}:{_written(value)}" for key, value in arguments.items())
    return f"<|tool_call>call:{name}{{{body}}}<tool_call|>"


def _written(value: Any) -> str:
    match value:
        case str():
            return f"{QUOTE}{value}{QUOTE}"
        case Mapping():
            items = (f"{QUOTE}{key}{QUOTE}:{_written(item)}" for key, item in value.items())
            return "{" + ",".join(items) + "}"
        case list() | tuple():
            return "[" + ",".join(map(_written, value)) + "]"
        case _:
            return msgspec.json.encode(value).decode()


class GemmaCalls:
    """Reads tokens from `call:` to the end of the call."""

    unbalanced = False
    stray_closer = False

    def __init__(self, tools: Mapping[str, ToolSpec]) -> None:
        self.calls: list[Call] = []
        self._tools = tools
        self._head: list[str] = []
        self._json: list[str] = []
        """The arguments as JSON, as far as they have come."""
        self._part: list[str] = []
        """The text since the last mark."""
        self._outside = Brackets()
        """The structure of what stands outside of marks."""
        self._marked = False
        self._done = False

    def push(self, token: Token) -> list[Token] | None:
        """Read a token. Returns None to get more, else the tokens that are not the call's."""
        if token.kind in ENDS:
            self._end(cut=token.kind is Kind.CUT)
            return [token]
        if token.kind in _CLOSERS and not (self._marked or self._outside.quoted):
            self._end(cut=False)
            return [] if token.kind is Kind.END_CALL else [token]
        if self._done:
            rest = token.raw.lstrip("} \t\r")
            return [Token(Kind.TEXT, rest)] if rest and not token.blank else None
        if token.kind is Kind.QUOTE and self._outside.depth and not self._outside.quoted:
            self._next_part()
            self._marked = not self._marked
        elif self._marked:
            self._part.append(token.raw)
        else:
            return self._read_outside(token.raw)
        return None

    def _read_outside(self, text: str) -> list[Token] | None:
        if not self._outside.depth:
            before, brace, text = text.partition("{")
            self._head.append(before)
            if not brace:
                return None
            self._outside.open("{")
            self._part.append("{")
        end = self._outside.scan(text, 0)
        self._part.append(text[:end])
        if self._outside.depth:
            return None
        self._end(cut=False)
        return self.push(Token(Kind.TEXT, text[end:])) if text[end:] else None

    def _next_part(self) -> None:
        text = "".join(self._part)
        self._part = []
        self._json.append(_string(text) if self._marked else _PART.sub(_quoted, text))

    def _end(self, *, cut: bool) -> None:
        if self._done:
            return
        self._done = True
        name = name_of("".join(self._head).strip().removeprefix("call:"), self._tools) or INVALID
        if cut and (self._outside.depth or not self._json):
            self.calls.append(Call(name, {}, "", reasons.CUT_OFF))
        elif self._marked:
            self.calls.append(Call(name, {}, "", reasons.UNCLOSED_STRING))
        else:
            self._next_part()
            self.calls.append(read_arguments(name, "".join(self._json), self._tools))


def _string(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _quoted(match: re.Match[str]) -> str:
    """Return a bare word as JSON: a literal as it is, anything else as a string."""
    word = match["word"]
    if word is None:
        return match[0]
    bare = word.rstrip()
    return word if _LITERAL.fullmatch(bare) else _string(bare)
