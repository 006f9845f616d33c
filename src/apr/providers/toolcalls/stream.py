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
from collections.abc import Callable, Sequence
from enum import Enum, auto

import msgspec
from msgspec import Struct

from apr.providers.base import ToolSpec
from apr.providers.toolcalls import reasons, shapes
from apr.providers.toolcalls.harmony import Header
from apr.providers.toolcalls.hermes_json import JSONCalls
from apr.providers.toolcalls.lexer import ENDS, Kind, Lexer, Token
from apr.providers.toolcalls.markdown import Markdown
from apr.providers.toolcalls.marks import OWN, Family
from apr.providers.toolcalls.pieces import INVALID, Call, Delta, Piece, Transcript
from apr.providers.toolcalls.readers import Attempt, Reader, reader_for
from apr.providers.toolcalls.shapes import Shape
from apr.providers.toolcalls.tagged import XMLCalls

_WORDS = frozenset({"mistral", "tools", "list", "nemotron"})
"""Forms whose marks are words like any other, not tokens of their own."""
_SECTIONS = frozenset({"kimi", "deepseek"})
"""Forms whose calls have marks of their own inside of the section that a mark opens."""
_OPENING = frozenset({Kind.CALL, Kind.ENTRY, Kind.FUNCTION})
_REST = frozenset({Kind.END_CALL, Kind.END_ENTRY, Kind.END_FUNCTION, Kind.END_MESSAGE})
"""Closers that are left over behind a call."""


class Parsed(Struct, frozen=True):
    """The whole output: what was still to be shown, and all pieces in order."""

    deltas: list[Delta]
    pieces: list[Piece]


class _Trial(Enum):
    """On what evidence a call counts that is being read."""

    NONE = auto()
    """It is one."""
    TOOL = auto()
    """It is one if it names an offered tool."""
    VALID = auto()
    """It is one if it could run."""
    LAST = auto()
    """It is one if it could run and nothing follows it."""


