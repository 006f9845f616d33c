"""Runs subagents: beside each other, within bounds, and in the background if that is wanted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from msgspec import Struct

from apr.agent.batch import heard
from apr.agent.brakes import Repetition
from apr.agent.compaction import Compactor
from apr.agent.events import Event, Notice, ToolStarted
from apr.agent.gate import Gate
from apr.agent.limits import LimitReached
from apr.agent.loop import Agent, Stopped
from apr.agent.parts import GoingInCircles
from apr.providers.base import ProviderError
from apr.subagents.kinds import Kind
from apr.subagents.place import Place, here
from apr.tools.base import Context, Outcome, Tool
from apr.tools.files import FileLedger
from apr.tools.registry import specs
from ccpa.trace import AssistantTurn, HookEvent, SkillInvocation, TextBlock, ToolResult

MOST_AT_ONCE = 4
"""Subagents that work at a time; more wait for their turn."""
MOST = 64
"""Subagents that one session may have in all."""
_NOT_FOR_THEM = frozenset({"Agent", "AskUserQuestion", "ExitPlanMode"})
"""Tools that a subagent does not have: it has nobody to ask, and no subagents of its own."""
_RECORDS = (AssistantTurn, ToolResult, HookEvent, SkillInvocation)


class Task(Struct, frozen=True, kw_only=True):
    """What a subagent is to do."""

    kind: Kind
    description: str
    prompt: str
    isolated: bool = False
    """Whether it works in a worktree of its own."""


class Company:
    """The subagents of one session.

    Args:
        chief: returns the agent they work for.
        preface: what a subagent reads before its prompt, for the directory it works in.
    """

    def __init__(self, chief: Callable[[], Agent], preface: Callable[[Context], str]) -> None:
        self._chief = chief
        self._preface = preface
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._count = 0
        self._background: dict[str, asyncio.Task[None]] = {}
        self._events: list[Event] = []
        self._news = asyncio.Event()

    async def run(self, task: Task, context: Context) -> Outcome:
        """Have a task done, and return what the subagent said at its end."""
        self._count += 1
        if self._count > MOST:
            return Outcome(content=f"This session has had {MOST} agents: no more.", ok=False)
        async with self._room:
            return await self._work(task, context, context.emit)

    def start(self, task: Task, context: Context) -> Outcome:
        """Have a task done in the background: the chief reads of its end in its inbox."""
        self._count += 1
        if self._count > MOST:
            return Outcome(content=f"This session has had {MOST} agents: no more.", ok=False)
        name = f"agent-{self._count}"
        self._background[name] = asyncio.create_task(self._behind(name, task, context))
        return Outcome(
            content=f"{name} works in the background. You will be told what it came to; go on with "
            "something else, or end your turn to wait for it."
        )

    async def _behind(self, name: str, task: Task, context: Context) -> None:
        try:
            async with self._room:
                outcome = await self._work(task, context, self._hear)
        finally:
            self._background.pop(name, None)
        ended = "is done" if outcome.ok else "has failed"
        self._chief().inbox.append(f"{name} ({task.description}) {ended}:\n{outcome.content}")
        self._news.set()

    def _hear(self, event: Event) -> None:
        self._events.append(event)
        self._news.set()

    async def news(self) -> AsyncIterator[Event]:
        """Yield what happens in the background, until one is done or there is none."""
        while self._background and not self._chief().inbox:
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
        tasks = list(self._background.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _work(self, task: Task, context: Context, emit: Callable[[Event], None]) -> Outcome:
        chief = self._chief()
        place = await here(context.root, isolated=task.isolated)
        agent = self._hire(task, context, place, chief)
        hooks = chief.gate.hooks
        for event in heard(
            await hooks.fire("SubagentStart", subject=task.kind.name, agent_type=task.kind.name),
            chief.session.turn,
        ):
            emit(event)
        try:
            said, ok = await _follow(agent, task, self._preface(agent.context), context, emit)
        finally:
            await agent.context.shells.close() if place.own else None
            left = await place.leave()
        return Outcome(content="\n\n".join(filter(None, [said, left])), ok=ok)

    def _hire(self, task: Task, context: Context, place: Place, chief: Agent) -> Agent:
        """Return an agent for a task: what it has of its own, and what of its chief."""
        names = task.kind.tools
        wanted = None if names is None else {name.partition("(")[0] for name in names}
        tools: list[Tool[Any]] = [
            tool
            for name, tool in chief.tools.items()
            if name not in _NOT_FOR_THEM and (wanted is None or name in wanted)
        ]
        policy = msgspec.structs.replace(chief.gate.policy, root=place.root)
        request = msgspec.structs.replace(chief.request, messages=())
        if names is not None or task.kind.prompt is not None:
            system = task.kind.prompt or chief.request.system
            request = msgspec.structs.replace(request, system=system, tools=specs(tools))
        agent = Agent(
            chief.provider,
            tools,
            Gate(policy, hooks=chief.gate.hooks, ask=chief.gate.ask),
            msgspec.structs.replace(context, root=place.root, cwd=place.root, files=FileLedger()),
            chief.session.child(),
            request,
            limits=chief.limits,
            stop_event="SubagentStop",
        )
        agent.brakes = Repetition()
        agent.window = Compactor(lambda: agent.provider.context)
        agent.footnotes = chief.footnotes
        return agent


async def _follow(
    agent: Agent, task: Task, preface: str, context: Context, emit: Callable[[Event], None]
) -> tuple[str, bool]:
    """Let an agent work; pass its records on. Return what it said last, and whether it is done."""
    said = ""
    try:
        async for event in agent.run(task.prompt, preface=preface):
            if isinstance(event, AssistantTurn):
                said = "".join(b.text for b in event.blocks if isinstance(b, TextBlock))
            if isinstance(event, _RECORDS) and not event.parent_tool_use_id:
                event = msgspec.structs.replace(event, parent_tool_use_id=context.call_id)
            if isinstance(event, (*_RECORDS, Notice, ToolStarted)):
                emit(event)
    except (ProviderError, LimitReached, GoingInCircles, Stopped) as error:
        return f"The agent could not finish: {error}\n\nIts last words: {said or 'none'}", False
    return said or "The agent ended without a word.", True
