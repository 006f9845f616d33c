"""Runs subagents: beside each other, within bounds, and in the background if that is wanted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from apr.agent.batch import heard
from apr.agent.brakes import Repetition
from apr.agent.compaction import Compactor
from apr.agent.endings import FAILURES
from apr.agent.events import Event, Notice, ToolStarted
from apr.agent.loop import Agent
from apr.agent.permissions import Rule, hidden
from apr.agent.prompt import Prompt
from apr.errors import AprError
from apr.providers.base import Provider
from apr.subagents.borrowed import BorrowedGate, TheirHooks
from apr.subagents.kinds import Kind
from apr.subagents.place import Place, here
from apr.tools.base import Context, Outcome, Tool
from apr.tools.errors import ToolError
from apr.tools.files import FileLedger
from apr.tools.registry import specs, specs_later
from apr.tools.tasks import OfTasks, Tasks
from ccpa.trace import (
    AssistantTurn,
    Compaction,
    HookEvent,
    SkillInvocation,
    TextBlock,
    ToolResult,
)

if TYPE_CHECKING:
    from apr.subagents.models import Models

MOST_AT_ONCE = 4
"""Subagents that work at a time; more wait for their turn."""
MOST = 64
"""Subagents that one session may have in all."""
_NOT_FOR_THEM = frozenset({"Agent", "AskUserQuestion", "ExitPlanMode", "StructuredOutput"})
"""Tools that a subagent does not have: it has nobody to ask, no subagents of its own, and its last
words are for its chief."""
_STOPPED = Outcome(content="It was stopped.", ok=False)
_RECORDS = (AssistantTurn, ToolResult, HookEvent, SkillInvocation, Compaction)

Outfit = Callable[[Agent, Kind], Awaitable[str]]
"""Gives an agent what belongs to it alone: notes on the files it touches, its skills. Returns what
it reads before its task."""


class Task(Struct, frozen=True, kw_only=True):
    """What a subagent is to do."""

    kind: Kind
    description: str
    prompt: str
    isolated: bool = False
    """Whether it works in a worktree of its own."""
    allow: tuple[Rule, ...] = ()
    """What it may do without asking, besides."""
    model: str | None = None
    """The model to work with rather than that of its kind, as it is written."""


class Worker(Struct, kw_only=True):
    """A subagent in the background."""

    description: str
    doing: "asyncio.Task[None]"
    said: str = ""
    """Its last words so far."""
    outcome: Outcome | None = None
    """What it came to; None while it works."""
    stopped: bool = False


class Company:
    """The subagents of one session.

    Args:
        chief: returns the agent they work for.
        outfit: fits out each of them.
        open_model: opens another model than the session's; None where there is but one.
    """

    def __init__(
        self,
        chief: Callable[[], Agent],
        outfit: Outfit,
        open_model: Callable[[str], tuple[Provider, str]] | None = None,
    ) -> None:
        self.background: dict[str, Worker] = {}
        """By name, those that were begun in the background."""
        self._chief = chief
        self._outfit = outfit
        self._open_model = open_model
        self._models: Models | None = None
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._count = 0
        self._events: list[Event] = []
        self._news = asyncio.Event()

    async def run(self, task: Task, context: Context) -> Outcome:
        """Have a task done, and return what the subagent said at its end.

        Raises:
            ToolError: there are too many, or there is no place for it to work in.
        """
        name = self._name()
        async with self._room:
            return await self._work(name, task, context, context.emit)

    def start(self, task: Task, context: Context) -> Outcome:
        """Have a task done in the background: the chief reads of its end in its inbox.

        Raises:
            ToolError: there are too many.
        """
        name = self._name()
        doing = asyncio.create_task(self._behind(name, task, context))
        self.background[name] = Worker(description=task.description, doing=doing)
        return Outcome(
            content=f"{name} works in the background. You will be told what it came to; go on with "
            "something else, or end your turn to wait for it."
        )

    async def stop(self, name: str) -> None:
        """End a subagent that works in the background."""
        worker = self.background[name]
        worker.stopped = True
        worker.doing.cancel()
        await asyncio.wait([worker.doing])
        worker.outcome = worker.outcome or _STOPPED  # it may not even have begun

    async def news(self) -> AsyncIterator[Event]:
        """Yield what happens in the background, until one is done or there is none."""
        while self._at_work() and not self._chief().inbox:
            await self._news.wait()
            self._news.clear()
            for event in self.heard():
                yield event
        for event in self.heard():
            yield event

    def heard(self) -> list[Event]:
        """Return what has happened in the background since the last look."""
        events, self._events[:] = self._events[:], []
        return events

    async def close(self) -> None:
        """End those that are still at work."""
        tasks = self._at_work()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._models is not None:
            await self._models.close()

    def _at_work(self) -> "list[asyncio.Task[None]]":
        return [w.doing for w in self.background.values() if not w.doing.done()]

    def _name(self) -> str:
        """Take a new one on.

        Raises:
            ToolError: there are too many.
        """
        if self._count >= MOST:
            raise ToolError(f"this session has had {MOST} agents: do the rest yourself")
        self._count += 1
        return f"agent-{self._count}"

    async def _behind(self, name: str, task: Task, context: Context) -> None:
        """Have a task done, tell the chief, and fail in no other way."""

        def emit(event: Event) -> None:
            if isinstance(event, AssistantTurn):
                worker.said = _text(event) or worker.said
            self._events.append(event)
            self._news.set()

        worker, outcome = self.background[name], _STOPPED
        try:
            async with self._room:
                outcome = await self._work(name, task, context, emit)
        except ToolError as error:
            outcome = Outcome(content=str(error), ok=False)
        except Exception as error:
            outcome = Outcome(content=f"It broke ({type(error).__name__}: {error})", ok=False)
        finally:
            worker.outcome = outcome
            if not worker.stopped:
                ended = "is done" if outcome.ok else "has failed"
                self._chief().inbox.append(
                    f"{name} ({task.description}) {ended}:\n{outcome.content}"
                )
            self._news.set()

    async def _work(
        self, name: str, task: Task, context: Context, emit: Callable[[Event], None]
    ) -> Outcome:
        place = await here(context.root, isolated=task.isolated)
        left = ""
        try:
            provider = await self._provider(task, emit)
            agent = self._hire(name, task, context, place, provider)
            try:
                said, ok = await self._follow(agent, task, context, emit)
            finally:
                await agent.context.shells.close()
        finally:
            if left := await place.leave():
                emit(Notice(f"{name} ({task.description}): {left}"))
        return Outcome(content="\n\n".join(filter(None, [said, left])), ok=ok)

    async def _provider(self, task: Task, emit: Callable[[Event], None]) -> Provider:
        """Return the model that a task is done with: the session's, where its own is not here."""
        from apr.subagents.models import Models, own

        chief, name = self._chief(), own(task.model) or own(task.kind.model)
        if name is None or self._open_model is None or name == chief.session.model:
            return chief.provider
        self._models = self._models or Models(self._open_model)
        try:
            return await self._models.get(name)
        except AprError as error:
            emit(Notice(f"{task.kind.name} works with the session's model: {error}"))
            return chief.provider

    def _hire(
        self, name: str, task: Task, context: Context, place: Place, provider: Provider
    ) -> Agent:
        """Return an agent for a task: what it has of its own, and what of its chief."""
        chief, kind = self._chief(), task.kind
        hooks = TheirHooks(lambda: chief.gate.hooks, name, kind.name, lambda: agent.context.cwd)
        gate = BorrowedGate(chief.gate, place.root, kind, hooks, task.allow)
        own = Tasks()
        tools = [
            tool.on(own) if isinstance(tool, OfTasks) else tool
            for tool in chosen(kind, list(chief.tools.values()))
        ]
        request = msgspec.structs.replace(chief.request, messages=())
        if kind.tools is not None or kind.without or kind.prompt is not None:
            shown = [t for t in tools if t.name not in request.known or kind.tools is not None]
            named = {tool.name: tool for tool in tools}
            request = msgspec.structs.replace(
                request,
                system=kind.prompt or request.system,
                tools=specs(shown),
                known=specs_later(named, [t.name for t in tools if t not in shown]),
            )
        limits = chief.limits
        if kind.turns is not None:
            turns = min(kind.turns, limits.turns or kind.turns)
            limits = msgspec.structs.replace(limits, turns=turns)
        agent = Agent(
            provider,
            tools,
            gate,
            msgspec.structs.replace(
                context,
                root=place.root,
                cwd=place.root,
                files=FileLedger(),
                shells=context.shells.apart(),
                hidden=hidden(gate.policy),
            ),
            chief.session.child(),
            request,
            limits=limits,
            stop_event="SubagentStop",
        )
        agent.brakes = Repetition()
        agent.window = Compactor(lambda: agent.provider.context, own.open)
        return agent

    async def _follow(
        self, agent: Agent, task: Task, context: Context, emit: Callable[[Event], None]
    ) -> tuple[str, bool]:
        """Let an agent work; pass its records on. Return its last words, and whether it is done."""
        began = await agent.gate.hooks.fire("SubagentStart")
        for event in heard(began, self._chief().session.turn):
            emit(event)
        preface = await self._outfit(agent, task.kind)
        preface += "".join(f"{text}\n\n" for text in began.context)
        said = ""
        try:
            async for event in agent.run(Prompt(task.prompt, verbatim=True), preface=preface):
                if isinstance(event, AssistantTurn):
                    said = _text(event) or said
                if isinstance(event, _RECORDS) and not event.parent_tool_use_id:
                    event = msgspec.structs.replace(event, parent_tool_use_id=context.call_id)
                if isinstance(event, (*_RECORDS, Notice, ToolStarted)):
                    emit(event)
        except FAILURES as error:
            return f"The agent could not finish: {error}\n\nIts last words: {said or 'none'}", False
        return said or "The agent ended without a word.", True


def chosen(kind: Kind, tools: Sequence[Tool[Any]]) -> list[Tool[Any]]:
    """Return the tools that a kind of subagent has, of those there are."""

    def named(names: Sequence[str], tool: Tool[Any]) -> bool:
        return any(
            fnmatchcase(tool.name, name) or tool.name.startswith(f"{name}__")
            for name in (one.partition("(")[0] for one in names)
        )

    return [
        tool
        for tool in tools
        if tool.name not in _NOT_FOR_THEM
        and (kind.tools is None or named(kind.tools, tool))
        and not named(kind.without, tool)
    ]


def _text(turn: AssistantTurn) -> str:
    return "".join(block.text for block in turn.blocks if isinstance(block, TextBlock))
