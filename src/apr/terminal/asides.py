"""What is typed beside the prompts: a shell line, a note for the project's memory."""

import asyncio
from collections.abc import Callable

from apr.agent.loop import Agent
from apr.errors import AprError
from apr.terminal.cells import overwritten
from apr.terminal.commands.obeying import interruptible
from apr.terminal.screen import Screen

_DIM, _RED = "\x1b[2m", "\x1b[31m"
_LONGEST_S = 86_400.0
"""A day: a person ends it by Ctrl-C."""
_LONGEST_LINE = 10_000
"""Characters of a line that are waited for before they are shown."""
_MEMORIES = ("APR.md", "CLAUDE.md", "AGENTS.md")


class Lines:
    """Shows what a command says as it comes, a line at a time."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._begun = ""

    def feed(self, text: str) -> None:
        """Take what it has said now."""
        over, end, begun = (self._begun + text).rpartition("\n")
        self._begun = begun
        if end:
            self._show("\n".join(map(overwritten, over.split("\n"))))
        elif len(begun) > _LONGEST_LINE:
            self.close()

    def close(self) -> None:
        """Show what there is of a line that was not ended."""
        begun, self._begun = self._begun, ""
        if begun:
            self._show(overwritten(begun))


async def run_shell(command: str, agent: Agent, screen: Screen) -> None:
    """Run a shell line to its end, or until Ctrl-C, and show what it says as it comes.

    The model reads it with the next prompt (Claude Code's documentation, "Bash mode").
    """
    lines = Lines(screen.say)
    try:
        shell = await agent.context.shells.start(command, agent.context.cwd, lines.feed)
    except (AprError, OSError) as error:
        screen.say(str(error), _RED)
        return
    status: int | None = None
    try:
        with interruptible():
            status = await shell.wait(_LONGEST_S)
    except TimeoutError:
        pass
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.uncancel():
            raise
    lines.close()
    ended = "interrupted" if status is None else f"exit code {status}"
    if status != 0:
        screen.say(ended, _RED)
    said = shell.output.take().text.rstrip("\n")
    agent.inbox.append(f"The user has run `{command}` in the shell ({ended}):\n{said}")


def note(text: str, agent: Agent, screen: Screen) -> None:
    """Add a line to the project's memory, and tell the model."""
    root = agent.context.root
    path = next((root / name for name in _MEMORIES if (root / name).exists()), None)
    path = path or root / _MEMORIES[0]
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"- {text}\n")
    except OSError as error:
        screen.say(f"{path}: {error.strerror}", _RED)
        return
    agent.inbox.append(f"The user has noted for this and all later work: {text}")
    screen.say(f"noted in {path}", _DIM)
