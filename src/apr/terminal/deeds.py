"""What keys do beyond the input line: to the agent, to what waits for it, to the session."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyPressEvent

from apr.agent.permissions import Mode
from apr.errors import AprError
from apr.terminal.commands import Back, Desk, Leave
from apr.terminal.keys import ESC_FREE, TWICE_S, Deed
from apr.terminal.waiting import Queue

if TYPE_CHECKING:
    from apr.terminal.line import Line

_DIM = "\x1b[2m"
_CYCLE: tuple[Mode, ...] = ("default", "acceptEdits", "plan")


class Deeds:
    """What keys do.

    Args:
        desk: the session.
        queue: the prompts that wait for its agent.
        line: returns the input line.
    """

    def __init__(self, desk: Desk, queue: Queue, line: Callable[[], "Line"]) -> None:
        self._desk = desk
        self._agent = desk.assembled.agent
        self._screen = desk.screen
        self._queue = queue
        self._line = line
        begun = desk.policy.mode
        self._signalled_at = float("-inf")
        self._cycle = _CYCLE if begun in _CYCLE else (*_CYCLE, begun)

    def by_name(self) -> dict[str, Deed]:
        """Return what each action does, and when."""
        works = Condition(lambda: bool(self._screen.doing))
        menu = Condition(lambda: self._line().buffer.complete_state is not None)
        empty = Condition(lambda: not self._line().buffer.text)
        return {
            "interrupt": Deed(lambda _event: self._interrupt(), ESC_FREE & (works | menu)),
            "cancel": Deed(self._pressed),
            "leave": Deed(lambda event: event.app.exit(exception=Leave())),
            "end": Deed(lambda event: event.app.exit(exception=Leave()), empty),
            "rewind": Deed(self._rewind, ESC_FREE & ~works & ~menu),
            "verbose": Deed(lambda _event: self._screen.toggle_verbose(), saves=False),
            "mode": Deed(lambda _event: self._next_mode(), saves=False),
        }

    @contextmanager
    def signalled(self, leave: Callable[[], object]) -> Iterator[None]:
        """Have the signal of Ctrl-C do what the key does, also where no prompt is open to take it.

        Args:
            leave: ends the conversation.
        """
        loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGINT)

        def take() -> None:
            if not self._line().signalled() and self.signal():
                leave()

        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(take))
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def signal(self) -> bool:
        """Do what Ctrl-C does, where no key of the line has; return whether it means to leave."""
        again, self._signalled_at = self._signalled_lately(), time.monotonic()
        if not again:
            self._cancel()
        return again

    def _signalled_lately(self) -> bool:
        return time.monotonic() - self._signalled_at < TWICE_S

    def _interrupt(self) -> None:
        """Close the menu, or else end the work."""
        buffer = self._line().buffer
        if buffer.complete_state is not None:
            buffer.cancel_completion()
        else:
            self._stop()

    def _stop(self) -> None:
        """End the work; what waits is given back, for it may not fit now."""
        line = self._line()
        self._agent.interrupt()
        if waiting := self._queue.take_all():
            line.set_draft("\n".join([*waiting, *filter(None, [line.buffer.text])]))

    def _pressed(self, event: KeyPressEvent) -> None:
        if self._signalled_lately():  # before the prompt was open
            event.app.exit(exception=Leave())
        else:
            self._cancel()

    def _cancel(self) -> None:
        if self._screen.doing:
            self._stop()
        else:
            self._line().forget_draft()
        again = self._desk.keymap.again("leave")
        self._screen.say(f"{again} again leaves." if again else "/quit leaves.", _DIM)

    def _rewind(self, event: KeyPressEvent) -> None:
        """Empty the line; where it is, go back to an earlier prompt."""
        if self._line().buffer.text:
            self._line().forget_draft()
        else:
            event.app.erase_when_done = True  # nothing has been sent
            event.app.exit(exception=Back())

    def _next_mode(self) -> None:
        """Go on to the next mode that the settings let be chosen."""
        from apr.headless.consent import with_mode

        policy = self._desk.policy
        at = self._cycle.index(policy.mode) if policy.mode in self._cycle else -1
        wanted = self._cycle[(at + 1) % len(self._cycle)]
        try:
            self._desk.assembled.enforce(with_mode(policy, wanted, self._desk.settings))
        except AprError as error:
            self._screen.say(str(error), _DIM)
