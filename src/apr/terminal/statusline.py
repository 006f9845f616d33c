"""The line at the bottom: vim's mode, model, permission mode, branch, context, and what goes on."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from prompt_toolkit.utils import get_cwidth

from apr.agent.prompt import look_around
from apr.terminal.commands import Desk
from apr.terminal.consent import CHOICES, Consent
from apr.terminal.fitting import cut
from apr.ui.terminal import line

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from apr.terminal.status_command import StatusCommand

_BETWEEN = " · "
_BRANCH_S = 1.0
"""Seconds for which the branch is taken to be what it was."""


class Part(Struct, frozen=True):
    """A piece of the line. Where there is too little room, what is `worth` least goes first."""

    text: str
    worth: int


class StatusLine:
    """Says how things stand.

    Args:
        desk: the session.
        consent: its questions: as long as one is open, the line says what can be answered.
        waiting: returns how many prompts wait.
        redraw: has the line drawn again.
        clock: returns seconds.
    """

    def __init__(
        self,
        desk: Desk,
        consent: Consent,
        *,
        waiting: Callable[[], int],
        redraw: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desk = desk
        self._consent = consent
        self._waiting = waiting
        self._redraw = redraw
        self._clock = clock
        self._branch: str | None = None
        self._looked = float("-inf")
        self._command: StatusCommand | None = None

    def __call__(self) -> "str | StyleAndTextTuples":
        """Return the line as it is now."""
        if self._consent.waits:
            return cut(CHOICES, self._desk.width())
        if self._desk.settings.status_line is not None:
            if self._command is None:
                from apr.terminal.status_command import StatusCommand

                self._command = StatusCommand(self._desk, self._redraw)
            if (written := self._command.shown()) is not None:
                return written
        return fitted(list(self._parts()), self._desk.width())

    async def close(self) -> None:
        """End the user's own command, if it runs."""
        if self._command is not None:
            await self._command.close()

    def _parts(self) -> Iterator[Part]:
        desk = self._desk
        agent, usage = desk.assembled.agent, desk.screen.usage
        if vim := desk.vim_mode():
            yield Part(vim, 5)
        yield Part(line(agent.session.model), 6)
        yield Part(desk.policy.mode, 9)
        if branch := self._branch_now():
            yield Part(line(branch), 3)
        used, size = usage.input_tokens + usage.output_tokens, agent.provider.context
        yield Part(f"{used * 100 // size} % of the context" if size else f"{used:,} tokens", 7)
        if (speed := desk.screen.tokens_per_second) is not None:
            yield Part(f"{speed:.0f} tokens/s", 2)
        if desk.plan.cost is not None:
            session = agent.session
            yield Part(f"${desk.plan.cost * (session.tokens_in + session.tokens_out):.2f}", 1)
        if desk.screen.doing:
            yield Part(f"{line(desk.screen.doing)}…", 8)
        if waiting := self._waiting():
            yield Part(f"{waiting} waiting", 4)

    def _branch_now(self) -> str | None:
        """Return the branch. It is read from the repository's files, now and then."""
        now = self._clock()
        if now - self._looked >= _BRANCH_S:
            self._branch = look_around(self._desk.root).branch
            self._looked = now
        return self._branch


def fitted(parts: Sequence[Part], width: int) -> str:
    """Return the parts on one line of at most `width` columns, without those worth least. Pure."""
    left = list(parts)
    while len(left) > 1 and get_cwidth(_BETWEEN.join(part.text for part in left)) > width:
        left.remove(min(left, key=lambda part: part.worth))
    return cut(_BETWEEN.join(part.text for part in left), width)
