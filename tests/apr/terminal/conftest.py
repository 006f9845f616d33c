"""What the tests of the terminal share: a program at a terminal, with a scripted model."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ccpa.scripted.chaos import Chaos
from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import AssistantTurn
from tests.apr.terminal.terminal import Terminal

Begin = Callable[..., Terminal]


@pytest.fixture
def begin(home: Path, project: Path) -> Iterator[Begin]:
    opened: list[Terminal] = []
    servers = []

    def start(
        *turns: AssistantTurn,
        options: tuple[str, ...] = (),
        chaos: tuple[Chaos, ...] = (),
        env: dict[str, str] | None = None,
        size: tuple[int, int] = (80, 24),
        ready: str = "m · ",
    ) -> Terminal:
        model = ScriptedModel(list(turns), chaos=chaos)
        server = serving(model)
        url = server.__enter__()
        servers.append(server)
        words = ("code", "--base-url", url, "--model", "m", *options)
        terminal = Terminal(*words, home=home, cwd=project, env=env, size=size)
        terminal.model = model
        opened.append(terminal)
        terminal.until(ready)
        return terminal

    yield start
    for terminal in opened:
        terminal.close()
    for server in servers:
        server.__exit__(None, None, None)
