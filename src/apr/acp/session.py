"""One session of an editor: prompts come in, what happens is told, a person is asked."""

import asyncio
import contextlib
import datetime
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
from acp import schema
from msgspec import Struct

from apr.acp import choices
from apr.acp.editor import Editor, EditorFailed, EditorGone
from apr.acp.folders import Folders
from apr.acp.prompts import title_of
from apr.acp.questions import answers
from apr.acp.updates import Telling
from apr.agent.asking import Answer, Question
from apr.agent.endings import INTERRUPTED
from apr.agent.events import Event, Notice, PromptDone
from apr.agent.limits import MAX_TURNS
from apr.agent.offers import offers
from apr.agent.permissions import Mode
from apr.agent.prompt import Prompt
from apr.assembly import Assembled, Options
from apr.errors import AprError
from apr.providers.base import Provider
from apr.settings import SettingsError, permission_mode
from apr.settings.allowing import allow
from apr.ui.terminal import line
from ccpa.trace import AssistantTurn, Usage, UserPrompt

StopReason = Literal["end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled"]
_NOTHING = Usage(input_tokens=0, output_tokens=0)


class Source(Struct, frozen=True, kw_only=True):
    """Where sessions come from: what the command line and the settings say."""

    options: Callable[[Path], Options]
    """Takes a project's directory; returns what a session of it is to be."""
    open_model: Callable[[Options, str | None], tuple[Provider, str]]
    """Takes also a model's name, None for the one it begins with; returns the wire, and its name.

    Raises AprError where there is no such model.
    """
    models: Callable[[Path], list[str]]
    """Takes a project's directory; returns the models that can be chosen."""
    sees: bool = False
    """Whether the models can be shown pictures."""


class Busy(Exception):
    """The session works on a prompt already."""


class Failed(Exception):
    """The work on a prompt has failed. The message says why."""


