r"""Calls as Qwen3-Coder and its successors write them.

    <tool_call>
    <function=NAME>
    <parameter=KEY>
    VALUE
    </parameter>
    </function>
    </tool_call>

Exactly one newline after `>` and one before `</parameter>` belong to the syntax. A value is not
escaped in any way, so where it ends is a matter of what follows: `</parameter>` ends a value when
the next thing is another tag that can follow it; a whole `<function=…>…</function>` inside a value
is part of it. Closers that models forget are supplied only where the value holds nothing that looks
like a tag, because then there is but one reading.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from apr.providers.base import ToolSpec
from apr.providers.toolcalls import reasons, schema
from apr.providers.toolcalls.lexer import ENDS, Kind, Token
from apr.providers.toolcalls.pieces import Call
from apr.providers.toolcalls.repair import NotJSON, loads

_PLAIN = frozenset({Kind.TEXT, Kind.NEWLINE, Kind.FENCE})
_STARTS = frozenset({Kind.CALL, Kind.FUNCTION})
# What must follow a closer, after white space, for it to be one; else it is text in a value.
_FOLLOWS = {
    Kind.END_PARAMETER: _STARTS | ENDS | {Kind.PARAMETER, Kind.END_FUNCTION, Kind.END_CALL},
    Kind.END_FUNCTION: _STARTS | {Kind.END_CALL, Kind.END},
    Kind.END_CALL: _STARTS | {Kind.END},
}


def render(name: str, arguments: Mapping[str, Any]) -> str:
    """Return the call as the model would write it: strings as they are, other values as JSON."""
    lines = [f"<tool_call>\n<function={name}>\n"]
    for key, value in arguments.items():
        text = value if isinstance(value, str) else _json(value)
        lines.append(f"<parameter={key}>\n{text}\n</parameter>\n")
    return "".join(lines) + "</function>\n</tool_call>"


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


class XMLCalls:
    """Reads tokens from the first `<function=…>` to the end of the call, into `calls`.

    With `nesting`, functions inside a value are part of it. Where that leaves the value without an
    end, `unbalanced` is set: a function was opened in it and not closed, or only mentioned. The
    tokens must then be read again without `nesting`. `stray_closer`: there is a `</parameter>` that
    closes nothing, so an earlier value may have been ended too soon.
    """

    def __init__(self, tools: Mapping[str, ToolSpec], *, nesting: bool) -> None:
        self.calls: list[Call] = []
        self.unbalanced = False
        self.stray_closer = False
        self._tools = tools
        self._nesting = nesting
        self._state: Callable[[Token], list[Token] | None] = self._between
        self._name = ""
        self._input: dict[str, Any] = {}
        self._reason: str | None = None
        self._key: str | None = None
        self._value: list[str] = []
        self._depth = 0
        self._tags = False
        self._function_inside = False
        self._line_start = False
        self._pending: list[Token] = []

    def push(self, token: Token) -> list[Token] | None:
        """Read a token. Returns None to get more, else the tokens that are not the call's."""
        return self._state(token)

    def _between(self, token: Token) -> list[Token] | None:
        """Before a function, or behind one."""
        if token.blank:
            self._pending.append(token)
            return None
        blanks, self._pending = self._pending, []
        match token.kind:
            case Kind.FUNCTION:
                self._open_function(token.name)
            case Kind.END_CALL:
                return []
            case Kind.END_FUNCTION:
                return None
            case Kind.END_PARAMETER:
                self.stray_closer = True
            case _:
                return [*blanks, token]
        return None

    def _in_function(self, token: Token) -> list[Token] | None:
        """Between parameters."""
        match token.kind:
            case _ if token.blank:
                return None
            case Kind.PARAMETER:
                self._open_value(token.name)
            case Kind.END_FUNCTION:
                self._close_function()
            case Kind.END_CALL:
                self._close_function()
                return []
            case Kind.FUNCTION | Kind.CALL | Kind.END:
                self._close_function()
                return self._between(token)
            case Kind.CUT:
                return self._give_up(reasons.CUT_OFF, token)
            case _:
                self.stray_closer |= token.kind is Kind.END_PARAMETER
                self._open_value(None)
                return self._in_value(token)
        return None

    def _in_value(self, token: Token) -> list[Token] | None:
        """In a value, or in the text that stands where parameters should (key None)."""
        if self._pending:
            if token.blank:
                self._pending.append(token)
                return None
            if self._closes(token.kind):
                return self._close(token)
            self._keep(*self._pending)
            self._pending = []
        if token.kind in ENDS:
            self.unbalanced = self._nesting and self._function_inside and token.kind is Kind.END
            reason = (
                reasons.CUT_OFF
                if token.kind is Kind.CUT
                else reasons.UNCLOSED.format(key=self._key)
            )
            return self._give_up(reason, token)
        if self._depth:
            self._depth += (token.kind is Kind.FUNCTION) - (token.kind is Kind.END_FUNCTION)
        elif token.kind in _FOLLOWS and (self._key or token.kind is not Kind.END_PARAMETER):
            self._pending = [token]
            return None
        elif token.kind is Kind.PARAMETER and self._forgot_to_close(token.name):
            self._close_value()
            self._open_value(token.name)
            return None
        elif token.kind is Kind.END_PARAMETER:
            self.stray_closer = True
        elif token.kind is Kind.FUNCTION:
            self._function_inside = True
            self._depth = 1 if self._nesting else 0
        elif token.kind is Kind.PARAMETER and self._function_inside:
            self._reason = reasons.AMBIGUOUS  # half of a call: which end is whose is not clear
        self._keep(token)
        return None

    def _keep(self, *tokens: Token) -> None:
        """Take tokens as text of the value."""
        for token in tokens:
            self._value.append(token.raw)
            self._tags = self._tags or token.kind not in _PLAIN
            self._line_start = token.kind is Kind.NEWLINE or (self._line_start and token.blank)

    def _closes(self, following: Kind) -> bool:
        """Whether the closer in `_pending` is one, given what follows it."""
        closer = self._pending[0].kind
        forgotten = closer is not Kind.END_PARAMETER and self._key is not None
        return following in _FOLLOWS[closer] and not (forgotten and self._tags)

    def _close(self, token: Token) -> list[Token] | None:
        """End what the closer in `_pending` ends, and read on with the token behind it."""
        closer, *blanks = self._pending
        self._pending = []
        self._close_value()
        if closer.kind is Kind.END_PARAMETER:
            return self._in_function(token)
        self._close_function()
        if closer.kind is Kind.END_CALL:
            return [*blanks, token]
        return self._between(token)

    def _forgot_to_close(self, key: str) -> bool:
        """Whether `<parameter=key>` in a value begins the next one, its closer being forgotten."""
        known = key in schema.properties(self._tools.get(self._name))
        fresh = key not in self._input and key != self._key
        return known and fresh and self._line_start and not self._tags

    def _open_function(self, name: str) -> None:
        self._name, self._input, self._reason = name, {}, None
        self._state = self._in_function

    def _open_value(self, key: str | None) -> None:
        self._key, self._value, self._depth, self._tags = key, [], 0, False
        self._line_start = self._function_inside = False
        self._state = self._in_value

    def _close_value(self) -> None:
        text = "".join(self._value)
        self._state = self._in_function
        if self._key is None:
            self._read_body(text)
            return
        # A value that begins with a carriage return was written with CRLF line ends throughout.
        newline = "\r\n" if text.startswith("\r\n") else "\n"
        text = text.removeprefix(newline).removesuffix(newline)
        if self._key in self._input:
            self._reason = reasons.TWICE.format(key=self._key)
            return
        self._input[self._key] = schema.read_text(text, self._tools.get(self._name), self._key)

    def _read_body(self, text: str) -> None:
        """Read a JSON object that stands where parameters should."""
        try:
            body = loads(text.strip())
        except NotJSON:
            body = None
        if not isinstance(body, dict) or self._tags or self._input:
            self._reason = reasons.NO_PARAMETERS.format(name=self._name)
            return
        tool = self._tools.get(self._name)
        self._input = {key: schema.read_json(value, tool, key) for key, value in body.items()}

    def _close_function(self) -> None:
        tool = self._tools.get(self._name)
        reason = self._reason or schema.problem(tool, self._name, self._input, list(self._tools))
        self.calls.append(Call(self._name, self._input, "", reason))
        self._state = self._between

    def _give_up(self, reason: str, token: Token) -> list[Token]:
        self._reason = self._reason or reason
        self._close_function()
        return [token]
