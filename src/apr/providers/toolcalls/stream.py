"""The incremental reader of a model's raw text: which tags are calls, and which are only talk.

A tag counts where it is not quoted (Markdown code) and not inside reasoning. A mark that opens a
call does so when a call follows it; `<tool_call>`, and a mark of the model's own family, also when
it begins a line: then whatever follows is an attempt at a call, and the model is told what is wrong
with it. A `<function=…>` whose `<tool_call>` was forgotten opens a call when its parameters follow.

Where there is no mark, or one that is also just a word (`[TOOL_CALLS]`), a call is on *trial*: it
is held back and read to its end. If then it is no call of an offered tool, or text follows a form
that is not the family's own, it was text all along. Everything else is text, and comes out at once.

Every token is read a bounded number of times, so time is linear in the length of the output.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

from apr.later import Later
from apr.providers.base import ToolSpec
from apr.providers.toolcalls import reasons
from apr.providers.toolcalls.families import Family
from apr.providers.toolcalls.harmony import Header
from apr.providers.toolcalls.lexer import ENDS, Kind, Lexer, Token
from apr.providers.toolcalls.markdown import Markdown
from apr.providers.toolcalls.marks import OWN
from apr.providers.toolcalls.openings import Found, Marked, Unmarked
from apr.providers.toolcalls.pieces import INVALID, Call, Delta, Piece, Transcript
from apr.providers.toolcalls.readers import Attempt, Reader, reader_for
from apr.providers.toolcalls.shapes import Shape
from apr.providers.toolcalls.tagged import XMLCalls
from apr.providers.toolcalls.trial import WORDS, Trial, passes

_MARKS = 2
"""Marks that the header of a message has at most before the one that ends it."""
_OPENING = frozenset({Kind.CALL, Kind.ENTRY, Kind.FUNCTION})
_REST = frozenset({Kind.END_CALL, Kind.END_ENTRY, Kind.END_FUNCTION, Kind.END_MESSAGE})
"""Closers that are left over behind a call."""


class Parsed(Struct, frozen=True):
    """The whole output: what was still to be shown, and all pieces in order."""

    deltas: list[Delta]
    pieces: list[Piece]


class Parser:
    """Reads one output of a model that may call `tools`. Without tools no tag opens a call.

    Args:
        tools: those that the model was offered.
        known: by name, what makes the specs of others whose calls are read.
        family: how the model was trained to write calls; None if that is not known. All forms are
            read in any case, because models mix them up; it decides on how much evidence.
    """

    def __init__(
        self,
        tools: Sequence[ToolSpec],
        *,
        known: Mapping[str, Callable[[], ToolSpec]] | None = None,
        family: Family | None = None,
    ) -> None:
        self.tools = Later({tool.name: tool for tool in tools}, known or {})
        """Those whose calls are read."""
        self._family = family
        self._own = OWN[family] | {"tool_call"}
        opening = _OPENING if self.tools else set()
        self._openers = {Kind.THINK, Kind.END_THINK, Kind.HEADER} | opening
        self._lexer = Lexer(headings=family == "harmony")
        self._queue: deque[Token] = deque()
        self._transcript = Transcript()
        self._markdown = Markdown()
        self._state: Callable[[Token], None] = self._prose
        self._held: list[Token] = []
        self._opening: Marked | Unmarked = Unmarked({}, None, ())
        self._before = Markdown()
        self._region: Reader = Attempt()
        self._trial = Trial.NONE
        self._unquoted = 0
        self._settled = 0
        self._nesting = True
        self._thought = False
        self._thinking_form = ""
        self._messages = False
        self._to_people = False
        self._behind_call = False
        self._spoken = False
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
        self._transcript.end()
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
            self._settled = max(0, self._settled - 1)

    def _again(
        self, tokens: Sequence[Token], *, unquoted: bool = False, settled: bool = False
    ) -> None:
        """Read tokens again.

        Args:
            tokens: what to read.
            unquoted: backticks among them are only characters.
            settled: without a mark there is no call among them.
        """
        # The token that is being read now is counted too, until `_run` is done with it.
        if unquoted or self._unquoted:
            self._unquoted += len(tokens) + (not self._unquoted)
        if settled or self._settled:
            self._settled += len(tokens) + (not self._settled)
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
            case Kind.CALL | Kind.ENTRY | Kind.FUNCTION if free and self._may_open(token):
                self._hold(token)
                self._open(token)
            case Kind.HEADER if free and token.form == "heading":
                self._begin_message(token.raw, token.raw.removeprefix("assistant"))
            case Kind.HEADER if free:
                self._hold(token)
                self._state = self._in_header
            case Kind.THINK if free and self._markdown.line_start:
                self._think(token.raw, token.form)
            case Kind.END_THINK if free and not self._thought and self._believed(token):
                self._transcript.close_thinking(token.raw)
                self._thought = True
                self._from_xml = []
                self._markdown = Markdown()
            case Kind.END_MESSAGE if self._messages:
                self._transcript.hide(token.raw)
            case Kind.STOP:
                self._transcript.stop(token.raw)
            case _ if self._behind_call and token.kind in _REST:
                self._transcript.hide(token.raw)
            case Kind.END | Kind.CUT:
                pass
            case Kind.TEXT if free and self._may_be_unmarked(token):
                text = token.raw.lstrip()
                if text != token.raw:
                    self._text(Token(Kind.TEXT, token.raw[: len(token.raw) - len(text)]))
                self._hold()
                self._opening = Unmarked(self.tools, self._family, self._own)
                self._state = self._after_mark
                self._after_mark(Token(Kind.TEXT, text))
            case _:
                if token.kind is Kind.END_PARAMETER and free and not self._markdown.code:
                    self._stray_closer = True
                self._text(token)

    def _may_open(self, token: Token) -> bool:
        word = token.form in WORDS and token.form not in self._own
        return bool(self.tools) and not (word and self._settled)

    def _hold(self, *tokens: Token) -> None:
        self._held = list(tokens)
        self._trial = Trial.NONE

    def _open(self, token: Token) -> None:
        if token.kind is Kind.FUNCTION:
            self._state = self._after_function
            return
        start = self._markdown.line_start
        self._opening = Marked(token, self.tools, self._family, self._own, line_start=start)
        self._state = self._after_mark

    def _text(self, token: Token) -> None:
        self._behind_call &= token.blank
        self._spoken |= not token.blank
        self._transcript.text(token.raw)
        self._markdown.push(token, inline=not self._unquoted)

    def _believed(self, token: Token) -> bool:
        """Whether a mark that ends reasoning is one, where none began: a foreign one is a word."""
        unsure = self._family is None and self._markdown.line_start
        return not token.form or token.form in self._own or unsure

    def _maybe_quoted(self, token: Token) -> None:
        """Behind a tag in inline code that may never be closed, in which case it is not code."""
        self._held.append(token)
        self._markdown.push(token)
        ended = token.kind in ENDS or self._markdown.quoted
        if self._markdown.code and not ended:
            return
        self._state = self._prose
        if token.kind is Kind.FENCE and not ended:
            self._behind_call, self._spoken = False, True
            self._transcript.text("".join(held.raw for held in self._held))
            return
        self._markdown = self._before
        self._markdown.code = 0
        self._again(self._held, unquoted=True)

    def _think(self, raw: str, form: str) -> None:
        self._transcript.open_thinking(raw)
        self._thought = True
        self._behind_call = False
        self._thinking_form = form
        self._state = self._thinking

    def _thinking(self, token: Token) -> None:
        form = self._thinking_form
        if token.kind in (Kind.END_THINK, Kind.END_MESSAGE) and token.form == form:
            self._transcript.close_thinking(token.raw)
            self._markdown = Markdown()
            self._state = self._prose
        elif token.kind is Kind.HEADER and form == "harmony":
            self._transcript.close(trim=True)
            self._markdown = Markdown()
            self._state = self._prose
            self._again([token])
        elif token.kind not in ENDS:
            self._transcript.think(token.raw)

    def _in_header(self, token: Token) -> None:
        """In the header of a message: whose it is, and for whom."""
        self._held.append(token)
        header = Header("".join(held.raw for held in self._held))
        if token.kind is not Kind.MESSAGE:
            headers = sum(held.kind is Kind.HEADER for held in self._held)
            if token.kind not in (Kind.TEXT, Kind.HEADER) or header.too_long or headers > _MARKS:
                self._no_header(ended=token.kind in ENDS)
            return
        self._state = self._prose
        if not header.sound:
            self._not_a_call()
            return
        name = header.recipient
        if name is not None and self.tools:
            self._messages = True
            self._enter(reader_for(Shape.NAMED, self.tools, name=name))
        else:
            self._begin_message(header.text, header.channel)

    def _begin_message(self, header: str, channel: str | None) -> None:
        self._messages = True
        # In a message without a recipient JSON is for people; where marks were stripped from the
        # header, the recipient still follows.
        self._to_people = not header.endswith("commentary")
        self._markdown = Markdown()
        if channel == "analysis":
            self._think(header, "harmony")
        else:
            self._transcript.hide(header)

    def _no_header(self, *, ended: bool) -> None:
        """What began like a header is none. At the end, marks of the family are not shown."""
        if ended and (self._messages or "harmony" in self._own):
            self._transcript.hide("".join(held.raw for held in self._held))
            self._state = self._prose
        else:
            self._not_a_call()

    def _after_mark(self, token: Token) -> None:
        """Behind a mark that opens a call, or at the start of a line: is it the start of one?"""
        self._held.append(token)
        verdict = self._opening.push(token)
        if verdict is None:
            return
        self._trial = verdict.trial
        match verdict.found:
            case Found.TAGS:
                self._enter(self._tagged(), *verdict.tokens)
            case Found.CALL:
                reader = reader_for(verdict.shape, self.tools, name=verdict.name)
                self._enter(reader, *verdict.tokens)
            case Found.ATTEMPT:
                self._enter(Attempt(), *verdict.tokens)
            case Found.SECTION:
                self._state = self._prose
                self._transcript.hide(self._held[0].raw)
                self._again(self._held[1:])
            case Found.HEADER:
                self._state = self._in_header
            case Found.TEXT if isinstance(self._opening, Unmarked):
                self._state = self._prose
                self._again(self._held, settled=True)
            case Found.TEXT:
                self._not_a_call()

    def _after_function(self, token: Token) -> None:
        """Behind a `<function=…>` without `<tool_call>`: is it the start of a call?"""
        self._held.append(token)
        if token.blank:
            return
        opener = self._held[0]
        known = opener.name in self.tools
        if (
            token.kind is Kind.PARAMETER
            or token.raw.lstrip()[:1] == "{"
            or (token.kind is Kind.END_FUNCTION and (known or self._markdown.line_start))
            or (known and self._markdown.line_start)
        ):
            self._enter(self._tagged(), opener, token)
        else:
            self._not_a_call()

    def _may_be_unmarked(self, token: Token) -> bool:
        return bool(
            self.tools
            and not self._to_people
            and self._markdown.line_start
            and not self._markdown.code
            and not self._settled
            and not token.blank
        )

    def _not_a_call(self) -> None:
        opener, *rest = self._held
        self._state = self._prose
        self._text(opener)
        self._again(rest)

    def _tagged(self) -> XMLCalls:
        exact = self._family == "seed_oss" or self._held[0].form == "seed"
        return XMLCalls(self.tools, nesting=self._nesting, exact=exact)

    def _enter(self, region: Reader, *tokens: Token) -> None:
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
        calls, alone = self._region.calls, not self._transcript.pieces and not self._spoken
        if not passes(self._trial, calls, self.tools, rest, alone=alone):
            self._again(self._held, settled=True)
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
        self._behind_call = True
        self._stray_closer |= self._region.stray_closer
        if isinstance(self._region, XMLCalls):
            end = len(self._transcript.pieces)
            self._from_xml += range(end - len(calls), end)


def _unread(call: Call, raw: str) -> dict[str, str]:
    return {"raw": raw} if call.reason else {}
