"""The session at a terminal: a prompt that stays open while the agent works above it."""

import asyncio
import shutil
from pathlib import Path

from prompt_toolkit.patch_stdout import patch_stdout

from apr.assembly import Assembled
from apr.errors import AprError
from apr.headless.drive import Sink, drive
from apr.terminal import completion
from apr.terminal.above import PROMPT, Above
from apr.terminal.asides import note, run_shell
from apr.terminal.commands import Back, Desk, Leave, Plan, obey
from apr.terminal.commands.asking import unapproved
from apr.terminal.consent import Consent
from apr.terminal.deeds import Deeds
from apr.terminal.keymap import load
from apr.terminal.line import Line, Setting
from apr.terminal.screen import Screen
from apr.terminal.statusline import StatusLine
from apr.terminal.waiting import Queue

_DIM, _RED, _YELLOW = "\x1b[2m", "\x1b[31m", "\x1b[33m"


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
        self._deeds = Deeds(self._desk, self._queue, lambda: self._line)
        self._line = Line(
            Setting(
                keymap=keymap,
                sees=plan.options.vision,
                vim=plan.options.settings.editor_mode == "vim",
                keeps=plan.options.persist,
                days=plan.options.settings.cleanup_period_days,
            ),
            self._agent,
            self._queue,
            lambda text: self._screen.say(text, _DIM),
            deeds=self._deeds.by_name(),
            private=lambda: self._consent.waits,
            completer=completion.InputCompleter(self._desk),
            toolbar=self._status,
        )
        self._consent.attach(self._line.session)
        self._above.attach(self._line.session, self._screen)

    async def run(self) -> bool:
        """Talk until the person leaves.

        Returns:
            Whether the last prompt went well. One that the person leaves in the middle has not
            failed.
        """
        with patch_stdout(raw=True), self._line.input.between_prompts():
            work = asyncio.create_task(drive(self._assembled, self._queue.each(), self._sinks))
            talk = asyncio.create_task(self._talk())
            try:
                with self._deeds.signalled(talk.cancel):
                    self._greet()
                    await asyncio.wait([work, talk], return_when=asyncio.FIRST_COMPLETED)
            finally:
                talk.cancel()
                await asyncio.wait([talk])  # it gives the terminal back, before we do
            left = bool(self._screen.doing)
            self._consent.answer("n")
            self._agent.interrupt()
            self._queue.close()
            self._line.close()
            await self._status.close()
            went_well = await work
            if not talk.cancelled():
                talk.result()
            return went_well or left

    def _greet(self) -> None:
        self._screen.say(f"apr · {self._agent.session.model} · {self._root}", "\x1b[1m")
        self._screen.say("/help says what can be typed here.", _DIM)
        if self._assembled.ending:
            from apr.terminal.resume import show_ending

            show_ending(self._screen, self._assembled.ending)
        for asked in unapproved(self._desk):
            self._screen.say(asked, _YELLOW)

    async def _talk(self) -> None:
        draft = ""
        while True:
            try:
                typed = await self._line.read(PROMPT, draft)
                draft = await self._take(typed)
            except Back:
                draft = await self._go_back()
            except Leave as leave:
                self.next = leave.to
                return
            except KeyboardInterrupt:  # a dumb terminal's prompt has keys of its own
                if self._deeds.signal():
                    return
            except EOFError:
                return

    async def _take(self, typed: str) -> str:
        """Do what was typed: answer a question, a command, a shell line, a note, or a prompt.

        Returns:
            What is to stand in the line again.
        """
        answers, aside = self._line.answers, typed.startswith(("!", "#"))
        try:
            prompt = self._line.prompt(typed, pictures=not (answers or aside))
        except AprError as error:
            self._screen.say(str(error), _RED)
            return typed
        if answers:
            self._consent.answer(prompt.text)
        elif typed.startswith("!"):
            await run_shell(prompt.text[1:], self._agent, self._screen)
        elif typed.startswith("#"):
            note(prompt.text[1:].strip(), self._agent, self._screen)
        elif typed.strip() and not (typed.startswith("/") and await obey(self._desk, prompt.text)):
            self._queue.put(prompt, typed)
            self._screen.doing = self._screen.doing or "reading"
        return ""

    async def _go_back(self) -> str:
        """Have the person choose an earlier prompt; return it, for the line."""
        from apr.terminal.rewind import rewind

        if self._screen.doing:
            self._screen.say("The work that is going on comes first: Esc ends it.", _DIM)
            return ""
        try:
            gone = await rewind(
                self._assembled,
                say=self._screen.say,
                give=self._queue.put,
                colour=self._desk.colour,
            )
        except AprError as error:
            self._screen.say(str(error), _RED)
            return ""
        if gone is None:
            return ""
        self._screen.usage = gone.usage
        return self._line.draft(gone.text)

    def _managed(self) -> bool:
        return self._desk.settings.allow_managed_permission_rules_only

    def _redraw(self) -> None:
        self._line.session.app.invalidate()
