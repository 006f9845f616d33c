"""A line that begins with `/`: a command that is obeyed here, or a prompt for the agent."""

import asyncio
import difflib
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apr.errors import AprError
from apr.skills.found import named
from apr.terminal.commands.desk import Desk, deed
from apr.terminal.commands.table import ALIASES, COMMANDS
from apr.ui.terminal import line

_RED, _DIM = "\x1b[31m", "\x1b[2m"
_MOST_NEAR = 3


async def obey(desk: Desk, text: str) -> bool:
    """Do what a line asks for that begins with `/`; return False where it is a prompt.

    A name that nobody knows is said to be unknown, and is no prompt; a path at the beginning of a
    prompt (`/usr/bin/env fails`) is one.

    Raises:
        Leave: the person wants to go.
    """
    word, *rest = text[1:].split(maxsplit=1) or [""]
    if text[1:2].isspace() or not word or "\0" in text:  # no name of a file has a NUL
        return False
    command = COMMANDS.get(ALIASES.get(word, word))
    if command is None:
        if _is_prompt(desk, word):
            return False
        desk.screen.say(_unknown(desk, word), _RED)
        return True
    if not command.do:
        return False
    try:
        with interruptible():
            async for shown in deed(command)(desk, rest[0].strip() if rest else ""):
                desk.screen.say(shown)
    except (AprError, OSError) as error:
        desk.screen.say(str(error), _RED)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.uncancel():
            raise
        desk.screen.say("interrupted", _DIM)
    return True


def names(desk: Desk) -> list[str]:
    """Return what can be called behind `/`: commands, the user's own, prompts of MCP servers."""
    own = [skill.name for skill in desk.assembled.skills.values() if skill.by_user]
    servers = desk.assembled.servers
    prompts = [prompt.name for prompt in servers.prompts()] if servers is not None else []
    return [*COMMANDS, *own, *prompts]


def near(word: str, known: list[str]) -> list[str]:
    """Return the names that somebody may have meant, the likeliest first."""
    begun = [name for name in known if len(word) > 1 and name.startswith(word)]
    alike = difflib.get_close_matches(word, known, n=_MOST_NEAR)
    return list(dict.fromkeys([*begun, *alike]))[:_MOST_NEAR]


def _is_prompt(desk: Desk, word: str) -> bool:
    """Whether the agent knows the name, or it is a path."""
    skill = named(desk.assembled.skills, word)
    if skill is not None and skill.by_user:
        return True
    if "/" in word or word in names(desk):
        return True
    try:
        return Path(f"/{word}").exists()
    except OSError:  # too long for a name
        return False


def _unknown(desk: Desk, word: str) -> str:
    alike = [f"/{name}" for name in near(word, names(desk))]
    meant = f" Did you mean {' or '.join(alike)}?" if alike else ""
    return line(f"There is no command /{word[:60]}.{meant} /help lists them.")


@contextmanager
def interruptible() -> Iterator[None]:
    """Have Ctrl-C end the command, and nothing else, as long as it runs."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(task.cancel))
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
