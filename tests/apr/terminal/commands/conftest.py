"""A person at a desk: everything is real but the model, and nothing is drawn."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from apr.agent.events import Event
from apr.agent.prompt import Asked
from apr.assembly import Options, assemble
from apr.headless.drive import Sink
from apr.models.resolve import choose
from apr.providers.base import Provider
from apr.providers.local import LocalModel
from apr.settings import load
from apr.terminal.commands import Desk, Plan, obey
from apr.terminal.screen import Screen
from tests.apr.assembled import Answer, Voices


class Person:
    """Somebody who types commands and reads what comes of them."""

    def __init__(
        self, root: Path, said: dict[str, list[Answer]], given: dict[str, object], width: int
    ) -> None:
        self.root = root
        self.prompts: list[Asked] = []
        self.shown: list[str] = []
        self.model = Voices(said)
        options = Options(
            root=root,
            settings=load(root, os.environ),
            **{"persist": False, **given},  # type: ignore[arg-type]
        )
        assembled = assemble(options, self.model, "m")
        self.notices = list(assembled.notices)
        sinks: list[Sink] = [] if assembled.store is None else [assembled.store]
        self.desk = Desk(
            assembled=assembled,
            screen=Screen(self.shown.append, lambda: width, colour=False),
            plan=Plan(
                options=options,
                begin=lambda options: assemble(options, self.model, "m"),
                keep=lambda _assembled: [],
                open_model=self.open_model,
                settings=lambda: load(root, os.environ),
                cost=0.0,
            ),
            sinks=sinks,
            submit=self.prompts.append,
            colour=False,
            width=lambda: width,
        )
        sinks.append(self.desk.ledger)

    async def type(self, text: str) -> str:
        """Type a line; return what is shown for it."""
        before = len(self.shown)
        self.is_command = await obey(self.desk, text)
        return "".join(self.shown[before:])

    async def prompt(self, *prompts: str) -> list[Event]:
        """Have the agent work on prompts, and the sinks hear of it."""
        events = []
        agent = self.desk.assembled.agent
        async for event in agent.converse(prompts, preface=self.desk.assembled.preface):
            events.append(event)
            for sink in tuple(self.desk.sinks):
                sink(event)
        return events

    def open_model(self, name: str | None) -> tuple[Provider, str]:
        """Open a model of this machine's."""
        found = choose(name, os.environ, self.root)
        return LocalModel(found.path, found.name, keep_alive=60), found.name


Sit = Callable[..., Person]


@pytest.fixture
def sit(home: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Sit:
    """Return what seats a person; what the model says is given by prompt."""
    monkeypatch.setenv("HOME", str(home))
    for name in ("APR_HOME", "CLAUDE_CONFIG_DIR", "APR_MODEL", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def seat(
        said: dict[str, list[Answer]] | None = None, *, width: int = 80, **options: object
    ) -> Person:
        return Person(project.resolve(), said or {}, options, width)

    return seat
