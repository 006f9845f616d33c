"""The session at a terminal: a prompt that stays open while the agent works above it."""

import asyncio
import shutil
from pathlib import Path

import msgspec
from prompt_toolkit.filters import Condition, emacs_mode, vi_navigation_mode
from prompt_toolkit.key_binding import KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout

from apr.agent.permissions import Mode
from apr.assembly import Assembled
from apr.errors import AprError
from apr.headless.drive import Sink, drive
from apr.terminal import completion
from apr.terminal.above import Above
from apr.terminal.commands import Back, Desk, Leave, Plan, obey
from apr.terminal.commands.asking import unapproved
from apr.terminal.consent import Consent
from apr.terminal.keymap import load
from apr.terminal.keys import Deed
from apr.terminal.line import Line, Setting
from apr.terminal.screen import Screen
from apr.terminal.statusline import StatusLine
from apr.terminal.waiting import Queue

_DIM, _RED, _YELLOW = "\x1b[2m", "\x1b[31m", "\x1b[33m"
_CYCLE: tuple[Mode, ...] = ("default", "acceptEdits", "plan")


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
        self.next: str | None = None
        """When it is over, the session that the person wants to go on with."""
        self._assembled = assembled
        self._agent = assembled.agent
        self._root = assembled.agent.context.root
        self._above = Above()
        self._screen = Screen(
            self._above.write,
            lambda: shutil.get_terminal_size().columns,
            colour=colour,
            root=self._root,
        )
        self._consent = Consent(self._screen, self._agent.gate, self._managed)
        self._agent.gate.ask = self._consent.ask
        keymap, problem = load()
        if problem is not None:
            assembled.notices.append(problem)
        self._queue = Queue(self._redraw)
        self._sinks = [*sinks, self._screen]
        self._desk = Desk(
            assembled=assembled,
            screen=self._screen,
            plan=plan,
            sinks=self._sinks,
            submit=self._queue.put,
            trace=trace,
            colour=colour,
            keymap=keymap,
            toggle_vim=lambda: self._line.toggle_vim(),
            vim_mode=lambda: self._line.vim_mode(),
        )
        self._sinks.insert(0, self._desk.ledger)
        self._status = StatusLine(
            self._desk,
            self._consent,
            waiting=lambda: len(self._queue.typed()),
            redraw=self._redraw,
        )
        self._line = Line(
            Setting(
                keymap=keymap,
                sees=plan.options.vision,
                vim=plan.options.settings.editor_mode == "vim",
            ),
            self._agent,
            self._queue,
            lambda text: self._screen.say(text, _DIM),
            deeds=self._deeds(),
            private=lambda: self._consent.waits,
            completer=completion.InputCompleter(self._desk),
            toolbar=self._status,
        )
        self._consent.attach(self._line.session)
        self._above.attach(self._line.session, self._screen)

    async def run(self) -> bool:
        """Talk until the person leaves; return whether the last prompt went well."""
        with patch_stdout(raw=True), self._line.input.between_prompts():
            self._screen.say(f"apr · {self._agent.session.model} · {self._root}", "\x1b[1m")
            self._screen.say("/help says what can be typed here.", _DIM)
            if self._assembled.ending:
                from apr.terminal.resume import show_ending

                show_ending(self._screen, self._assembled.ending)
            for asked in unapproved(self._desk):
                self._screen.say(asked, _YELLOW)
            work = asyncio.create_task(drive(self._assembled, self._queue.each(), self._sinks))
            talk = asyncio.create_task(self._talk())
            await asyncio.wait([work, talk], return_when=asyncio.FIRST_COMPLETED)
            if not talk.done():
                talk.cancel()
            self._consent.answer("n")
            self._agent.interrupt()
            self._queue.close()
            self._line.close()
            await self._status.close()
            return await work

    async def _talk(self) -> None:
        draft = ""
        while True:
            try:
                typed = await self._line.read(self._above.prompt, draft)
                draft = await self._take(typed)
            except Back:
                draft = await self._go_back()
            except Leave as leave:
                self.next = leave.to
                return
            except (KeyboardInterrupt, EOFError):
                return

    async def _take(self, typed: str) -> str:
        """Do what was typed: answer a question, a command, a shell line, a note, or a prompt.

        Returns:
            What is to stand in the line again.
        """
        try:
            prompt = self._line.prompt(typed)
        except AprError as error:
            self._screen.say(str(error), _RED)
            return typed
        if self._consent.waits:
            self._consent.answer(prompt.text)
        elif typed.startswith("!"):
            await self._shell(prompt.text[1:])
        elif typed.startswith("#"):
            self._note(prompt.text[1:].strip())
        elif typed.strip() and not (typed.startswith("/") and await obey(self._desk, prompt.text)):
            self._queue.put(prompt, typed)
            self._screen.doing = self._screen.doing or "reading"
        return ""

    def _deeds(self) -> dict[str, Deed]:
        """Return what keys do beyond the line."""
        works = Condition(lambda: bool(self._screen.doing))
        menu = Condition(lambda: self._line.buffer.complete_state is not None)
        free = emacs_mode | vi_navigation_mode
        return {
            "interrupt": Deed(self._interrupt, free & (works | menu)),
            "cancel": Deed(self._cancel),
            "leave": Deed(lambda event: event.app.exit(exception=Leave())),
            "end": Deed(
                lambda event: event.app.exit(exception=Leave()),
                Condition(lambda: not self._line.buffer.text),
            ),
            "rewind": Deed(self._rewind, free & ~works & ~menu),
            "verbose": Deed(lambda _event: self._screen.toggle_verbose(), saves=False),
            "mode": Deed(lambda _event: self._next_mode()),
        }

    def _interrupt(self, _event: KeyPressEvent) -> None:
        """Close the menu, or end the work; what waits is given back, for it may not fit now."""
        buffer = self._line.buffer
        if buffer.complete_state is not None:
            buffer.cancel_completion()
            return
        self._agent.interrupt()
        if waiting := self._queue.take_all():
            self._line.set_draft("\n".join([*waiting, *filter(None, [buffer.text])]))

    def _cancel(self, event: KeyPressEvent) -> None:
        if self._screen.doing:
            self._interrupt(event)
        else:
            self._line.forget_draft()
        self._screen.say("Ctrl-C again leaves.", _DIM)

    def _rewind(self, event: KeyPressEvent) -> None:
        """Empty the line; where it is, go back to an earlier prompt."""
        if self._line.buffer.text:
            self._line.forget_draft()
        else:
            event.app.exit(exception=Back())

    async def _go_back(self) -> str:
        """Have the person choose an earlier prompt; return it, for the line."""
        from apr.terminal.rewind import rewind

        if self._screen.doing:
            self._screen.say("The work that is going on comes first: Esc ends it.", _DIM)
            return ""
        try:
            text = await rewind(
                self._assembled,
                say=self._screen.say,
                give=self._queue.put,
                colour=self._desk.colour,
            )
        except AprError as error:
            self._screen.say(str(error), _RED)
            return ""
        return self._line.draft(text) if text is not None else ""

    def _next_mode(self) -> None:
        gate = self._agent.gate
        at = _CYCLE.index(gate.policy.mode) if gate.policy.mode in _CYCLE else -1
        mode = _CYCLE[(at + 1) % len(_CYCLE)]
        gate.policy = msgspec.structs.replace(gate.policy, mode=mode)

    def _managed(self) -> bool:
        return self._desk.settings.allow_managed_permission_rules_only

    def _redraw(self) -> None:
        self._line.session.app.invalidate()

    async def _shell(self, command: str) -> None:
        shells = self._agent.context.shells
        shell = await shells.start(command, self._agent.context.cwd)
        status = await shell.finished()
        self._screen.say(shell.output.take().text.rstrip("\n"))
        if status:
            self._screen.say(f"exit code {status}", _RED)

    def _note(self, note: str) -> None:
        """Add a line to the project's memory."""
        names = ("APR.md", "CLAUDE.md", "AGENTS.md")
        path = next((self._root / n for n in names if (self._root / n).exists()), None)
        path = path or self._root / "APR.md"
        try:
            with path.open("a") as file:
                file.write(f"- {note}\n")
        except OSError as error:
            self._screen.say(f"{path}: {error.strerror}", _RED)
            return
        self._agent.inbox.append(f"The user has noted for this and all later work: {note}")
        self._screen.say(f"noted in {path}", _DIM)
