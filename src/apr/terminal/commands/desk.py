"""What the commands of the terminal work on, and what a command is."""

import shutil
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from pathlib import Path

from msgspec import Struct, field

from apr.agent.permissions import Policy
from apr.agent.prompt import Asked
from apr.assembly import Assembled, Options
from apr.headless.drive import Sink
from apr.providers.base import Provider
from apr.settings import Settings
from apr.terminal.keymap import Keymap
from apr.terminal.ledger import Ledger
from apr.terminal.screen import Screen


class Plan(Struct, frozen=True, kw_only=True):
    """What the command line says of the session, for what is begun anew while it runs."""

    options: Options
    begin: Callable[[Options], Assembled]
    """Puts a session together."""
    keep: Callable[[Assembled], list[Sink]]
    """Returns the sinks that keep what happens in it."""
    open_model: Callable[[str | None], tuple[Provider, str]]
    """Takes a model's name, None for that of the start; returns the wire to it, and what it is
    called. Raises AprError where there is no such model."""
    settings: Callable[[], Settings]
    """Reads the settings as they are now. Raises AprError where a file cannot be used."""
    cost: float | None = None
    """Dollars for each token: 0.0 for a model on this machine, None where that is not known."""
    server: bool = False
    """Whether the model is a server's that somebody else has started."""


class Desk(Struct, kw_only=True):
    """What commands work on."""

    assembled: Assembled
    screen: Screen
    plan: Plan
    sinks: list[Sink]
    """Where the session's events go; a sink that is added gets what comes from then on."""
    submit: Callable[[Asked], None]
    """Gives the agent something to do next, as if it had been typed."""
    trace: Path | None = None
    colour: bool = True
    settings: Settings = Settings()
    """Those that count now; at first those that the session began with."""
    ledger: Ledger = field(default_factory=Ledger)
    keymap: Keymap = Keymap({})
    """The keys as they are bound."""
    toggle_vim: Callable[[], bool] = lambda: False
    """Has the line be edited as in vi, or no longer; returns which."""
    vim_mode: Callable[[], str] = lambda: ""
    """Returns the mode that vi's keys are in, for the status line; empty without them."""
    width: Callable[[], int] = lambda: shutil.get_terminal_size().columns

    def __post_init__(self) -> None:
        """Begin with the session's settings, and nothing counted."""
        self.settings = self.plan.options.settings
        self.ledger = Ledger(self.root)

    @property
    def root(self) -> Path:
        """The project."""
        return self.assembled.agent.context.root

    @property
    def policy(self) -> Policy:
        """What may be done now."""
        return self.assembled.agent.gate.policy


Do = Callable[[Desk, str], AsyncIterator[str]]
"""Takes what was typed behind a command's name; yields what is to be shown, in pieces that may be
several lines."""


class Command(Struct, frozen=True):
    """One command. Without `do` it is the agent's own: it goes to it as a prompt."""

    description: str
    do: str = ""
    """Where what it does is: `module.function`, of this package. It is imported when it is called,
    for half of the program stands behind the commands."""
    usage: str = ""
    """What may stand behind its name."""


def deed(command: Command) -> Do:
    """Return what a command does."""
    module, _, name = command.do.partition(".")
    found: Do = getattr(import_module(f"apr.terminal.commands.{module}"), name)
    return found


class Leave(Exception):
    """The person wants to go.

    Args:
        to: the session that they want to go on with, by its id; None to leave the program.
    """

    def __init__(self, to: str | None = None) -> None:
        super().__init__(to)
        self.to = to


class Back(Exception):
    """The person wants to go back to an earlier prompt."""
