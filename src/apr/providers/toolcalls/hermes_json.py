r"""Calls as Hermes, Qwen 2.5 and Qwen 3 write them.

    <tool_call>
    {"name": NAME, "arguments": {...}}
    </tool_call>

The end of a call is the end of its JSON, so tags inside strings are just text. Several objects or a
list of them in one pair of tags are several calls.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from apr.providers.base import ToolSpec
from apr.providers.toolcalls import reasons, schema
from apr.providers.toolcalls.lexer import ENDS, Kind, Token
from apr.providers.toolcalls.pieces import INVALID, Call
from apr.providers.toolcalls.repair import NotJSON, loads

_SPECIAL = re.compile(r"""["'\\{}\[\]]""")
_BETWEEN = re.compile(r"[^\s}\],;]")
"""What is not white space, nor a closer too many, between two values."""
_NAME = re.compile(r"""["']name["']\s*:\s*["']([^"']+)["']""")


def render(name: str, arguments: Mapping[str, Any]) -> str:
    """Return the call as the model would write it."""
    call = msgspec.json.encode({"name": name, "arguments": dict(arguments)})
    return f"<tool_call>\n{msgspec.json.format(call, indent=0).decode()}\n</tool_call>"


class JSONCalls:
    """Reads tokens from the first `{` or `[` to the end of the call; `calls` is what was found."""

    unbalanced = False

    def __init__(self, tools: Mapping[str, ToolSpec]) -> None:
        self.calls: list[Call] = []
        self.stray_closer = False
        self._tools = tools
        self._depth = 0
        self._quote = ""
        self._escaped = False
        self._text: list[str] = []

    def push(self, token: Token) -> list[Token] | None:
        """Read a token. Returns None to get more, else the tokens that are not the call's."""
        if token.kind in ENDS:
            self._end(cut=token.kind is Kind.CUT)
            return [token]
        if not self._quote and token.kind in (Kind.END_CALL, Kind.CALL):
            self._end(cut=False)
            return [] if token.kind is Kind.END_CALL else [token]
        self.stray_closer |= token.kind is Kind.END_PARAMETER and not self._quote
        position = 0
        while position < len(token.raw):
            if self._depth:
                position = self._scan(token.raw, position)
                continue
            start = _BETWEEN.search(token.raw, position)
            if not start:
                break
            position = start.end()
            if start[0] not in "{[":
                rest = token.raw[start.start() :]
                return [token if rest == token.raw else Token(Kind.TEXT, rest)]
            self._depth = 1
            self._text = [start[0]]
        return None

    def _scan(self, text: str, start: int) -> int:
        """Follow strings and brackets to the end of the value or text; return that place."""
        position = start
        while self._depth and position < len(text):
            if self._escaped:
                self._escaped = False
                position += 1
                continue
            match = _SPECIAL.search(text, position)
            position = match.end() if match else len(text)
            if match:
                self._meet(match[0])
        self._text.append(text[start:position])
        if not self._depth:
            self._read()
        return position

    def _meet(self, character: str) -> None:
        if self._quote:
            self._escaped = character == "\\"
            self._quote = "" if character == self._quote else self._quote
        elif character in "\"'":
            self._quote = character
        elif character != "\\":
            self._depth += 1 if character in "{[" else -1

    def _end(self, *, cut: bool) -> None:
        """The call ends; brackets that are missing outside of a string are supplied."""
        if not self._depth:
            return
        if cut:
            self._refuse(reasons.CUT_OFF)
        else:
            self._read()

    def _read(self) -> None:
        try:
            value = loads("".join(self._text))
        except NotJSON as error:
            self._refuse(reasons.BROKEN.format(problem=error))
            return
        for item in value if isinstance(value, list) else [value]:
            self.calls.append(read_call(item, self._tools))

    def _refuse(self, reason: str) -> None:
        name = _NAME.search("".join(self._text))
        self.calls.append(Call(name[1] if name else INVALID, {}, "", reason))


def read_call(item: Any, tools: Mapping[str, ToolSpec]) -> Call:
    """Return the call that a decoded JSON value stands for. Arguments may be JSON in a string."""
    if isinstance(item, dict) and isinstance(item.get("function"), dict):
        item = item["function"]
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        return Call(INVALID, {}, "", reasons.NOT_A_CALL)
    given = item.get("arguments", item.get("parameters"))
    return read_arguments(item["name"], {} if given is None else given, tools)


def read_arguments(name: str, given: Any, tools: Mapping[str, ToolSpec]) -> Call:
    """Return the call of `name` with arguments as an object, or as JSON text of one."""
    if isinstance(given, str):
        try:
            given = loads(given) if given.strip() else {}
        except NotJSON as error:
            return Call(name, {}, "", reasons.BROKEN.format(problem=error))
    if not isinstance(given, dict):
        return Call(name, {}, "", reasons.NOT_A_CALL)
    tool = tools.get(name)
    arguments = {key: schema.read_json(value, tool, key) for key, value in given.items()}
    return Call(name, arguments, "", schema.problem(tool, name, arguments, list(tools)))
