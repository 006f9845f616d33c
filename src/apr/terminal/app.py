"""The session at a terminal: a prompt that stays open while the agent works above it."""

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import merge_key_bindings
from prompt_toolkit.patch_stdout import patch_stdout

from apr.agent.prompt import Asked
from apr.assembly import Assembled
from apr.headless.drive import Sink, drive
from apr.home import home, private_directory
from apr.terminal import completion
from apr.terminal.commands import Desk, Leave, Plan, obey
from apr.terminal.consent import Consent
from apr.terminal.keys import bindings
from apr.terminal.screen import Screen
from apr.terminal.statusline import StatusLine

if TYPE_CHECKING:
    from prompt_toolkit.history import History

_TWICE_S = 2.0
"""Time in which Ctrl-C leaves when it is pressed again."""


class Terminal:
    """One person and one agent.

    Args:
        assembled: the session.
        sinks: where else its events go: trace, store.
        trace: the trace's path, if one is written.
        plan: what the command line says of the session.
        colour: whether colour is wanted.
    """

    def __init__(
        self,
        assembled: Assembled,
        sinks: list[Sink],
        *,
        trace: Path | None,
        plan: Plan,
        colour: bool,
    ) -> None:
        self._assembled = assembled
        self._agent = assembled.agent
        self._root = assembled.agent.context.root
        self._screen = Screen(
            _write,
            lambda: shutil.get_terminal_size().columns,
            colour=colour,
        )
        self._consent = Consent(self._screen.say, self._root)
        self._agent.gate.ask = self._consent.ask
        self._prompts: asyncio.Queue[Asked | None] = asyncio.Queue()
        self._sinks = [*sinks, self._screen]
        self._desk = Desk(
            assembled=assembled,
            screen=self._screen,
            plan=plan,
            sinks=self._sinks,
            submit=self._prompts.put_nowait,
            trace=trace,
        )
        self._interrupted_at = 0.0
        completer = completion.InputCompleter(self._desk)
        keys = (bindings(self._agent, self._screen), completion.bindings(completer))
        self._session: PromptSession[str] = PromptSession(
            history=_history(),
            key_bindings=merge_key_bindings(keys),
            bottom_toolbar=StatusLine(assembled, self._screen, self._consent),
            completer=completer,
            complete_while_typing=completion.while_typing,
            enable_history_search=~completion.while_typing,
        )
        self._session.app.ttimeoutlen = 0.05  # or Esc would wait half a second

    async def run(self) -> bool:
        """Talk until the person leaves; return whether the last prompt went well."""
        with patch_stdout(raw=True):
            self._screen.say(f"apr · {self._agent.session.model} · {self._root}", "\x1b[1m")
            self._screen.say("/help says what can be typed here.", "\x1b[2m")
            work = asyncio.create_task(drive(self._assembled, self._each(), self._sinks))
            talk = asyncio.create_task(self._talk())
            await asyncio.wait([work, talk], return_when=asyncio.FIRST_COMPLETED)
            if not talk.done():
                talk.cancel()
            self._consent.answer("n")
            self._agent.interrupt()
            self._prompts.put_nowait(None)
            return await work

    async def _each(self) -> AsyncIterator[Asked]:
        while (prompt := await self._prompts.get()) is not None:
            yield prompt

    async def _talk(self) -> None:
        while True:
            try:
                text = await self._session.prompt_async("> ")
                if self._consent.waits:
                    self._consent.answer(text)
                elif text.strip():
                    await self._take(text)
            except KeyboardInterrupt:
                if self._ctrl_c():
                    return
            except (EOFError, Leave):
                return

    def _ctrl_c(self) -> bool:
        """Interrupt the work; return whether the person wants to leave."""
        now = time.monotonic()
        if now - self._interrupted_at < _TWICE_S:
            return True
        self._interrupted_at = now
        if self._screen.doing:
            self._agent.interrupt()
        self._screen.say("Ctrl-C again leaves.", "\x1b[2m")
        return False

    async def _take(self, text: str) -> None:
        """Do what was typed: a command, a shell line, a note, or a prompt for the agent."""
        if text.startswith("!"):
            await self._shell(text[1:])
        elif text.startswith("#"):
            self._note(text[1:].strip())
        elif not (text.startswith("/") and await obey(self._desk, text)):
            if self._screen.doing:
                self._screen.say("It comes next.", "\x1b[2m")
            self._screen.doing = self._screen.doing or "reading"
            self._prompts.put_nowait(text)

    async def _shell(self, command: str) -> None:
        shells = self._agent.context.shells
        shell = await shells.start(command, self._agent.context.cwd)
        status = await shell.finished()
        self._screen.say(shell.output.take().text.rstrip("\n"))
        if status:
            self._screen.say(f"exit code {status}", "\x1b[31m")

    def _note(self, note: str) -> None:
        """Add a line to the project's memory."""
        names = ("APR.md", "CLAUDE.md", "AGENTS.md")
        path = next((self._root / n for n in names if (self._root / n).exists()), None)
        path = path or self._root / "APR.md"
        try:
            with path.open("a") as file:
                file.write(f"- {note}\n")
        except OSError as error:
            self._screen.say(f"{path}: {error.strerror}", "\x1b[31m")
            return
        self._agent.inbox.append(f"The user has noted for this and all later work: {note}")
        self._screen.say(f"noted in {path}", "\x1b[2m")


def _write(text: str) -> None:
    sys.stdout.write(text)  # looked up each time: above the prompt it is another
    sys.stdout.flush()


def _history() -> "History":
    with contextlib.suppress(OSError):
        folder = private_directory(home())
        path = folder / "history"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        return FileHistory(str(path))
    return InMemoryHistory()
