"""The agent: what happens in a turn, in order."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import msgspec

from apr.agent.calls import Ready, Refused, admit, batches, execute, report
from apr.agent.events import Event, ToolProgress, ToolStarted
from apr.agent.permissions import Policy
from apr.agent.session import Session
from apr.providers.base import (
    AssistantMessage,
    Completion,
    Message,
    Provider,
    ProviderError,
    Request,
    ToolAnswer,
    ToolMessage,
    UserMessage,
)
from apr.tools.base import Context, Tool
from ccpa.trace import (
    AssistantTurn,
    SessionStop,
    TextBlock,
    ToolResult,
    ToolUseBlock,
    UserPrompt,
)

MAX_TURNS = "max_turns"
INTERRUPTED = "interrupted"


class TurnLimit(Exception):
    """The model wanted to go on after its last allowed turn."""


class Agent:
    """One conversation of one model with one project.

    Args:
        provider: the wire to the model.
        tools: what the model may use.
        policy: when it may use them.
        context: the state that tools share.
        session: the books.
        request: what every request has in common: system prompt, tool specs, sampling.
        max_turns: how many answers of the model one prompt may take; None for no limit.
    """

    def __init__(
        self,
        provider: Provider,
        tools: Sequence[Tool[Any]],
        policy: Policy,
        context: Context,
        session: Session,
        request: Request,
        *,
        max_turns: int | None = None,
    ) -> None:
        self.provider = provider
        self.tools = {tool.name: tool for tool in tools}
        self.policy = policy
        self.context = context
        self.session = session
        self.request = request
        self.max_turns = max_turns
        self.messages: list[Message] = []

    async def converse(self, prompts: Iterable[str], *, preface: str = "") -> AsyncIterator[Event]:
        """Run a whole session: from its start, through the prompts, to its end, whatever happens.

        `preface` is what the model reads before the first prompt; it is no part of the trace.
        A failure is the `error` of the `SessionEnd`; so is a cancelled run, which stays cancelled.
        """
        yield self.session.start()
        stop: SessionStop = "end_turn"
        try:
            for prompt in prompts:
                async for event in self.run(prompt, preface=preface):
                    if isinstance(event, AssistantTurn) and event.stop_reason != "tool_use":
                        stop = event.stop_reason
                    yield event
                preface = ""
        except TurnLimit as limit:
            yield self.session.end("error", f"{MAX_TURNS}: {limit}")
        except ProviderError as error:
            yield self.session.end("error", str(error))
        except asyncio.CancelledError:
            yield self.session.end("error", INTERRUPTED)
            raise
        else:
            yield self.session.end(stop)

    async def run(self, prompt: str, *, preface: str = "") -> AsyncIterator[Event]:
        """Work on one prompt until the model is done with it. Yields everything that happens.

        Raises:
            ProviderError: the model's server failed.
            TurnLimit: `max_turns` answers were not enough.
        """
        self.messages.append(UserMessage(preface + prompt))
        yield UserPrompt(v=1, turn=self.session.next_turn(), text=prompt)
        answers = 0
        while answers != self.max_turns:
            answers += 1
            calls: list[ToolUseBlock] = []
            malformed: dict[str, str] = {}
            async for event in self._ask():
                if isinstance(event, Completion):
                    turn = self._answered(event)
                    calls = [block for block in turn.blocks if isinstance(block, ToolUseBlock)]
                    malformed = event.malformed
                    yield turn
                else:
                    yield event
            if not calls:
                return
            async for event in self._use_tools(calls, malformed):
                yield event
        raise TurnLimit(f"the task was not done after {answers} turns of the model")

    async def _ask(self) -> AsyncIterator[Event | Completion]:
        request = msgspec.structs.replace(self.request, messages=tuple(self.messages))
        self._asked = asyncio.get_running_loop().time()
        async for event in self.provider.stream(request):
            yield event

    def _answered(self, completion: Completion) -> AssistantTurn:
        """Take the answer into the history and the books, and return its record."""
        blocks = completion.blocks or (TextBlock(""),)
        self.messages.append(AssistantMessage(blocks, completion.raw))
        self.session.count(completion.usage)
        latency = asyncio.get_running_loop().time() - self._asked
        return AssistantTurn(
            v=1,
            turn=self.session.next_turn(),
            blocks=list(blocks),
            stop_reason=completion.stop_reason,
            usage=completion.usage,
            model=completion.model,
            latency_ms=int(latency * 1000),
        )

    async def _use_tools(
        self, calls: list[ToolUseBlock], malformed: dict[str, str]
    ) -> AsyncIterator[Event]:
        """Answer every call of a turn, an interrupted one too: the history stays whole."""
        turn = self.session.next_turn()
        results: dict[str, ToolResult] = {}
        try:
            for batch in batches(calls, self.tools):
                async for event in self._use_batch(turn, batch, malformed):
                    if isinstance(event, ToolResult):
                        results[event.tool_use_id] = event
                    yield event
        except asyncio.CancelledError:
            for call in calls:
                if call.id not in results:
                    refused = Refused("Interrupted by the user before it was done.")
                    results[call.id] = report(turn, call, refused, self.context.root)
                    yield results[call.id]
            raise
        finally:
            self.messages.append(
                ToolMessage(
                    tuple(
                        ToolAnswer(
                            call.id, call.name, results[call.id].content, results[call.id].ok
                        )
                        for call in calls
                        if call.id in results
                    )
                )
            )

    async def _use_batch(
        self, turn: int, batch: list[ToolUseBlock], malformed: dict[str, str]
    ) -> AsyncIterator[Event]:
        """Run the calls of a batch at once; report them in the order they were asked in."""
        admitted = [admit(c, malformed, self.tools, self.policy, self.context) for c in batch]
        ready = [item for item in admitted if isinstance(item, Ready)]
        for item in ready:
            yield ToolStarted(item.call)
        progress: asyncio.Queue[str | None] = asyncio.Queue()
        self.context.progress = progress.put_nowait if len(batch) == 1 else _ignore
        tasks = [asyncio.create_task(execute(item, self.context)) for item in ready]
        for task in tasks:
            task.add_done_callback(lambda _: progress.put_nowait(None))
        try:
            unfinished = len(tasks)
            while unfinished:
                if (text := await progress.get()) is None:
                    unfinished -= 1
                else:
                    yield ToolProgress(batch[0].id, text)
        finally:
            for task in tasks:
                task.cancel()  # of no effect on what is done
            if tasks:
                await asyncio.wait(tasks)
        ran = (task.result() for task in tasks)
        for call, checked in zip(batch, admitted, strict=True):
            came_to = checked if isinstance(checked, Refused) else next(ran)
            yield report(turn, call, came_to, self.context.root)


def _ignore(_text: str) -> None:
    """Output of calls that run side by side would only be muddled."""
