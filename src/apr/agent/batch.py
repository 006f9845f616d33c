"""The calls of a turn that may run at once: admitted, executed together, reported in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from apr.agent.calls import Checked, Ran, Ready, Refused, Tools, check, execute, report
from apr.agent.events import Event, Notice, ToolProgress, ToolStarted
from apr.agent.gate import Gate
from apr.agent.parts import Footnotes
from apr.hooks.base import Fired
from apr.providers.base import Image
from apr.tools.base import Context
from ccpa.trace import ToolResult, ToolUseBlock


class Batch:
    """Runs some calls of one turn.

    Args:
        calls: what the model asked for.
        malformed: by id, why a call could not be read.
        turn: the number of the results' message.
        tools: those there are.
        gate: decides on each call.
        context: what tools know; `context` has the next call's afterwards.
        root: where the session was started: the record of a call tells paths from there, also those
            of a subagent that works elsewhere.
        footnotes: what the model reads behind a result besides.
        interrupt: called when a person wants the run to end here.
    """

    def __init__(
        self,
        calls: Sequence[ToolUseBlock],
        malformed: Mapping[str, str],
        *,
        turn: int,
        tools: Tools,
        gate: Gate,
        context: Context,
        root: Path,
        footnotes: Footnotes | None,
        interrupt: Callable[[], None],
    ) -> None:
        self.context = context
        self.results: dict[str, ToolResult] = {}
        self.told: dict[str, str] = {}
        """By id, the whole answer for the model: the result, and what hooks and notes add."""
        self.images: dict[str, tuple[Image, ...]] = {}
        """By id, what the model is shown besides."""
        self.stop: str | None = None
        """Why a hook has ended the run."""
        self._calls = calls
        self._root = root
        self._malformed = malformed
        self._turn = turn
        self._tools = tools
        self._gate = gate
        self._footnotes = footnotes
        self._interrupt = interrupt
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._checked: dict[str, Checked] = {}

    async def run(self) -> AsyncIterator[Event]:
        """Run the calls. Yields everything that happens; results in the order of the calls."""
        admitted: dict[str, Ready | Refused] = {}
        for call in self._calls:
            async for event in self._admit(call, admitted):
                yield event
        ready = [item for item in admitted.values() if isinstance(item, Ready)]
        for going in ready:
            yield ToolStarted(going.call)
        tasks = {going.call.id: asyncio.create_task(self._execute(going)) for going in ready}
        try:
            unfinished = len(tasks)
            while unfinished:
                if (told := await self._events.get()) is None:
                    unfinished -= 1
                else:
                    yield told
        finally:
            for task in tasks.values():
                task.cancel()  # of no effect on what is done
            if tasks:
                await asyncio.wait(tasks.values())
        for call in self._calls:
            item = admitted[call.id]
            came_to = item if isinstance(item, Refused) else tasks[call.id].result()
            async for event in self._report(call, came_to):
                yield event

    async def _admit(
        self, call: ToolUseBlock, admitted: dict[str, Ready | Refused]
    ) -> AsyncIterator[Event]:
        checked = check(call, self._malformed, self._tools, self.context)
        if isinstance(checked, Refused):
            admitted[call.id] = checked
            return
        self._checked[call.id] = checked
        decided = await self._gate.admit(checked, self._tools, self.context)
        for fired in decided.fired:
            for event in self._heard(fired, self._turn - 1):
                yield event
        admitted[call.id] = decided.came_to
        if decided.interrupt:
            self._interrupt()

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
        finally:
            self._events.put_nowait(None)

    async def _report(self, call: ToolUseBlock, came_to: Ran | Refused) -> AsyncIterator[Event]:
        result = report(self._turn, call, came_to, self._root)
        self.results[call.id] = result
        self.told[call.id] = result.content
        yield result
        if isinstance(came_to, Refused):
            return
        outcome = came_to.outcome
        self.images[call.id] = outcome.images
        if outcome.directory is not None:
            self.context = msgspec.structs.replace(self.context, cwd=outcome.directory)
        for record in outcome.records:
            yield msgspec.structs.replace(record, turn=self._turn)
        checked = self._checked[call.id]
        fired = await self._gate.hooks.fire(
            "PostToolUse" if outcome.ok else "PostToolUseFailure",
            subject=checked.tool.name,
            tool_use_id=call.id,
            tool_name=checked.tool.name,
            tool_input=call.input,
            **_response(result),
        )
        for event in self._heard(fired, self._turn):
            yield event
        said = [fired.reason] if fired.behavior == "deny" else []
        said += fired.context
        if self._footnotes is not None and (note := self._footnotes(checked, outcome)):
            said.append(note)
        self.told[call.id] = "\n\n".join([result.content, *said])

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
