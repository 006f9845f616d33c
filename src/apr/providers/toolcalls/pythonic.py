r"""Calls as Python, which Llama 4 and LFM2 write: `[NAME(key="text", n=3), OTHER()]`."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from apr.providers.base import ToolSpec
from apr.providers.toolcalls import reasons, schema
from apr.providers.toolcalls.brackets import Brackets
from apr.providers.toolcalls.lexer import ENDS, Kind, Token
from apr.providers.toolcalls.pieces import INVALID, Call
from apr.providers.toolcalls.repair import NotJSON, Reader

_NAME = re.compile(r"[A-Za-z_][\w.\-]*")
_OPENER = re.compile(r"[\[(]")
_CLOSERS = frozenset({Kind.END_CALL, Kind.END_ENTRY, Kind.END_MESSAGE})
_LETTERS = {"a": "\a", "v": "\v", "\n": ""}
_OCTAL = re.compile(r"[0-7]{1,3}")
_CODE = {
    "x": re.compile(r"[0-9a-fA-F]{2}"),
    "U": re.compile(r"000[0-9a-fA-F]{5}|0010[0-9a-fA-F]{4}"),
}


def render(name: str, arguments: Mapping[str, Any]) -> str:
    """Return the call as the model would write it."""
    return "[" + written(name, arguments) + "]"


def written(name: str, arguments: Mapping[str, Any]) -> str:
    """Return the call itself, without the list it stands in."""
    return f"{name}({', '.join(f'{key}={_literal(value)}' for key, value in arguments.items())})"


def _literal(value: Any) -> str:
    match value:
        case str():
            return msgspec.json.encode(value).decode()
        case Mapping():
            items = (f"{_literal(key)}: {_literal(item)}" for key, item in value.items())
            return "{" + ", ".join(items) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_literal, value)) + "]"
        case _:
            return repr(value)


class PythonCalls:
    """Reads tokens from `[` to the bracket that closes it, and the mark behind it."""

    unbalanced = False
    stray_closer = False

    def __init__(self, tools: Mapping[str, ToolSpec]) -> None:
        self.calls: list[Call] = []
        self._tools = tools
        self._list = Brackets(python=True)
        self._before: list[str] = []
        """What stands before the first bracket: a name, where the call is not in a list."""
        self._done = False

    def push(self, token: Token) -> list[Token] | None:
        """Read a token. Returns None to get more, else the tokens that are not the call's."""
        if token.kind in ENDS or (token.kind is Kind.CALL and not self._list.quoted):
            self._end(cut=token.kind is Kind.CUT)
            return [token]
        if token.kind in _CLOSERS and not self._list.quoted:
            self._end(cut=False)
            return []
        if self._done:
            return None if token.blank else [token]
        text = token.raw
        if not self._list.depth:
            bracket = _OPENER.search(text)
            self._before.append(text[: bracket.start()] if bracket else text)
            if not bracket:
                return None
            self._list.open(bracket[0])
            text = text[bracket.end() :]
        end = self._list.scan(text, 0)
        if self._list.depth:
            return None
        self._end(cut=False)
        rest = text[end:]
        return self.push(Token(Kind.TEXT, rest)) if rest else None

    def _end(self, *, cut: bool) -> None:
        if self._done:
            return
        self._done = True
        text = "".join(self._before).lstrip() + self._list.text
        try:
            found = [] if cut else _Calls(text).calls()
        except NotJSON as error:
            self._refuse(text, reasons.BROKEN_PYTHON.format(problem=error))
            return
        if cut:
            self._refuse(text, reasons.CUT_OFF)
        for name, given in found:
            tool = self._tools.get(name)
            arguments = {key: schema.read_json(value, tool, key) for key, value in given.items()}
            reason = schema.problem(tool, name, arguments, list(self._tools))
            self.calls.append(Call(name, arguments, "", reason))

    def _refuse(self, text: str, reason: str) -> None:
        name = _NAME.search(text)
        self.calls.append(Call(name[0] if name else INVALID, {}, "", reason))


class _Calls(Reader):
    """Reads a list of calls whose arguments are literals."""

    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the name and the arguments of each call.

        Raises:
            NotJSON: what is wrong, and where.
        """
        if self._peek() != "[":
            found = [self._call()]
            self._end()
            return found
        found = []
        self._at += 1
        while self._peek() not in ("]", ""):
            found.append(self._call())
            self._comma("]")
        self._at += 1
        self._end()
        return found

    def _end(self) -> None:
        if self._peek():
            raise self._error("text after the end of the call")

    def _call(self) -> tuple[str, dict[str, Any]]:
        name = self._name("the name of a tool")
        self._expect("(")
        given: dict[str, Any] = {}
        while self._peek() not in (")", ""):
            key = self._name("an argument's name")
            self._expect("=")
            if key in given:
                raise self._error(f"`{key}` is given twice")
            given[key] = self._value(0)
            self._comma(")")
        self._expect(")")
        return name, given

    def _name(self, what: str) -> str:
        self._peek()
        match = _NAME.match(self._text, self._at)
        if not match:
            raise self._error(f"{what} was expected")
        self._at = match.end()
        return match[0]

    def _expect(self, character: str) -> None:
        if self._peek() != character:
            raise self._error(f"{character!r} was expected")
        self._at += 1

    def _escape(self) -> str:
        letter = self._text[self._at + 1 : self._at + 2]
        octal = _OCTAL.match(self._text, self._at + 1)
        if octal:
            self._at = octal.end()
            return chr(int(octal[0], 8))
        if letter in _LETTERS:
            self._at += 2
            return _LETTERS[letter]
        digits = _CODE[letter].match(self._text, self._at + 2) if letter in _CODE else None
        if digits:
            self._at = digits.end()
            return chr(int(digits[0], 16))
        return super()._escape()
