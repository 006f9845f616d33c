"""A whole session in this process: everything is real but the model, whose answers are given."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from apr.agent.events import Event
from apr.agent.prompt import Asked
from apr.assembly import Assembled, Options, assemble
from apr.providers.base import Completion, ModelEvent, Request, UserMessage
from apr.settings import load
from ccpa.trace import AssistantTurn, Block, TextBlock, ToolResult, ToolUseBlock, Usage

Use = tuple[str, Mapping[str, object]]
Answer = str | Use | list[Use] | Exception
"""A text, a tool use or several, or how the model's server fails."""


class Voices:
    """A model that has something to say in each conversation, which it knows by its first prompt.

    Args:
        said: by a text that ends the conversation's first prompt, its answers in order.
        before: awaited before each answer, with the conversation's text.
    """

    context = None

    def __init__(
        self,
        said: Mapping[str, list[Answer]],
        before: Callable[[str], Awaitable[object]] | None = None,
    ) -> None:
        self._left = {prompt: list(answers) for prompt, answers in said.items()}
        self.before = before
        self._ids = 0
        self.asked: list[Request] = []

    async def stream(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        self.asked.append(request)
        first = request.messages[0]
        assert isinstance(first, UserMessage)
        which = next(prompt for prompt in self._left if first.text.endswith(prompt))
        if self.before is not None:
            await self.before(which)
        answer = self._left[which].pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield self._completion(answer)

    def _completion(self, answer: Answer) -> Completion:
        blocks: list[Block] = []
        if isinstance(answer, str):
            blocks = [TextBlock(answer)]
        else:
            assert not isinstance(answer, Exception)
            for name, given in answer if isinstance(answer, list) else [answer]:
                self._ids += 1
                blocks.append(ToolUseBlock(f"toolu_{self._ids}", name, dict(given)))
        return Completion(
            blocks=tuple(blocks),
            stop_reason="end_turn" if isinstance(answer, str) else "tool_use",
            usage=Usage(input_tokens=100, output_tokens=10, cache_read_tokens=60),
            model="given",
        )

    async def close(self) -> None:
        pass

    def first_prompt(self, ending: str) -> str:
        """Return the whole first prompt of a conversation."""
        for request in self.asked:
            first = request.messages[0]
            assert isinstance(first, UserMessage)
            if first.text.endswith(ending):
                return first.text
        raise AssertionError(f"nobody asked anything that ends in {ending!r}")


def session(project: Path, voices: Voices, **options: object) -> Assembled:
    """Put a session together that is not stored."""
    settings = load(project, {}, sources=("project", "local"))
    plain = Options(root=project.resolve(), settings=settings, persist=False)
    return assemble(msgspec.structs.replace(plain, **options), voices, "m")


async def events(assembled: Assembled, *prompts: Asked) -> list[Event]:
    """Run a session to its end."""
    try:
        return [e async for e in assembled.agent.converse(prompts, preface=assembled.preface)]
    finally:
        await assembled.close()


def results(happened: list[Event]) -> list[ToolResult]:
    """Return the results of the main conversation's tool uses."""
    return [e for e in happened if isinstance(e, ToolResult) and not e.parent_tool_use_id]


def last_text(happened: list[Event]) -> str:
    """Return what the model said last to the user."""
    turns = [e for e in happened if isinstance(e, AssistantTurn) and not e.parent_tool_use_id]
    return "".join(block.text for block in turns[-1].blocks if isinstance(block, TextBlock))
