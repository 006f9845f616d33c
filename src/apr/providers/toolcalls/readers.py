"""The readers of calls by what a call begins with. Those of rarer forms load when met."""

from collections.abc import Mapping
from typing import Protocol

from apr.providers.base import ToolSpec
from apr.providers.toolcalls import reasons
from apr.providers.toolcalls.hermes_json import JSONCalls
from apr.providers.toolcalls.lexer import ENDS, Kind, Token
from apr.providers.toolcalls.pieces import INVALID, Call
from apr.providers.toolcalls.shapes import Shape


class Reader(Protocol):
    """Reads the tokens of a call, or of several in one section.

    `unbalanced`: the tokens must be read again by a reader that takes tags in values for text.
    `stray_closer`: something closes nothing, so a value may have been ended too soon.
    """

    calls: list[Call]
    unbalanced: bool
    stray_closer: bool

    def push(self, token: Token) -> list[Token] | None:
        """Read a token. Returns None to get more, else the tokens that are not the call's."""
        ...


def reader_for(shape: Shape, tools: Mapping[str, ToolSpec], *, name: str = "") -> Reader:
    """Return a reader of calls of this shape, of which the `name` may have been read already."""
    if shape is Shape.JSON:
        return JSONCalls(tools)
    if shape is Shape.GEMMA:
        from apr.providers.toolcalls.gemma import GemmaCalls

        return GemmaCalls(tools)
    if shape is Shape.PYTHON:
        from apr.providers.toolcalls.pythonic import PythonCalls

        return PythonCalls(tools)
    from apr.providers.toolcalls.named_json import NamedCalls

    return NamedCalls(tools, name)


class Attempt:
    """Something between call tags that no format knows."""

    unbalanced = False

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.stray_closer = False

    def push(self, token: Token) -> list[Token] | None:
        """Read a token. Returns None to get more, else the tokens that are not the call's."""
        self.stray_closer |= token.kind is Kind.END_PARAMETER
        if token.kind is Kind.CUT:
            self.calls = [Call(INVALID, {}, "", reasons.CUT_OFF)]
        if token.kind is Kind.END_CALL:
            return []
        return [token] if token.kind in ENDS or token.kind is Kind.CALL else None