class _Work:
    """A prompt, and what it came to."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.begun = False
        self.cancelled = False
        self.usage = _NOTHING
        self.done: asyncio.Future[PromptDone] = asyncio.get_running_loop().create_future()

    def finish(self, done: PromptDone) -> None:
        if not self.done.done():
            self.done.set_result(done)


class EditorSession:
    """Drives one agent for one editor.

    Args:
        assembled: the session, open.
        options: what it was put together from.
        editor: the other side.
        folders: the session's folders.
        source: opens other models.
        models: those that can be chosen.
    """

    def __init__(
        self,
        assembled: Assembled,
        options: Options,
        editor: Editor,
        folders: Folders,
        source: Source,
        models: list[str],
    ) -> None:
        self.assembled = assembled
        self._agent = agent = assembled.agent
        self._options = options
        self._editor = editor
        self._source = source
        self._models = models
        self._began_in: Mode = agent.gate.policy.mode
        self._mode: Mode = self._began_in
        """What the editor was told last."""
        self._titled = bool(options.resume)
        self._telling = Telling(folders)
        self._work: _Work | None = None
        self._opened = False
        """Whether it has come to where it waits for prompts: hooks may come before."""
        self._waiting: asyncio.Queue[_Work | None] = asyncio.Queue()
        self._outgoing: asyncio.Queue[Event | asyncio.Future[None] | None] = asyncio.Queue()
        self._sinks = [s for s in (assembled.store, assembled.keeping) if s is not None]
        agent.gate.ask = self._ask
        self._driven = asyncio.create_task(self._drive())
        self._told = asyncio.create_task(self._tell_all())

    @property
    def id(self) -> str:
        """The session's id."""
        return self._agent.session.id

    def modes(self) -> schema.SessionModeState:
        """Return the permission modes there are, and which is on."""
        return choices.modes(self._agent.gate.policy.mode, self._allowed())

    def config(self) -> list[choices.Option]:
        """Return what can be chosen, and what is."""
        given = [choices.mode_option(self._agent.gate.policy.mode, self._allowed())]
        if self._models:
            given.append(choices.model_option(self._agent.session.model, self._models))
        return given

    def set_mode(self, name: str) -> None:
        """Change the permission mode.

        Raises:
            ValueError: there is no such mode, or it may not be chosen.
        """
        mode = choices.mode_named(name)
        if mode is None or mode not in self._allowed():
            raise ValueError(f"there is no mode {name[:40]!r} here")
        policy = self._agent.gate.policy
        self.assembled.enforce(msgspec.structs.replace(policy, mode=mode))

    def set_model(self, name: str) -> None:
        """Ask another model from the next answer on.

        Raises:
            ValueError: it is none of those that can be chosen.
            AprError: it cannot be used.
        """
        if name not in self._models:
            raise ValueError(f"there is no model {name[:80]!r} here")
        if name != self._agent.session.model:
            self.assembled.use(*self._source.open_model(self._options, name))

    async def announce(self) -> None:
        """Tell of a mode that has changed: an editor may show it in two places."""
        for update in self._mode_changed():
            await self._tell(update)

    async def introduce(self) -> None:
        """Tell which commands there are."""
        servers = self.assembled.servers
        named = [
            (skill.name, line(skill.description), skill.argument_hint)
            for skill in self.assembled.skills.values()
            if skill.by_user
        ]
        named += [
            (prompt.name, line(prompt.description), " ".join(prompt.arguments))
            for prompt in (servers.prompts() if servers is not None else [])
        ]
        named.append(("compact", "Sum the conversation up, to make room", "what to keep"))
        await self._tell(choices.commands(named))

    async def history(self, records: list[Any]) -> None:
        """Tell what was said in the session before."""
        for update in self._telling.history(records):
            await self._tell(update)

    async def prompt(self, prompt: Prompt) -> tuple[StopReason, Usage]:
        """Have the agent work on a prompt; return how that ended, and what it took.

        Raises:
            Busy: it works on one already.
            Failed: the work failed.
        """
        if self._work is not None and not self._work.done.done():
            raise Busy("the session works on a prompt already: cancel that, or wait")
        if self._driven.done():
            raise Failed("the session has ended: load it again")
        work = self._work = _Work(prompt)
        self._waiting.put_nowait(work)
        done = await asyncio.shield(work.done)
        if work.cancelled and done.error is not None:  # however that has ended it
            return "cancelled", work.usage
        return _stop(done), work.usage

    def cancel(self) -> None:
        """End the work on the prompt at hand, also where it has not begun yet."""
        work = self._work
        if work is None or work.done.done():
            return
        work.cancelled = True
        if work.begun:
            self._agent.interrupt()
        else:
            work.finish(PromptDone("error", INTERRUPTED))

    async def close(self, *, gone: bool = False) -> None:
        """End the session and all it has started. If the editor is `gone`, nobody is told."""
        self.cancel()
        self._waiting.put_nowait(None)
        if not self._opened:
            self._driven.cancel()
        await asyncio.wait([self._driven])
        for sink in self._sinks:
            sink.close()
        self._outgoing.put_nowait(None)
        if gone:
            self._told.cancel()
        await asyncio.wait([self._told])
        if self._work is not None:
            self._work.finish(PromptDone("error", INTERRUPTED))
        await self.assembled.close()

    def _allowed(self) -> list[Mode]:
        """Return the modes that can be chosen: none that the settings forbid.

        To ask for nothing any more is for whoever starts the agent to choose.
        """
        allowed: list[Mode] = []
        for mode in get_args(Mode):
            with contextlib.suppress(SettingsError):
                permission_mode(self._options.settings, mode)
                if mode != "bypassPermissions" or self._began_in == mode:
                    allowed.append(mode)
        now = self._agent.gate.policy.mode
        return allowed if now in allowed else [*allowed, now]

    async def _drive(self) -> None:
        """Run the session. Nothing is awaited here but the agent: that is what a cancel is for."""
        broke = "the session has ended"
        try:
            events = self._agent.converse(
                self._each(), preface=self.assembled.preface, source=self.assembled.source
            )
            async for event in events:
                for sink in self._sinks:
                    sink(event)
                self._outgoing.put_nowait(event)
                while self.assembled.notices:
                    self._outgoing.put_nowait(Notice(self.assembled.notices.pop(0)))
        except Exception as error:
            broke = f"the session has ended ({type(error).__name__}: {error})"
        finally:
            self._outgoing.put_nowait(PromptDone("error", broke))

    async def _each(self) -> AsyncIterator[Prompt]:
        self._opened = True
        while (work := await self._waiting.get()) is not None:
            if not work.done.done():
                work.begun = True
                yield work.prompt

    async def _tell_all(self) -> None:
        """Tell the editor what happens, in order."""
        while (event := await self._outgoing.get()) is not None:
            if isinstance(event, asyncio.Future):
                if not event.done():
                    event.set_result(None)
                continue
            try:
                for update in (*self._telling.updates(event), *self._besides(event)):
                    await self._tell(update)
            except Exception:  # what cannot be told must not keep the rest from being
                logging.exception("An update could not be sent")
            if isinstance(event, PromptDone) and self._work is not None:
                self._work.finish(event)

    async def _tell(self, update: Any) -> None:
        with contextlib.suppress(ConnectionError):  # the editor is gone: its work still ends
            await self._editor.tell(self.id, update)

    def _besides(self, event: Event) -> list[Any]:
        """Return what is told of the session itself, now that this has happened."""
        told: list[Any] = []
        if isinstance(event, UserPrompt) and not self._titled:
            self._titled = True
            told.append(_info(title=line(title_of(event.text)) or None))
        if isinstance(event, AssistantTurn) and event.usage is not None:
            told += self._used(event, event.usage)
        if isinstance(event, PromptDone):
            told.append(_info())
        return [*told, *self._mode_changed()]

    def _mode_changed(self) -> list[Any]:
        mode = self._agent.gate.policy.mode
        if mode == self._mode:
            return []
        self._mode = mode
        return [
            schema.CurrentModeUpdate(session_update="current_mode_update", current_mode_id=mode),
            schema.ConfigOptionUpdate(
                session_update="config_option_update", config_options=self.config()
            ),
        ]

    def _used(self, turn: AssistantTurn, usage: Usage) -> list[Any]:
        if self._work is not None:
            before = self._work.usage
            self._work.usage = Usage(
                input_tokens=before.input_tokens + usage.input_tokens,
                output_tokens=before.output_tokens + usage.output_tokens,
                cache_read_tokens=before.cache_read_tokens + usage.cache_read_tokens,
            )
        size = self._agent.provider.context
        if size is None or turn.parent_tool_use_id is not None:
            return []
        used = usage.input_tokens + usage.output_tokens
        return [schema.UsageUpdate(session_update="usage_update", used=used, size=size)]

    async def _ask(self, question: Question) -> Answer:
        """Ask the person in the editor. Where the question is withdrawn, the run ends."""
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outgoing.put_nowait(heard)
        await heard  # the editor knows of the call before it is asked about it
        try:
            if question.call.name == "AskUserQuestion":
                return await answers(question, partial(self._editor.choose, self.id))
            return await self._consent(question)
        except EditorGone:
            return Answer(allow=False, interrupt=True)
        except EditorFailed as error:
            return Answer(allow=False, message=f"They could not be asked: {error}")

    async def _consent(self, question: Question) -> Answer:
        managed = self._options.settings.allow_managed_permission_rules_only
        rules = offers(question, self._agent.gate.policy, managed=managed).narrow
        offered = choices.answers(question.call.name, rules)
        call = self._telling.asked(question.call, question.reason)
        chosen = await self._editor.choose(self.id, call, [o for o, _ in offered.values()])
        if chosen is None:
            return Answer(allow=False, interrupt=True)
        if chosen not in offered:
            return Answer(allow=False, message="The editor's answer was none of those offered.")
        if chosen == choices.ALWAYS:
            self._keep([str(rule) for rule in rules])
        return offered[chosen][1]

    def _keep(self, rules: list[str]) -> None:
        """Keep what is allowed for later sessions, and say where."""
        try:
            told = f"Kept in {allow(rules, self._options.root)}: {', '.join(rules)}"
        except (AprError, OSError) as error:
            told = f"This holds for this session only: {error}"
        self._outgoing.put_nowait(Notice(told))


def _info(title: str | None = None) -> schema.SessionInfoUpdate:
    now = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
    return schema.SessionInfoUpdate(
        session_update="session_info_update", updated_at=now, title=title
    )


def _stop(done: PromptDone) -> StopReason:
    if done.error is None:
        return "max_tokens" if done.stop_reason == "max_tokens" else "end_turn"
    if done.error == INTERRUPTED:
        return "cancelled"
    if done.error.startswith(MAX_TURNS):
        return "max_turn_requests"
    if done.stop_reason == "max_tokens":
        return "max_tokens"
    raise Failed(done.error)
