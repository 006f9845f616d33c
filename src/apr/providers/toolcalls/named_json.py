r"""Calls as a name, a mark and a JSON object: Kimi K2, DeepSeek V3 and R1, Mistral, gpt-oss.

    <|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>{...}<|tool_call_end|>
    <｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{...}<｜tool▁call▁end｜>
    <｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\n{...}\n```<｜tool▁call▁end｜>
    [TOOL_CALLS]NAME[CALL_ID]abc[ARGS]{...}

They differ in their marks, which the lexer knows, and in where the name stands; so one reader does
for all, also where marks are missing because a server's tokenizer strips them from the text.
"""

import re
from collections.abc import Callable, Mapping

from apr.providers.base import ToolSpec
from apr.providers.toolcalls import reasons
from apr.providers.toolcalls.brackets import Brackets
from apr.providers.toolcalls.hermes_json import read_arguments
from apr.providers.toolcalls.lexer import ENDS, Kind, Token
from apr.providers.toolcalls.pieces import INVALID, Call

_ID = re.compile(r"(?:functions?[._]?)?(.+?)(?:[:_]?\d+)?")
"""How models vary `functions.NAME:0`."""
_NEXT = re.compile(r"\s*(?:functions\.)?([\w.-]*)(:\d*)?\s*")
"""What may still become the name of the next call, where no mark parts them."""
_CLOSERS = frozenset({Kind.END_CALL, Kind.END_MESSAGE})


def name_of(text: str, tools: Mapping[str, ToolSpec]) -> str:
    """Return the tool that a call's header names, without the namespace and index round it."""
    words = text.replace("```json", " ").replace("```", " ").split()
    name = words[0].strip("\"'") if words else ""
    if name in tools:
        return name
    match = _ID.fullmatch(name)
    if match and match[1] in tools:
        return match[1]
    return re.sub(r":\d+$", "", name.removeprefix("functions."))


class NamedCalls:
    """Reads tokens from the first name, or the mark before it, to the end of the calls.

    Args:
        tools: those that can be called.
        name: the name, where it has been read already.
    """

    unbalanced = False
    stray_closer = False

    def __init__(self, tools: Mapping[str, ToolSpec], name: str = "") -> None:
        self.calls: list[Call] = []
        self._tools = tools
        self._state: Callable[[Token], list[Token] | None] = self._in_header
        self._named: str | None = name or None
        """What stood before the mark that parts the name from the arguments."""
        self._header: list[str] = []
        self._json = Brackets()
        self._fenced = False
        self._held: list[Token] = []

    def push(self, token: Token) -> list[Token] | None:
        """Read a token. Returns None to get more, else the tokens that are not the call's."""
        return self._state(token)

    def _in_header(self, token: Token) -> list[Token] | None:
        """Up to the first `{` of the arguments."""
        match token.kind:
            case Kind.END | Kind.CUT:
                self._without_arguments(cut=token.kind is Kind.CUT)
                return [token]
            case Kind.ENTRY | Kind.CALL:
                if self._named is not None:
                    self._without_arguments(cut=False)
                self._named, self._header = None, []
            case Kind.ARGUMENTS | Kind.ID:
                if self._named is None:
                    self._named = "".join(self._header)
                self._header = []
            case Kind.END_ENTRY:
                self._without_arguments(cut=False)
                self._state = self._between
            case Kind.END_CALL | Kind.END_MESSAGE:
                self._without_arguments(cut=False)
                return []
            case Kind.HEADER:
                self._without_arguments(cut=False)
                return [token]
            case _:
                self._fenced |= token.kind is Kind.FENCE
                before, brace, rest = token.raw.partition("{")
                self._header.append(before)
                if brace:
                    self._json.open("{")
                    self._state = self._in_arguments
                    return self._in_arguments(Token(Kind.TEXT, rest))
        return None

    def _in_arguments(self, token: Token) -> list[Token] | None:
        if token.kind in ENDS:
            self._read(cut=token.kind is Kind.CUT)
            return [token]
        marks = (Kind.CALL, Kind.ENTRY, Kind.END_ENTRY, Kind.HEADER, *_CLOSERS)
        if not self._json.quoted and token.kind in marks:
            self._read(cut=False)
            return self._between(token)
        end = self._json.scan(token.raw, 0)
        if self._json.depth:
            return None
        self._read(cut=False)
        rest = token.raw[end:]
        return self._between(Token(Kind.TEXT, rest)) if rest else None

    def _between(self, token: Token) -> list[Token] | None:
        """Behind a call: its end, another call, or the end of the calls."""
        match token.kind:
            case Kind.FENCE if self._fenced:
                self._held, self._fenced = [], False
            case _ if token.blank:
                self._held.append(token)
            case Kind.END_ENTRY:
                self._held = []
            case Kind.END_CALL | Kind.END_MESSAGE:
                return []
            case Kind.CALL | Kind.ENTRY:
                self._next()
            case Kind.ARGUMENTS if self._held_name():
                header = self._held
                self._next()
                self._header = [held.raw for held in header]
                return self._in_header(token)
            case Kind.TEXT:
                return self._behind(token.raw)
            case _:
                return [*self._held, token]
        return None

    def _behind(self, raw: str) -> list[Token] | None:
        """Read text behind a call: braces too many, then perhaps the name of another."""
        if all(held.blank for held in self._held):
            rest = raw.lstrip("} \t\r")
            braces = raw[: len(raw) - len(rest)].rfind("}") + 1
            if braces:
                self._held, raw = [], raw[braces:]
            if not rest:
                self._held += [Token(Kind.TEXT, raw)] if raw else []
                return None
        return self._maybe_next(Token(Kind.TEXT, raw))

    def _maybe_next(self, token: Token) -> list[Token] | None:
        """Whether text behind a call is the name of another, whose mark is missing."""
        self._held.append(token)
        text = "".join(held.raw for held in self._held)
        name, brace, _ = text.partition("{")
        match = _NEXT.fullmatch(name)
        known = match is not None and (
            match[1] in self._tools
            if brace or match[2] is not None
            else any(tool.startswith(match[1]) for tool in self._tools)
        )
        if not known:
            partial = not brace and "functions.".startswith(name.strip())
            return None if partial else self._held
        if brace:
            tokens = self._held
            self._next()
            for held in tokens:
                rest = self._state(held)
                if rest is not None:
                    return rest
        return None

    def _held_name(self) -> bool:
        text = "".join(held.raw for held in self._held)
        return name_of(text, self._tools) in self._tools

    def _next(self) -> None:
        self._named, self._header, self._held = None, [], []
        self._json = Brackets()
        self._state = self._in_header

    def _name(self) -> str:
        # DeepSeek V3 has the kind of call before its mark, and the name behind it.
        behind = name_of("".join(self._header), self._tools)
        before = name_of(self._named or "", self._tools)
        named_behind = self._named is None or (behind and before in ("function", "tool", ""))
        return (behind if named_behind else before) or INVALID

    def _read(self, *, cut: bool) -> None:
        name = self._name()
        self._state = self._between
        if cut:
            self.calls.append(Call(name, {}, "", reasons.CUT_OFF))
        elif name == INVALID:
            self.calls.append(Call(name, {}, "", reasons.NAMELESS))
        else:
            self.calls.append(read_arguments(name, self._json.text, self._tools))

    def _without_arguments(self, *, cut: bool) -> None:
        """The call ends before its arguments begin: a call of a tool that needs none, at best."""
        name = self._name()
        if cut:
            self.calls.append(Call(name, {}, "", reasons.CUT_OFF))
        elif name != INVALID:
            self.calls.append(read_arguments(name, {}, self._tools))
