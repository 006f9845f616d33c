"""An agent of parts that are written here, as anybody could write them: a provider, some tools."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

from msgspec import Struct

from apr.agent.asking import Asker
from apr.agent.events import Event, PromptDone, Remembered, TextDelta
from apr.agent.gate import Gate
from apr.agent.limits import Limits
from apr.agent.loop import Agent
from apr.agent.permissions import Policy
from apr.agent.session import Session
from apr.hooks.base import Fired, HookName, Hooks
from apr.providers.base import (
    AssistantMessage,
    Completion,
    Message,
    ModelEvent,
    Provider,
    Request,
    ToolMessage,
)
from apr.tools.base import Access, Context, Outcome, Tool, ToolError
from apr.tools.files import FileLedger
from apr.tools.shells import Shells
from ccpa.trace import Block, SessionEnd, TextBlock, ToolResult, ToolUseBlock, Usage


class Script:
    """A provider that says what it was given, and remembers what it was asked.

    An exception is raised; a text is the beginning of an answer that never goes on.
    """

    def __init__(self, *answers: Completion | Exception | str, context: int | None = None) -> None:
        self._answers = list(answers)
        self.asked: list[Request] = []
        self.context = context

    async def stream(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            yield TextDelta(answer)
            await asyncio.Event().wait()
            return
        for block in answer.blocks:
            if isinstance(block, TextBlock):
                yield TextDelta(block.text)
        yield answer

    async def close(self) -> None:
        pass


class Nothing(Struct, forbid_unknown_fields=True):
    """An input without fields."""


class Meet:
    """A tool that only returns once another call of it runs at the same time."""

    name: ClassVar[str] = "Meet"
    description: ClassVar[str] = "Wait for the other."
    Input = Nothing
    read_only: ClassVar[bool] = True

    def __init__(self, parties: int) -> None:
        self._barrier = asyncio.Barrier(parties)
        self._most = self._here = 0
        self.most = 0

    def access(self, call: Nothing, context: Context) -> Access:
        return Access(kind="none")

    async def run(self, call: Nothing, context: Context) -> Outcome:
        self._here += 1
        self.most = max(self.most, self._here)
        await asyncio.sleep(0)  # whoever may run at the same time comes in now
        place = await self._barrier.wait()
        self._here -= 1
        return Outcome(content=f"met as number {place}")


class Meddle(Meet):
    """The same, but it changes things."""

    read_only: ClassVar[bool] = False


class SpeakInput(Struct, forbid_unknown_fields=True):
    """How it ends."""

    error: str = ""


class Speak:
    """A tool that says things while it runs, and then fails in the way its input names."""

    name: ClassVar[str] = "Speak"
    description: ClassVar[str] = "Speak."
    Input = SpeakInput
    read_only: ClassVar[bool] = False

    def access(self, call: SpeakInput, context: Context) -> Access:
        return Access(kind="none")

    async def run(self, call: SpeakInput, context: Context) -> Outcome:
        context.progress("one ")
        await asyncio.sleep(0)
        context.progress("two")
        errors = {"os": OSError(28, "No space left"), "tool": ToolError("no"), "bug": KeyError("k")}
        if call.error:
            raise errors[call.error]
        return Outcome(content="one two")


def answer(*blocks: Block, malformed: dict[str, str] | None = None) -> Completion:
    wants_tool = any(isinstance(block, ToolUseBlock) for block in blocks)
    return Completion(
        blocks=blocks,
        stop_reason="tool_use" if wants_tool else "end_turn",
        usage=Usage(input_tokens=10, output_tokens=2),
        model="script",
        malformed=malformed or {},
    )


def use(name: str, number: int = 1, **given: Any) -> ToolUseBlock:
    return ToolUseBlock(f"toolu_{number}", name, given)


class Told:
    """Hooks that answer what they were told to, the last answer again and again."""

    def __init__(self, **answers: Fired | list[Fired]) -> None:
        self._answers = answers
        self.fired: list[str] = []

    async def fire(
        self,
        event: HookName,
        *,
        subject: str = "",
        tool_use_id: str | None = None,
        **payload: Any,
    ) -> Fired:
        self.fired.append(event)
        given = self._answers.get(event, Fired())
        if isinstance(given, Fired):
            return given
        return given.pop(0) if len(given) > 1 else given[0]


def agent(
    root: Path,
    provider: Provider,
    *tools: Tool[Any],
    max_turns: int | None = None,
    limits: Limits | None = None,
    hooks: Hooks | None = None,
    ask: Asker | None = None,
) -> Agent:
    return Agent(
        provider,
        tools,
        Gate(Policy(root=root), hooks=hooks, ask=ask),
        Context(root=root, cwd=root, files=FileLedger(), shells=Shells()),
        Session(root, model="script", permission_mode="default", trace=None),
        Request(system="You are a test.", messages=()),
        limits=limits or Limits(turns=max_turns),
    )


async def converse(some_agent: Agent, prompts: Iterable[str] = ("go",)) -> list[Event]:
    """Return all that happens, but for what only the session's store reads."""
    seen = [event async for event in some_agent.converse(prompts)]
    return [event for event in seen if not isinstance(event, Remembered | PromptDone)]


def end_of(events: list[Event]) -> SessionEnd:
    end = events[-1]
    assert isinstance(end, SessionEnd)
    return end


def whole(messages: Sequence[Message]) -> bool:
    """Whether every call is answered once, by the message behind it."""
    for message, after in zip_longest(messages, messages[1:]):
        blocks = message.blocks if isinstance(message, AssistantMessage) else ()
        calls = [block.id for block in blocks if isinstance(block, ToolUseBlock)]
        answers = after.answers if isinstance(after, ToolMessage) else ()
        if calls and [a.tool_use_id for a in answers] != calls:
            return False
    return True


def results(events: list[Event]) -> list[ToolResult]:
    return [event for event in events if isinstance(event, ToolResult)]
