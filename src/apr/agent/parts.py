"""What the loop calls by name without knowing how it is done. Each has a way of being absent."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

from apr.agent.calls import Checked
from apr.agent.events import Event
from apr.agent.permissions import Rule
from apr.tools.base import Outcome
from ccpa.trace import AssistantTurn, ToolResult

if TYPE_CHECKING:
    from apr.agent.loop import Agent


class Expansion(Struct, frozen=True):
    """A prompt that stands for more than it says: what the model reads in its place."""

    name: str | None
    """Of the command or skill that it named; None where it only named files."""
    text: str
    allow: tuple[Rule, ...] = ()
    """What may be done without asking until the next prompt."""


class Library(Protocol):
    """The user's commands and skills."""

    async def expand(self, prompt: str, typed: str | None = None) -> Expansion | None:
        """Return what a prompt like `/name args` or `see @file` stands for; None: for itself.

        Files are looked for in `typed`, where that is not None.
        """
        ...


class Window(Protocol):
    """Keeps the history within the model's context."""

    def counted(self, messages: int, tokens: int) -> None:
        """Take over what the model's server has counted for the first `messages` messages."""
        ...

    def rewritten(self) -> None:
        """Forget what was counted: the history is another."""
        ...

    def fit(self, agent: "Agent", *, overflowed: bool = False) -> AsyncIterator[Event]:
        """Make room before the model is asked, where there is too little.

        `overflowed`: the model's server has refused the history as too long. Then room is made in
        any case.

        Raises:
            ProviderError: the model could not be asked for a summary.
            ContextOverflow: no more room can be made.
        """
        ...

    def compact(
        self, agent: "Agent", *, trigger: Literal["manual", "auto"], instructions: str = ""
    ) -> AsyncIterator[Event]:
        """Sum the history up, as a person has asked or because there is too little room.

        Raises:
            ProviderError: the model could not be asked for a summary.
        """
        ...


class Brakes(Protocol):
    """Notices a model that goes in circles."""

    def begin(self) -> None:
        """Begin anew: there is a new prompt."""
        ...

    def turn(self, turn: AssistantTurn, results: Sequence[ToolResult]) -> str | None:
        """Take a turn and its results into account; return what the model should be told.

        Raises:
            GoingInCircles: it was told, and goes on.
        """
        ...

    def answer(self, turn: AssistantTurn) -> str | None:
        """Take an answer without calls into account; return what the model should be told.

        None: the answer is one.

        Raises:
            GoingInCircles: it was told, and goes on.
        """
        ...


class Background(Protocol):
    """What works for the agent while it does something else."""

    def heard(self) -> list[Event]:
        """Return what has happened since the last look."""
        ...

    def news(self) -> AsyncIterator[Event]:
        """Yield what happens, until something is in the agent's inbox or nobody works any more."""
        ...

    async def close(self) -> None:
        """End all that still works."""
        ...


class GoingInCircles(Exception):
    """The model repeats itself and cannot be stopped otherwise."""


class Footnotes(Protocol):
    """What the model is told behind a result: notes that come with the file it has touched."""

    def __call__(self, checked: Checked, outcome: Outcome) -> str:
        """Return the text, empty for none."""
        ...
