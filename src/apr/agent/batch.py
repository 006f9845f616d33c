"""The calls of a turn that may run at once: admitted, executed together, reported in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from apr.agent.calls import Checked, Ran, Ready, Refused, Tools, check, execute
from apr.agent.events import Event, Notice, ToolProgress, ToolStarted
from apr.agent.gate import Gate
from apr.agent.history import Answers
from apr.agent.parts import Footnotes
from apr.hooks.base import Fired
from apr.tools.base import Context, Outcome
from ccpa.trace import ToolResult, ToolUseBlock

NOT_RUN = "Not run: a hook has ended the run."


class Batch:
    """Runs some calls of one turn.

    Args:
        calls: what the model asked for.
        malformed: by id, why a call could not be read.
        answers: takes what they come to.
        tools: those there are.
        gate: decides on each call.
        context: what tools know; `context` has the next call's afterwards.
        footnotes: what the model reads behind a result besides.
        interrupt: called when a person wants the run to end here.
    """

    def __init__(
        self,
        calls: Sequence[ToolUseBlock],
        malformed: Mapping[str, str],
        *,
        answers: Answers,
        tools: Tools,
        gate: Gate,
        context: Context,
        footnotes: Footnotes | None,
        interrupt: Callable[[], None],
    ) -> None:
        self.context = context
        self.stop: str | None = None
        """Why a hook has ended the run."""
        self._calls = calls
        self._malformed = malformed
        self._answers = answers
        self._tools = tools
        self._gate = gate
        self._footnotes = footnotes
        self._interrupt = interrupt
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._checked: dict[str, Checked] = {}
        self._admitted: dict[str, Ready | Refused] = {}
        self._tasks: dict[str, asyncio.Task[Ran]] = {}

    async def run(self) -> AsyncIterator[Event]:
        """Run the calls. Yields everything that happens; results in the order of the calls."""
        for call in self._calls:
            async for event in self._admit(call):
                yield event
        ready = [item for item in self._admitted.values() if isinstance(item, Ready)]
        for going in ready:
            yield ToolStarted(going.call)
        for going in ready:
            self._tasks[going.call.id] = asyncio.create_task(self._execute(going))
        try:
            unfinished = len(ready)
            while unfinished:
                if (told := await self._events.get()) is None:
                    unfinished -= 1
                else:
                    yield told
        finally:
            for task in self._tasks.values():
                task.cancel()  # of no effect on what is done
            if self._tasks:
                await asyncio.wait(self._tasks.values())
        for call in self._calls:
            item = self._admitted[call.id]
            came_to = item if isinstance(item, Refused) else self._tasks[call.id].result()
            async for event in self._report(call, came_to):
                yield event

    def cut_short(self) -> Iterator[Event]:
        """Yield what has happened and was not told yet, where `run` has not come to its end."""
        while not self._events.empty():
            if (told := self._events.get_nowait()) is not None:
                yield told
        for call in self._calls:
            task, item = self._tasks.get(call.id), self._admitted.get(call.id)
            if call.id in self._answers.results:
                continue
            if task is not None and task.done() and not task.cancelled():
                yield self._answers.add(call, task.result())
            elif isinstance(item, Refused):
                yield self._answers.add(call, item)

    async def _admit(self, call: ToolUseBlock) -> AsyncIterator[Event]:
        if self.stop is not None:
            self._admitted[call.id] = Refused(NOT_RUN)
            return
        checked = check(call, self._malformed, self._tools, self.context)
        if isinstance(checked, Refused):
            self._admitted[call.id] = checked
            return
        self._checked[call.id] = checked
        decided = await self._gate.admit(checked, self._tools, self.context)
        self._admitted[call.id] = decided.came_to
        for fired in decided.fired:
            for event in self._heard(fired, self._answers.turn - 1):
                yield event
        if self.stop is not None and isinstance(decided.came_to, Ready):
            self._admitted[call.id] = Refused(NOT_RUN, "hook")
        if decided.interrupt:
            self._interrupt()
            await asyncio.sleep(0)  # here it takes effect

    async def _execute(self, ready: Ready) -> Ran:
        alone = len(self._calls) == 1  # the output of several would only be muddled
        context = msgspec.structs.replace(
            self.context,
            call_id=ready.call.id,
            progress=(lambda text: self._events.put_nowait(ToolProgress(ready.call.id, text)))
            if alone
            else (lambda _text: None),
            emit=self._events.put_nowait,
        )
        try:
            return await execute(ready, context)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            broke = f"{ready.tool.name} broke (it cancelled itself)"  # nobody else has
            return Ran(Outcome(content=broke, ok=False), 0)
        finally:
            self._events.put_nowait(None)

    async def _report(self, call: ToolUseBlock, came_to: Ran | Refused) -> AsyncIterator[Event]:
        result = self._answers.add(call, came_to)
        yield result
        if isinstance(came_to, Refused):
            return
        outcome = came_to.outcome
        if outcome.directory is not None:
            self.context = msgspec.structs.replace(self.context, cwd=outcome.directory)
        for record in outcome.records:
            yield msgspec.structs.replace(record, turn=self._answers.turn)
        checked = self._checked[call.id]
        fired = await self._gate.hooks.fire(
            "PostToolUse" if outcome.ok else "PostToolUseFailure",
            subject=checked.tool.name,
            tool_use_id=call.id,
            tool_name=checked.tool.name,
            tool_input=call.input,
            **_response(result),
        )
        for event in self._heard(fired, self._answers.turn):
            yield event
        said = [fired.reason] if fired.behavior == "deny" else []
        said += fired.context
        if self._footnotes is not None and (note := self._footnotes(checked, outcome)):
            said.append(note)
        self._answers.told[call.id] = "\n\n".join([result.content, *said])

    def _heard(self, fired: Fired, turn: int) -> Iterator[Event]:
        if fired.stop is not None:
            self.stop = fired.stop
        yield from heard(fired, turn)


def heard(fired: Fired, turn: int) -> Iterator[Event]:
    """Yield the records of hooks that ran, at a turn, and what a person should know of them."""
    for event in fired.events:
        yield msgspec.structs.replace(event, turn=turn)
    for text in fired.notices:
        yield Notice(text)


def _response(result: ToolResult) -> dict[str, Any]:
    """Return what hooks are told of how it went."""
    if not result.ok:
        return {"error": result.content}
    effects = result.side_effects
    return {
        "tool_response": {
            "content": result.content,
            "filesWritten": effects.files_written if effects else [],
        }
    }
