"""What is printed above the prompt, and what moves there until it is done.

What is said for good goes into the terminal's own scrollback. Between that and the input stands a
small region that is drawn anew with the prompt: the end of an answer that is still coming, the
progress of a long step. Both change in the same drawing, so that nothing is seen twice, and nothing
vanishes for a moment. A dumb terminal has no such region: there all is plain lines.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from prompt_toolkit.output.plain_text import PlainTextOutput

from apr.terminal.erasing import breaks_anew, erase_in_pieces, follow_width
from apr.terminal.hangup import outlast
from apr.terminal.ink import Line

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.application import Application
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.output import Output

_BETWEEN_S = 0.04
"""Time between two drawings that no key has asked for: 25 a second are seen as motion."""
_TICK_S = 1.0
"""How often the clock of a step that is going on moves."""
# Terminals that know it show what comes between these at once; the others ignore them.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
PROMPT = "> "


class Moving(Protocol):
    """What has something to show that is not final yet."""

    doing: str
    changed: Callable[[], None]
    """Called when there is something else to show."""
    moves: bool
    """Whether somebody draws it."""

    def frame(self, columns: int, rows: int) -> list[Line]:
        """Return the lines as they are now; what has become final is written before it returns."""
        ...


class Plain(PlainTextOutput):
    """The output of a dumb terminal: text, and whether the last line of it is over."""

    line_is_open = False

    def write(self, data: str) -> None:
        """Write what a prompt has to say: itself, and what is typed."""
        super().write(data)
        self.line_is_open = not data.endswith("\n")

    def write_raw(self, data: str) -> None:
        """Write what we have to say."""
        self.write(data)


class Above:
    """Writes above the input of a prompt, whether that is open at the time or not.

    It is made before the prompt: on a dumb terminal, that is then one that controls nothing.
    """

    def __init__(self) -> None:
        from prompt_toolkit.application import create_app_session
        from prompt_toolkit.utils import is_dumb_terminal

        self._session: PromptSession[str] | None = None
        self._moving: Moving | None = None
        self._waiting: list[str] = []
        self._lines: list[Line] = []
        self._soon: asyncio.TimerHandle | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._drawn_at = 0.0
        self._dumb = is_dumb_terminal()
        self._plain = Plain(sys.stdout)
        self._plainly = contextlib.ExitStack()
        if self._dumb:  # a prompt sends escape sequences as it is made
            self._plainly.enter_context(create_app_session(output=self._plain))

    def attach(self, session: "PromptSession[str]", moving: Moving) -> None:
        """Put the region above the session's input."""
        from prompt_toolkit.filters import Condition, is_done
        from prompt_toolkit.layout import ConditionalContainer, FormattedTextControl, HSplit, Window

        self._session, self._moving = session, moving
        moving.changed = self.wake
        moving.moves = not self._dumb
        self._plainly.close()
        outlast(session.app.output)
        if self._dumb:
            return
        region = Window(FormattedTextControl(self._region), dont_extend_height=True)
        shown = ConditionalContainer(region, filter=Condition(lambda: bool(self._lines)) & ~is_done)
        inner = session.layout.container
        assert isinstance(inner, HSplit)  # noqa: S101 - what a PromptSession makes
        inner.children.insert(0, shown)
        # The terminal need not be asked how much room is left below the cursor: the prompt follows
        # what was printed, and takes the room it needs.
        session.app.output.get_rows_below_cursor_position = lambda: 1  # type: ignore[method-assign]
        erase_in_pieces(session.app.output)
        if breaks_anew():
            follow_width(session.app)
        session.app.before_render += self._before
        session.app.after_render += self._after

    def write(self, text: str) -> None:
        """Print text, with its line ends, above the prompt."""
        self._waiting.append(text)
        if self._dumb or self._running() is None:
            self._print()
        else:
            self.wake()

    def wake(self) -> None:
        """Say that something has moved: it is drawn soon, with what else moves until then."""
        if self._dumb:
            self._settle()
        elif self._soon is None:
            loop = asyncio.get_running_loop()
            self._soon = loop.call_at(max(self._drawn_at + _BETWEEN_S, loop.time()), self._draw)

    def _draw(self) -> None:
        self._soon = None
        app = self._running()
        if app is not None:
            app.invalidate()
        elif self._session is not None and self._moving is not None:
            size = self._session.app.output.get_size()
            self._moving.frame(size.columns, size.rows)

    def _running(self) -> "Application[str] | None":
        """Return the prompt that is drawn at this moment."""
        app = self._session.app if self._session is not None else None
        return app if app is not None and app.is_running else None

    def _before(self, app: "Application[Any]") -> None:
        """Print what waits where the prompt was, which is then drawn again below it."""
        size, before = app.output.get_size(), len(self._lines)
        self._lines = self._moving.frame(size.columns, size.rows) if self._moving else []
        app.output.write_raw(_BEGIN)
        if self._waiting or len(self._lines) < before:
            app.renderer.erase(leave_alternate_screen=False)
            app.output.write_raw("".join(self._waiting))
            self._waiting.clear()

    def _after(self, app: "Application[Any]") -> None:
        app.output.write_raw(_END)
        app.output.flush()
        loop = asyncio.get_running_loop()
        self._drawn_at = loop.time()
        if self._tick is not None:
            self._tick.cancel()
        self._tick = None
        if self._moving is not None and self._moving.doing:
            self._tick = loop.call_later(_TICK_S, self._draw)

    def _print(self) -> None:
        """Print what waits where no prompt is drawn."""
        text = "".join(self._waiting)
        self._waiting.clear()
        if self._plain.line_is_open:
            text = f"\n{text}"
        if self._session is None:
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            self._print_above(text, self._session.app.output)

    def _print_above(self, text: str, output: "Output") -> None:
        """Print text; where something else is drawn than the prompt, a picker, it goes above it."""
        from prompt_toolkit.application import get_app_or_none

        other = get_app_or_none()
        if other is not None and other.is_running:
            other.renderer.erase(leave_alternate_screen=False)
            other.invalidate()
        output.write_raw(text)
        output.flush()

    def _settle(self) -> None:
        """On a dumb terminal, print what is final, and the prompt again when all is done."""
        assert self._moving is not None  # noqa: S101 - it has called
        assert self._session is not None  # noqa: S101
        self._moving.frame(10**6, 0)
        if not self._moving.doing and not self._plain.line_is_open:
            typed = self._session.default_buffer.text
            self._waiting.append(f"{PROMPT}{typed}")
            self._print()

    def _region(self) -> "StyleAndTextTuples":
        fragments: StyleAndTextTuples = []
        for line in self._lines:
            fragments += [*line, ("", "\n")]
        return fragments[:-1]
