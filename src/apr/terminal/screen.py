"""The sink for people at a terminal: answers as Markdown, calls in a line, edits as differences.

What is final is written once, and stays in the terminal's scrollback. What still moves (the end of
an answer, a command that runs) is asked for with `frame`, and drawn by whoever asks.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, Protocol

from apr.agent.endings import INTERRUPTED
from apr.agent.events import (
    Event,
    Notice,
    PrefillProgress,
    PromptDone,
    Retracted,
    TextDelta,
    ThinkingDelta,
    ToolProgress,
    ToolStarted,
)
from apr.terminal import results
from apr.terminal.cells import cut_line, isolated, width, wrapped
from apr.terminal.ink import RESET, Line, painted
from apr.terminal.markdown import Markdown
from apr.terminal.pace import Reading, Writing
from apr.terminal.verbatim import Verbatim
from apr.terminal.work import Work
from apr.ui.terminal import line as one_line
from apr.ui.terminal import plain
from ccpa.trace import AssistantTurn, Compaction, TextBlock, ToolResult, Usage, UserPrompt

_DIM, _RED = "\x1b[2m", "\x1b[31m"
_TALLEST = 12
"""Lines of an answer that move; half of a low terminal."""
_KEPT = 10
"""Results that are kept to be shown in full."""
_KEPT_THOUGHT = 50_000
"""Characters of reasoning that are."""
_THOUGHT = "dim italic"

Kind = Literal["answer", "call", "note"]
Full = Callable[[int], Iterable[Line]]
"""Returns all of something, for so many columns."""


class Flow(Protocol):
    """Text that comes in pieces."""

    def feed(self, text: str) -> None:
        """Take the next piece."""
        ...

    def frame(self, columns: int, height: int) -> tuple[list[Line], list[Line]]:
        """Return lines that are final from now on, and at most `height` that follow as yet."""
        ...

    def close(self, columns: int) -> list[Line]:
        """Return the lines that are not final yet: there is no more."""
        ...


class Screen:
    """Shows a session as it goes.

    Args:
        write: takes text for the terminal, with its line ends.
        width: returns the columns there are.
        colour: whether colour is wanted.
        root: the project.
        clock: returns seconds.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        width: Callable[[], int],
        *,
        colour: bool,
        root: Path = Path(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._width = width
        self._clock = clock
        self.colour = colour
        self.verbose = False
        """Whether everything is shown in full."""
        self.doing = ""
        """What is going on, for the status line; empty where nothing is."""
        self.usage = Usage(input_tokens=0, output_tokens=0)
        """Of the last answer: how full the context is."""
        self.turns = 0
        self.reading: Reading | None = None
        """How far the model has read the prompt, while it does."""
        self.work = Work(root, clock)
        self.panel: Callable[[int], list[Line]] | None = None
        """Returns what stands right above the input: an open question."""
        self.changed: Callable[[], None] = lambda: None
        """Called when there is something else to show."""
        self.moves = False
        """Whether somebody draws what moves."""
        self._writing = Writing(clock)
        self._speed: float | None = None
        self._answer: Flow | None = None
        self._spoke = False
        """Whether this answer has come in pieces."""
        self._thought = ""
        self._thinks_since: float | None = None
        self._thinking: Flow | None = None
        self._since = clock()
        self._last: Kind | None = None
        self._kept: deque[Full] = deque(maxlen=_KEPT)

    @property
    def tokens_per_second(self) -> float | None:
        """How fast the model writes now; when it does not, how fast it wrote last."""
        return self._writing.speed or self._speed

    @property
    def columns(self) -> int:
        """The columns there are."""
        return max(self._width(), 20)

    def __call__(self, event: Event) -> None:
        """Show the event, if it is one that people see here."""
        match event:
            case TextDelta(text):
                self._said(text)
            case ThinkingDelta(text):
                self._thinks(text)
            case PrefillProgress(done, total, cached):
                self.reading = self.reading or Reading(self._clock)
                self.reading.take(done, total, cached)
                self._does(f"reading {done:,} of {total:,} tokens")
            case Retracted():
                self._retracted()
            case AssistantTurn():
                self._answered(event)
            case ToolStarted(call):
                if self.work.started(call).parent is None:
                    self._does(call.name)
            case ToolProgress(call_id, text):
                self.work.said(call_id, text)
            case ToolResult():
                self._came_to(event)
            case Compaction(tokens_before=before, tokens_after=after):
                self.say(f"the conversation was summed up: {before:,} -> {after:,} tokens", _DIM)
            case Notice(text):
                self.put(self._told(text, "dim"))
            case UserPrompt():
                self._kept.clear()
                self._last = None
                self._does("reading")
            case PromptDone(error=error):
                self._over(error)
            case _:
                return
        self.changed()

    def close(self) -> None:
        """Show what is left."""
        self._end_answer()

    def say(self, text: str, colour: str = "") -> None:
        """Show a line that is no part of an answer; `colour` is an escape sequence."""
        shown = plain(text)
        painted_text = f"{colour}{shown}{RESET}" if self.colour and colour else shown
        self._separate("note")
        self._write(f"{painted_text}\n")

    def put(self, lines: Iterable[Line], kind: Kind = "note") -> None:
        """Show lines, which hold nothing that a terminal must not see."""
        text = "".join(f"{painted(line, colour=self.colour)}\n" for line in lines)
        if text:
            self._separate(kind)
            self._write(text)

    def keep(self, full: Full) -> None:
        """Remember what was cut short: the next change to verbose shows it in full."""
        self._kept.append(full)

    def toggle_verbose(self) -> None:
        """Show everything in full from now on, and what was cut short of late; or no longer."""
        self.verbose = not self.verbose
        if not self.verbose:
            self.say("Results are shown in short again.", _DIM)
            return
        self.say("Everything is shown in full from now on; Ctrl-O ends that.", _DIM)
        if self._thinks_since is not None:
            self._thinking = Verbatim(_THOUGHT)
            self._thinking.feed(self._thought)
        kept = list(self._kept)
        self._kept.clear()
        for full in kept:
            self.put(full(self.columns), "call")

    def markdown(self, text: str, columns: int) -> list[Line]:
        """Return a whole text as lines."""
        flow = self._flow()
        flow.feed(text)
        return flow.close(columns)

    def frame(self, columns: int, rows: int) -> list[Line]:
        """Return what moves at the moment, as lines that fit; what has become final is written."""
        height = min(rows // 2, _TALLEST)
        moving = [*self._flowing(columns, height), *self._going(columns)]
        if self.panel is not None:
            moving = [*moving[-height:], *self.panel(columns)]
        return [cut_line(line, columns) for line in moving[-max(rows - 4, 1) :]] if rows else []

    def _flowing(self, columns: int, height: int) -> list[Line]:
        moving: list[Line] = []
        if self._thinking is not None and self.verbose:
            final, moving = self._thinking.frame(columns, height)
            self.put(final, "call")
        elif self._thinks_since is not None:
            moving = [self._thought_so_far(columns)]
        if self._answer is not None:
            final, moving = self._answer.frame(columns, height)
            self.put(final, "answer")
        return moving

    def _going(self, columns: int) -> Iterator[Line]:
        """Yield what is going on besides."""
        if self.reading is not None:
            yield self.reading.line(columns)
        shown = list(self.work.lines(columns))
        yield from shown
        idle = self._answer is None and self._thinks_since is None and self.reading is None
        if self.doing and idle and not shown and self.panel is None:
            yield [("dim", f"{self.doing}{self._for(self._since)} · Esc interrupts")]

    def _for(self, since: float) -> str:
        elapsed = self._clock() - since
        return f" · {elapsed:.0f} s" if elapsed >= 1 else ""

    def _does(self, what: str) -> None:
        if what.partition(" ")[0] != self.doing.partition(" ")[0]:
            self._since = self._clock()
        self.doing = what

    def _flow(self) -> Flow:
        return Markdown() if self.colour else Verbatim()

    def _said(self, text: str) -> None:
        self._end_thought()
        self.reading = None
        self._does("answering")
        self._writing.take()
        if self._answer is None:
            self._answer = self._flow()
        self._answer.feed(text)
        self._spoke = True

    def _thinks(self, text: str) -> None:
        self.reading = None
        self._does("thinking")
        self._writing.take()
        if self._thinks_since is None:
            self._thinks_since = self._clock()
            self._thought = ""
            self._thinking = Verbatim(_THOUGHT)
        self._thought = (self._thought + text)[-_KEPT_THOUGHT:]
        if self._thinking is not None and self.verbose:
            self._thinking.feed(text)

    def _thought_so_far(self, columns: int) -> Line:
        since = self._thinks_since
        told = f"thinking{self._for(since) if since is not None else ''} "
        last = one_line(self._thought[-4 * columns :].strip().rpartition("\n")[2])
        room = columns - len(told) - 2
        while width(last) > room:
            last = last[len(last) - max(room, 1) :] if len(last) > room else last[1:]
        return [("dim", f"✻ {told}"), (_THOUGHT, isolated(last))]

    def _end_thought(self) -> None:
        if self._thinks_since is None:
            return
        if self._thinking is not None and self.verbose:
            self.put(self._thinking.close(self.columns), "call")
        elapsed = self._clock() - self._thinks_since
        self.put([[("dim", f"✻ thought for {elapsed:.0f} s")]], "call")
        thought = self._thought
        if not self.verbose:
            self.keep(lambda _columns: _whole_thought(thought))
        self._thinks_since = self._thinking = None

    def _end_answer(self) -> None:
        self._end_thought()
        answer, self._answer = self._answer, None
        if answer is not None:
            self.put(answer.close(self.columns), "answer")
        self.reading = None

    def _retracted(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:  # what was seen of it does not just vanish
            self.put(answer.close(self.columns), "answer")
        self._end_thought()
        self._writing.end(0)
        self._spoke = False
        self.say("⟲ the answer broke off: what stands above is void, and it comes again", _DIM)

    def _answered(self, turn: AssistantTurn) -> None:
        self.work.asked(turn)
        if turn.parent_tool_use_id is not None:
            return
        for block in turn.blocks if not self._spoke else ():
            if isinstance(block, TextBlock) and block.text:
                self._said(block.text)
        self._end_answer()
        self._spoke = False
        self.turns += 1
        self.usage = turn.usage or self.usage
        self._speed = self._writing.end(self.usage.output_tokens) or self._speed

    def _came_to(self, result: ToolResult) -> None:
        going = self.work.ended(result)
        if result.parent_tool_use_id is not None:
            if going is not None and self.verbose:
                self.put(results.indented(results.in_full(going, result, self.columns)), "call")
            return
        self._does("reading")
        if going is None:
            if not result.ok:
                self.put(
                    [[("ansired", f"  ✗ {plain(result.content.strip().partition(chr(10))[0])}")]],
                    "call",
                )
            return
        if self.verbose:
            self.put(results.in_full(going, result, self.columns), "call")
            return
        self.put(
            results.in_short(going, result, self.work.crew(going.call.id), self.columns), "call"
        )
        self.keep(lambda columns: results.in_full(going, result, columns))

    def _told(self, text: str, style: str) -> Iterator[Line]:
        """Yield what is told in sentences, broken between words."""
        return wrapped([(style, isolated(plain(text)))], self.columns)

    def _over(self, error: str | None) -> None:
        self._end_answer()
        self._writing.end(0)
        self.work.cleared()
        self.doing = ""
        if error is not None:
            self.put(self._told("interrupted" if error == INTERRUPTED else error, "ansired"))

    def _separate(self, kind: Kind) -> None:
        """Leave a line empty between what is said and what is done."""
        if self._last is not None and "answer" in {kind, self._last} and kind != self._last:
            self._write("\n")
        self._last = kind


def _whole_thought(thought: str) -> Iterator[Line]:
    yield [("dim", "✻ the reasoning")]
    yield from ([(_THOUGHT, isolated(text))] for text in plain(thought.strip()).split("\n"))
