"""The incremental reader of a model's raw text: which tags are calls, and which are only talk.

A tag counts where it is not quoted (Markdown code) and not inside reasoning. `<tool_call>` opens a
call when a call follows it, or when it begins a line: then whatever follows is an attempt at one,
and the model is told what is wrong with it. A `<function=…>` whose `<tool_call>` was forgotten
opens a call when its parameters follow. Everything else is text, and comes out at once.

Every token is read a bounded number of times, so time is linear in the length of the output.
"""

from collections import deque
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from apr.providers.base import ToolSpec
from apr.providers.toolcalls import reasons
from apr.providers.toolcalls.hermes_json import JSONCalls
from apr.providers.toolcalls.lexer import ENDS, Kind, Lexer, Token
from apr.providers.toolcalls.markdown import Markdown
from apr.providers.toolcalls.pieces import INVALID, Call, Delta, Piece, Transcript
from apr.providers.toolcalls.qwen_xml import XMLCalls


class Parsed(Struct, frozen=True):
    """The whole output: what was still to be shown, and all pieces in order."""

    deltas: list[Delta]
    pieces: list[Piece]


class Parser:
    """Reads one output of a model that may call `tools`. Without tools no tag opens a call."""

    def __init__(self, tools: Sequence[ToolSpec]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._openers = {Kind.THINK, Kind.END_THINK} | (
            {Kind.CALL, Kind.FUNCTION} if tools else set()
        )
        self._lexer = Lexer()
        self._queue: deque[Token] = deque()
        self._transcript = Transcript()
        self._markdown = Markdown()
        self._state: Callable[[Token], None] = self._prose
        self._held: list[Token] = []
        self._before = Markdown()
        self._region: XMLCalls | JSONCalls | _Attempt = _Attempt()
        self._unquoted = 0
        self._nesting = True
        self._thought = False
        self._from_xml: list[int] = []
        self._stray_closer = False

    def feed(self, text: str) -> list[Delta]:
        """Take more output; return what can be shown of it."""
        self._queue.extend(self._lexer.feed(text))
        self._run()
        return self._transcript.take()

    def finish(self, *, cut: bool = False) -> Parsed:
        """End the output. With `cut` it ended at a limit: what is incomplete then is refused."""
        self._queue.extend(self._lexer.finish(cut=cut))
        self._run()
        self._transcript.close(trim=False)
        pieces = self._transcript.pieces
        if self._stray_closer:
            for index in self._from_xml:
                call = pieces[index]
                if isinstance(call, Call) and not call.reason:
                    pieces[index] = msgspec.structs.replace(call, reason=reasons.AMBIGUOUS)
        return Parsed(self._transcript.take(), pieces)

    def _run(self) -> None:
        while self._queue:
            self._state(self._queue.popleft())
            self._unquoted = max(0, self._unquoted - 1)

    def _again(self, tokens: Sequence[Token], *, unquoted: bool = False) -> None:
        """Read tokens again; if `unquoted`, backticks among them are only characters."""
        if unquoted or self._unquoted:
            self._unquoted += len(tokens)
        self._queue.extendleft(reversed(tokens))

    def _prose(self, token: Token) -> None:
        """In the text of the answer."""
        free = not self._markdown.quoted
        if free and self._markdown.code and token.kind in self._openers:
            self._before = self._markdown.copy()
            self._held = []
            self._state = self._maybe_quoted
            self._maybe_quoted(token)
            return
        match token.kind:
            case Kind.CALL | Kind.FUNCTION if free and self._tools:
                self._held = [token]
                self._state = self._after_call if token.kind is Kind.CALL else self._after_function
            case Kind.THINK if free and self._markdown.line_start:
                self._transcript.open_thinking(token.raw)
                self._thought = True
                self._state = self._thinking
            case Kind.END_THINK if free and not self._thought:
                self._transcript.close_thinking(token.raw)
                self._thought = True
                self._from_xml = []
                self._markdown = Markdown()
            case Kind.END | Kind.CUT:
                pass
            case _:
                if token.kind is Kind.END_PARAMETER and free and not self._markdown.code:
                    self._stray_closer = True
                self._text(token)

    def _text(self, token: Token) -> None:
        self._transcript.text(token.raw)
        self._markdown.push(token, inline=not self._unquoted)

    def _maybe_quoted(self, token: Token) -> None:
        """Behind a tag in inline code that may never be closed, in which case it is not code."""
        self._held.append(token)
        self._markdown.push(token)
        ended = token.kind in ENDS or self._markdown.quoted
        if self._markdown.code and not ended:
            return
        self._state = self._prose
        if token.kind is Kind.FENCE and not ended:
            self._transcript.text("".join(held.raw for held in self._held))
            return
        self._markdown = self._before
        self._markdown.code = 0
        self._again(self._held, unquoted=True)

    def _thinking(self, token: Token) -> None:
        if token.kind is Kind.END_THINK:
            self._transcript.close_thinking(token.raw)
            self._markdown = Markdown()
            self._state = self._prose
        elif token.kind not in ENDS:
            self._transcript.think(token.raw)

    def _after_call(self, token: Token) -> None:
        """Behind `<tool_call>`: is it the start of a call?"""
        attempt = self._markdown.line_start
        self._held.append(token)
        if token.blank or (attempt and token.kind is Kind.CALL):
            return
        start = token.raw.lstrip()[:1]
        if token.kind is Kind.FUNCTION:
            self._enter(XMLCalls(self._tools, nesting=self._nesting), token)
        elif start == "{" or (start == "[" and attempt):
            self._enter(JSONCalls(self._tools), token)
        elif attempt:
            self._enter(_Attempt(), token)
        else:
            self._not_a_call()

    def _after_function(self, token: Token) -> None:
        """Behind a `<function=…>` without `<tool_call>`: is it the start of a call?"""
        self._held.append(token)
        if token.blank:
            return
        opener = self._held[0]
        known = opener.name in self._tools
        if (
            token.kind is Kind.PARAMETER
            or token.raw.lstrip()[:1] == "{"
            or (token.kind is Kind.END_FUNCTION and (known or self._markdown.line_start))
            or (known and self._markdown.line_start)
        ):
            self._enter(XMLCalls(self._tools, nesting=self._nesting), opener, token)
        else:
            self._not_a_call()

    def _not_a_call(self) -> None:
        opener, *rest = self._held
        self._state = self._prose
        self._text(opener)
        self._again(rest)

    def _enter(self, region: "XMLCalls | JSONCalls | _Attempt", *tokens: Token) -> None:
        """Begin a call whose first tokens are already in `_held`."""
        self._region = region
        self._state = self._in_call
        for token in tokens:
            self._push(token)

    def _in_call(self, token: Token) -> None:
        self._held.append(token)
        self._push(token)

    def _push(self, token: Token) -> None:
        rest = self._region.push(token)
        if rest is None:
            return
        self._state = self._prose
        if self._region.unbalanced:
            self._nesting = False
            self._again(self._held)
            return
        raw = "".join(held.raw for held in self._held)
        self._record(raw[: len(raw) - sum(len(left.raw) for left in rest)])
        self._markdown = Markdown()
        self._again(rest)

    def _record(self, raw: str) -> None:
        calls = [
            msgspec.structs.replace(
                call, raw="" if index else raw, input=call.input or _unread(call, raw)
            )
            for index, call in enumerate(
                self._region.calls or [Call(INVALID, {}, "", reasons.UNKNOWN_FORM)]
            )
        ]
        self._transcript.calls(calls)
        self._stray_closer |= self._region.stray_closer
        if isinstance(self._region, XMLCalls):
            end = len(self._transcript.pieces)
            self._from_xml += range(end - len(calls), end)


def _unread(call: Call, raw: str) -> dict[str, str]:
    return {"raw": raw} if call.reason else {}


class _Attempt:
    """Something between call tags that no format knows."""

    unbalanced = False

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.stray_closer = False

    def push(self, token: Token) -> list[Token] | None:
        self.stray_closer |= token.kind is Kind.END_PARAMETER
        if token.kind is Kind.CUT:
            self.calls = [Call(INVALID, {}, "", reasons.CUT_OFF)]
        if token.kind is Kind.END_CALL:
            return []
        return [token] if token.kind in ENDS or token.kind is Kind.CALL else None
