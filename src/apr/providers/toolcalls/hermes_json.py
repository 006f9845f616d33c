r"""Calls as JSON objects, which Hermes, Qwen 2.5 and Qwen 3 write in tags, others in other marks.

    <tool_call>
    {"name": NAME, "arguments": {...}}
    </tool_call>

The end of a call is the end of its JSON, so tags inside strings are just text. Several objects or a
list of them in one pair of tags are several calls.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from apr.patterns import Pattern
from apr.providers.base import ToolSpec
from apr.providers.toolcalls import reasons, schema
from apr.providers.toolcalls.brackets import Brackets
from apr.providers.toolcalls.lexer import ENDS, Kind, Token
from apr.providers.toolcalls.pieces import INVALID, Call
from apr.providers.toolcalls.repair import NotJSON, loads

_BETWEEN = Pattern(r"[^\s}\],;]")
"""What is not white space, nor a closer too many, between two values."""
_NAME = Pattern(r"""["'](?:tool_)?name["']\s*:\s*["']([^"']+)["']""")
_CLOSERS = frozenset({Kind.END_CALL, Kind.END_ENTRY, Kind.END_MESSAGE})
_OPENERS = frozenset({Kind.CALL, Kind.ENTRY, Kind.HEADER})


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
        self._json = Brackets()
        self._begun = False

    def push(self, token: Token) -> list[Token] | None:
        """Read a token. Returns None to get more, else the tokens that are not the call's."""
        if token.kind in ENDS:
            self._end(cut=token.kind is Kind.CUT)
            return [token]
        if not self._json.quoted and token.kind in _CLOSERS | _OPENERS:
            self._end(cut=False)
            return [] if token.kind in _CLOSERS else [token]
        if not self._json.depth and (token.blank or token.kind is Kind.FENCE):
            return None
        self.stray_closer |= token.kind is Kind.END_PARAMETER and not self._json.quoted
        position = 0
        while position < len(token.raw):
            if self._json.depth:
                position = self._json.scan(token.raw, position)
                if not self._json.depth:
                    self._read()
                continue
            start = _BETWEEN.search(token.raw, position)
            if not start:
                break
            position = start.end()
            if start[0] not in "{[" and self._begun:
                rest = token.raw[start.start() :]
                return [token if rest == token.raw else Token(Kind.TEXT, rest)]
            if start[0] in "{[":
                self._begun = True
                self._json.open(start[0])
        return None

    def _end(self, *, cut: bool) -> None:
        """The call ends; brackets that are missing outside of a string are supplied."""
        if not self._json.depth:
            return
        if cut:
            self._refuse(reasons.CUT_OFF)
        else:
            self._read()

    def _read(self) -> None:
        try:
            value = loads(self._json.text)
        except NotJSON as error:
            self._refuse(reasons.BROKEN.format(problem=error))
            return
        for item in value if isinstance(value, list) else [value]:
            self.calls.append(read_call(item, self._tools))

    def _refuse(self, reason: str) -> None:
        name = _NAME.search(self._json.text)
        self.calls.append(Call(name[1] if name else INVALID, {}, "", reason))


def read_call(item: Any, tools: Mapping[str, ToolSpec]) -> Call:
    """Return the call that a decoded JSON value stands for. Arguments may be JSON in a string."""
    if isinstance(item, dict) and isinstance(item.get("function"), dict):
        item = item["function"]
    if not isinstance(item, dict):
        return Call(INVALID, {}, "", reasons.NOT_A_CALL)
    name = next((item[k] for k in ("name", "tool_name", "function") if k in item), None)
    if not isinstance(name, str):
        return Call(INVALID, {}, "", reasons.NOT_A_CALL)
    given = item.get("arguments", item.get("parameters"))
    return read_arguments(name, {} if given is None else given, tools)


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
