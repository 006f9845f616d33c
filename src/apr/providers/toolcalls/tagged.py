r"""Calls in tags, of which Qwen3-Coder's are the pattern.

    <tool_call>                                  <｜DSML｜function_calls>
    <function=NAME>                              <｜DSML｜invoke name="NAME">
    <parameter=KEY>                              <｜DSML｜parameter name="KEY" string="true">VALUE
    VALUE                                        </｜DSML｜parameter>
    </parameter>                                 </｜DSML｜invoke>
    </function>                                  </｜DSML｜function_calls>
    </tool_call>

    <minimax:tool_call>                          <tool_call>NAME
    <invoke name="NAME">                         <arg_key>KEY</arg_key>
    <parameter name="KEY">VALUE</parameter>      <arg_value>VALUE</arg_value>
    </invoke>                                    </tool_call>
    </minimax:tool_call>

In Qwen's form, which Seed-OSS shares, exactly one newline after `>` and one before `</parameter>`
belong to the syntax; in the others none does. A value is not escaped in any way, so where it ends
is a matter of what follows: `</parameter>` ends a value when the next thing is another tag that can
follow it; a whole `<function=…>…</function>` inside a value is part of it. Closers that models
forget are supplied only where the value holds nothing that looks like a tag, because then there is
but one reading. Tags of another form are text in a value.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from apr.providers.base import ToolSpec
from apr.providers.toolcalls import reasons, schema
from apr.providers.toolcalls.lexer import ENDS, Kind, Token
from apr.providers.toolcalls.pieces import Call
from apr.providers.toolcalls.repair import NotJSON, loads

_PLAIN = frozenset({Kind.TEXT, Kind.NEWLINE, Kind.FENCE, Kind.STOP})
_TAGS = frozenset({Kind.FUNCTION, Kind.END_FUNCTION, Kind.PARAMETER, Kind.END_PARAMETER})
_SECTIONS = frozenset({Kind.CALL, Kind.END_CALL})
_SURE = frozenset({"dsml", "glm"})
"""Forms whose parameter tags are hardly ever text, so they need not begin a line."""
# Which forms a tag may have to count, by that of the function; <parameter> is the same in two.
_OF: dict[str, frozenset[str]] = {
    "function": frozenset({"function", "", "tool_call", "seed", "minimax"}),
    "invoke": frozenset({"invoke", "", "tool_call", "seed", "minimax", "dsml"}),
    "dsml": frozenset({"dsml", "tool_call"}),
    "glm": frozenset({"glm", "tool_call"}),
}
_STARTS = frozenset({Kind.CALL, Kind.FUNCTION})
# What must follow a closer, after white space, for it to be one; else it is text in a value.
_FOLLOWS = {
    Kind.END_PARAMETER: _STARTS | ENDS | {Kind.PARAMETER, Kind.END_FUNCTION, Kind.END_CALL},
    Kind.END_FUNCTION: _STARTS | {Kind.END_CALL, Kind.END},
    Kind.END_CALL: _STARTS | {Kind.END},
}


def render(name: str, arguments: Mapping[str, Any], form: str) -> str:
    """Return the call as a model would write it: strings as they are, other values as JSON.

    Args:
        name: the tool's.
        arguments: by key.
        form: one of `LAYOUTS`.
    """
    opening, parameter, closing = LAYOUTS[form]
    lines = [opening.format(name=name)]
    for key, value in arguments.items():
        text = value if isinstance(value, str) else _json(value)
        string = "true" if isinstance(value, str) else "false"
        head, tail = parameter.format(key=key, string=string).split("VALUE")
        lines.append(head + text + tail)
    return "".join(lines) + closing


_DSML_PARAMETER = '<｜DSML｜parameter name="{key}" string="{string}">VALUE</｜DSML｜parameter>\n'

LAYOUTS = {
    "function": (
        "<tool_call>\n<function={name}>\n",
        "<parameter={key}>\nVALUE\n</parameter>\n",
        "</function>\n</tool_call>",
    ),
    "seed": (
        "<seed:tool_call>\n<function={name}>\n",
        "<parameter={key}>VALUE</parameter>\n",
        "</function>\n</seed:tool_call>",
    ),
    "minimax": (
        '<minimax:tool_call>\n<invoke name="{name}">\n',
        '<parameter name="{key}">VALUE</parameter>\n',
        "</invoke>\n</minimax:tool_call>",
    ),
    "dsml": (
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="{name}">\n',
        _DSML_PARAMETER,
        "</｜DSML｜invoke>\n</｜DSML｜function_calls>",
    ),
    "dsml4": (
        '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="{name}">\n',
        _DSML_PARAMETER,
        "</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
    ),
    "glm": (
        "<tool_call>{name}\n",
        "<arg_key>{key}</arg_key>\n<arg_value>VALUE</arg_value>\n",
        "</tool_call>",
    ),
}
"""Opening, parameter and closing of a call."""


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


class XMLCalls:
    """Reads tokens from the first `<function=…>` to the end of the call, into `calls`.

    With `nesting`, functions inside a value are part of it. Where that leaves the value without an
    end, `unbalanced` is set: a function was opened in it and not closed, or only mentioned. The
    tokens must then be read again without `nesting`. `stray_closer`: there is a `</parameter>` that
    closes nothing, so an earlier value may have been ended too soon. With `exact`, no newline
    belongs to the syntax.
    """

    def __init__(
        self, tools: Mapping[str, ToolSpec], *, nesting: bool, exact: bool = False
    ) -> None:
        self.calls: list[Call] = []
        self.unbalanced = False
        self.stray_closer = False
        self._tools = tools
        self._nesting = nesting
        self._exact = exact
        self._state: Callable[[Token], list[Token] | None] = self._between
        self._form = ""
        self._name = ""
        self._input: dict[str, Any] = {}
        self._reason: str | None = None
        self._key: str | None = None
        self._string = ""
        self._value: list[str] = []
        self._depth = 0
        self._tags = False
        self._function_inside = False
        self._line_start = False
        self._pending: list[Token] = []

    def push(self, token: Token) -> list[Token] | None:
        """Read a token. Returns None to get more, else the tokens that are not the call's."""
        if self._form and token.kind in _TAGS | _SECTIONS and token.form not in _OF[self._form]:
            return self._foreign(token)
        return self._state(token)

    def _foreign(self, token: Token) -> list[Token] | None:
        """Read a tag of another form: text in a value, and the end of this call between values."""
        if self._state == self._in_value:
            return self._in_value(Token(Kind.TEXT, token.raw))
        if self._state == self._in_function and token.kind in _STARTS:
            self._close_function()
            return [token]
        if self._state == self._between and token.kind is not Kind.END_PARAMETER:
            return [*self._pending, token]
        return self._state(token)

    def _between(self, token: Token) -> list[Token] | None:
        """Before a function, or behind one."""
        if token.blank:
            self._pending.append(token)
            return None
        blanks, self._pending = self._pending, []
        match token.kind:
            case Kind.FUNCTION:
                self._form = token.form
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
                self._open_value(token.name, token.string)
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
            return self._give_up(self._unclosed(token), token)
        if self._depth:
            self._depth += (token.kind is Kind.FUNCTION) - (token.kind is Kind.END_FUNCTION)
        elif token.kind in _FOLLOWS and (self._key or token.kind is not Kind.END_PARAMETER):
            self._pending = [token]
            return None
        elif token.kind is Kind.PARAMETER and self._forgot_to_close(token.name):
            self._close_value(forgotten=True)
            self._open_value(token.name, token.string)
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
        self._close_value(forgotten=closer.kind is not Kind.END_PARAMETER)
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
        placed = self._line_start or self._form in _SURE
        return known and fresh and placed and not self._tags

    def _open_function(self, name: str) -> None:
        self._name, self._input, self._reason = name, {}, None
        self._state = self._in_function

    def _open_value(self, key: str | None, string: str = "") -> None:
        self._string = string
        self._key, self._value, self._depth, self._tags = key, [], 0, False
        self._line_start = self._function_inside = False
        self._state = self._in_value

    def _close_value(self, *, forgotten: bool = False) -> None:
        text = "".join(self._value)
        self._state = self._in_function
        if self._key is None:
            self._read_body(text)
            return
        if self._form == "function" and not self._exact:
            # A value that begins with a carriage return was written with CRLF throughout.
            newline = "\r\n" if text.startswith("\r\n") else "\n"
            text = text.removeprefix(newline).removesuffix(newline)
        elif forgotten:  # then the line end before the tag is layout
            text = text.removesuffix("\n")
        if self._key in self._input:
            self._reason = reasons.TWICE.format(key=self._key)
            return
        tool = self._tools.get(self._name)
        self._input[self._key] = schema.read_text(
            text, tool, self._key, is_json=self._string == "false"
        )

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

    def _unclosed(self, token: Token) -> str:
        """Return what is wrong with a value, or the text in its place, that this token ends."""
        if token.kind is Kind.CUT:
            return reasons.CUT_OFF
        if self._key is None:
            return reasons.NO_PARAMETERS.format(name=self._name)
        return reasons.UNCLOSED.format(key=self._key)

    def _give_up(self, reason: str, token: Token) -> list[Token]:
        self._reason = self._reason or reason
        self._close_function()
        return [token]