class Parser:
    """Reads one output of a model that may call `tools`. Without tools no tag opens a call.

    Args:
        tools: those that the model was offered.
        family: how the model was trained to write calls; None if that is not known. All forms are
            read in any case, because models mix them up; it decides on how much evidence.
    """

    def __init__(self, tools: Sequence[ToolSpec], *, family: Family | None = None) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._family = family
        self._own = OWN[family] | {"tool_call"}
        self._openers = {Kind.THINK, Kind.END_THINK, Kind.HEADER} | (_OPENING if tools else set())
        self._lexer = Lexer(headings=family == "harmony")
        self._queue: deque[Token] = deque()
        self._transcript = Transcript()
        self._markdown = Markdown()
        self._state: Callable[[Token], None] = self._prose
        self._held: list[Token] = []
        self._head = ""
        self._head_at = 0
        self._before = Markdown()
        self._region: Reader = Attempt()
        self._trial = _Trial.NONE
        self._unquoted = 0
        self._settled = 0
        self._nesting = True
        self._thought = False
        self._thinking_form = ""
        self._messages = False
        self._behind_call = False
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
            case Kind.CALL | Kind.ENTRY | Kind.FUNCTION if free and self._tools:
                self._hold(token)
                self._state = (
                    self._after_function if token.kind is Kind.FUNCTION else self._after_call
                )
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
                self._state = self._maybe_unmarked
                self._maybe_unmarked(Token(Kind.TEXT, text))
            case _:
                if token.kind is Kind.END_PARAMETER and free and not self._markdown.code:
                    self._stray_closer = True
                self._text(token)

    def _hold(self, *tokens: Token) -> None:
        self._held = list(tokens)
        self._head = ""
        self._trial = _Trial.NONE

    def _text(self, token: Token) -> None:
        self._behind_call &= token.blank
        self._transcript.text(token.raw)
        self._markdown.push(token, inline=not self._unquoted)

    def _believed(self, token: Token) -> bool:
        """Whether a mark that ends reasoning is one: a foreign one at most on a line of its own."""
        return not token.form or token.form in self._own or self._markdown.line_start

    def _maybe_quoted(self, token: Token) -> None:
        """Behind a tag in inline code that may never be closed, in which case it is not code."""
        self._held.append(token)
        self._markdown.push(token)
        ended = token.kind in ENDS or self._markdown.quoted
        if self._markdown.code and not ended:
            return
        self._state = self._prose
        if token.kind is Kind.FENCE and not ended:
            self._behind_call = False
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
            if token.kind in ENDS or token.kind not in (Kind.TEXT, Kind.HEADER) or header.too_long:
                self._no_header(ended=token.kind in ENDS)
            return
        self._state = self._prose
        if not header.sound:
            self._not_a_call()
            return
        name = header.recipient
        if name is not None and self._tools:
            self._head_at = len(self._held)
            self._messages = True
            self._enter(reader_for(Shape.NAMED, self._tools, name=name))
        else:
            self._begin_message(header.text, header.channel)

    def _begin_message(self, header: str, channel: str | None) -> None:
        self._messages = True
        self._markdown = Markdown()
        if channel == "analysis":
            self._think(header, "harmony")
        else:
            self._transcript.hide(header)

    def _no_header(self, *, ended: bool) -> None:
        """What began like a header is none: a mere mark of the own family is not shown at the end."""
        if ended and (self._messages or "harmony" in self._own):
            self._transcript.hide("".join(held.raw for held in self._held))
            self._state = self._prose
        else:
            self._not_a_call()

    def _after_call(self, token: Token) -> None:
        """Behind a mark that opens a call: is it the start of one?"""
        self._held.append(token)
        opener = self._held[0]
        attempt = self._markdown.line_start and opener.form in self._own
        if token.kind in (Kind.TEXT, Kind.NEWLINE, Kind.FENCE, Kind.STOP):
            if token.blank and not self._head:
                return
            self._head_at = self._head_at if self._head else len(self._held) - 1
            self._head += token.raw
            text = self._head.lstrip()
            shape = shapes.behind_mark(text)
            if shape is Shape.JSON and text[0] == "[" and opener.form == "tool_call":
                shape = shape if attempt else None
            if shape is Shape.WAIT:
                return
            if shape:
                self._try_marked(opener)
                self._enter(self._reader(shape))
                return
        elif self._goes_on(token, attempt=attempt):
            return
        self._no_call_behind(token, attempt=attempt)

    def _goes_on(self, token: Token, *, attempt: bool) -> bool:
        """Whether a mark behind the one that opens a call continues it."""
        name = self._head.strip()
        named = shapes.NAME.fullmatch(self._head) is not None
        known = name in self._tools
        if not self._head:
            self._head_at = len(self._held) - 1
        if not name and token.kind is Kind.ENTRY:
            return True
        if token.kind is Kind.CALL and (not name or (known and self._family == "glm")):
            return attempt or known
        if not name and token.kind is Kind.FUNCTION:
            self._enter(self._reader(None))
            return True
        if named and token.kind in (Kind.ARGUMENTS, Kind.ID):
            self._try_marked(self._held[0])
            self._enter(self._reader(Shape.NAMED))
            return True
        marked = self._held[0].kind is Kind.ENTRY or self._held[0].form in _SECTIONS
        if named and marked and token.kind in (*ENDS, Kind.END_ENTRY, Kind.END_CALL):
            self._enter(self._reader(Shape.NAMED))
            return True
        if token.kind is Kind.END_KEY and (split := shapes.name_and_key(name, self._tools)):
            self._enter(
                self._reader(None),
                Token(Kind.FUNCTION, "", split[0], "glm"),
                Token(Kind.PARAMETER, token.raw, split[1], "glm"),
            )
            return True
        if named and (
            (token.kind is Kind.PARAMETER and (known or token.form == "glm"))
            or (token.kind is Kind.END_CALL and (known or attempt))
        ):
            form = "glm" if token.form in ("glm", "tool_call") else "function"
            self._enter(self._reader(None), Token(Kind.FUNCTION, "", name, form), token)
            return True
        return False

    def _try_marked(self, opener: Token) -> None:
        """Put a call on trial whose mark may be only a word."""
        if opener.form in _WORDS and opener.form not in self._own:
            self._trial = _Trial.VALID if self._markdown.line_start else _Trial.LAST

    def _no_call_behind(self, token: Token, *, attempt: bool) -> None:
        opener = self._held[0]
        bare = not self._head.strip() and token.kind in ENDS
        if opener.form in _SECTIONS and opener.form in self._own and not bare:
            self._state = self._prose
            self._transcript.hide(opener.raw)
            self._again(self._held[1:])
        elif attempt and (bare or opener.form not in _WORDS):
            self._enter(Attempt())
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
            self._enter(self._reader(None), opener, token)
        else:
            self._not_a_call()

    def _may_be_unmarked(self, token: Token) -> bool:
        return bool(
            self._tools
            and self._markdown.line_start
            and not self._markdown.code
            and not self._settled
            and not token.blank
        )

    def _maybe_unmarked(self, token: Token) -> None:
        """At the start of a line: is it a call without any mark?"""
        self._held.append(token)
        fenced = self._family == "deepseek_v3"
        head = self._head.strip()
        if token.kind is Kind.HEADER and shapes.partly_addressed(head, self._tools) and "=" in head:
            self._state = self._in_header
            return
        if (
            token.kind in (Kind.ARGUMENTS, Kind.ID)
            and self._head.rpartition(".")[2].partition(":")[0] in self._tools
        ):
            self._head_at = 0
            self._enter(self._reader(Shape.NAMED))
            return
        plain = token.kind in (Kind.TEXT, Kind.NEWLINE) or (fenced and token.kind is Kind.FENCE)
        self._head += token.raw
        text = self._head.lstrip()
        if plain and (name := shapes.addressed(text, self._tools)):
            self._head_at = 0
            self._enter(reader_for(Shape.NAMED, self._tools, name=name))
            return
        shape = shapes.unmarked(text, self._tools, fenced=fenced) if plain else None
        if shape is Shape.WAIT or (plain and shapes.partly_addressed(text, self._tools)):
            return
        if shape is None:
            self._state = self._prose
            self._again(self._held, settled=True)
            return
        form = {Shape.JSON: "json", Shape.PYTHON: "python"}.get(shape, "named")
        own = form in self._own or shape is Shape.NUMBERED
        self._trial = _Trial.TOOL if own else _Trial.LAST
        self._head_at = 0
        self._enter(self._reader(shape))

    def _not_a_call(self) -> None:
        opener, *rest = self._held
        self._state = self._prose
        self._text(opener)
        self._again(rest)

    def _reader(self, begins: Shape | None) -> Reader:
        """Return the reader of calls that begin so; None stands for a function's tag."""
        if begins is None:
            exact = self._family == "seed_oss" or self._held[0].form == "seed"
            return XMLCalls(self._tools, nesting=self._nesting, exact=exact)
        if begins is Shape.JSON:
            return JSONCalls(self._tools)
        return reader_for(begins, self._tools)

    def _enter(self, region: Reader, *tokens: Token) -> None:
        """Begin a call. Its first tokens are already in `_held`: from `_head_at` on, or `tokens`."""
        self._region = region
        self._state = self._in_call
        for token in tokens or self._held[self._head_at :]:
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
        if not self._passed(rest):
            self._again(self._held, settled=True)
            return
        raw = "".join(held.raw for held in self._held)
        self._record(raw[: len(raw) - sum(len(left.raw) for left in rest)])
        self._markdown = Markdown()
        self._again(rest)

    def _passed(self, rest: Sequence[Token]) -> bool:
        """Whether what was on trial is a call, given what follows it."""
        calls = self._region.calls
        known = [call.name in self._tools for call in calls]
        match self._trial:
            case _Trial.NONE:
                return True
            case _Trial.TOOL:
                return bool(calls) and all(known) or any(call.input for call in calls)
            case _Trial.VALID | _Trial.LAST:
                whole = all(call.reason in (None, reasons.CUT_OFF) for call in calls)
                last = all(token.blank or token.kind in ENDS for token in rest)
                sound = bool(calls) and all(known) and whole
                return sound and (last or self._trial is _Trial.VALID)

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
