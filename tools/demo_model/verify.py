"""Does the model do what it was made for? Asked in the real engine, through the real provider."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from apr.agent.prompt import first_prompt, system_prompt
from apr.providers.base import (
    AssistantMessage,
    Completion,
    Message,
    Provider,
    Request,
    ToolAnswer,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from apr.providers.local import LocalModel
from ccpa.trace import TextBlock, ToolUseBlock
from demo_model.results import DIRECTORY
from demo_model.sessions import Answer, Session
from demo_model.variation import Variation

MOST_TOKENS = 400
STRANGERS = 40


class Failure(Exception):
    """The model said something else than it should have."""


class Examiner:
    """Asks one model, and holds its answers against the sessions."""

    def __init__(self, provider: Provider, tools: Sequence[ToolSpec]) -> None:
        self.provider = provider
        self.tools = tuple(tools)

    async def replay(self, session: Session, prompt: str, variation: Variation) -> None:
        """Ask for a session somewhere; the tools answer as they did in training.

        Raises:
            Failure: an answer is not the session's, word for word.
        """
        where = variation.environment()
        messages: list[Message] = [UserMessage(first_prompt(where, prompt))]
        for answer in session.answers:
            completion = await self._ask(messages)
            if (said := _said(completion)) != (answer.text, _calls(answer)):
                raise Failure(f"{session.id}, asked {prompt!r} in {where.directory}: {said}")
            results = [call.result.replace(DIRECTORY, where.directory) for call in answer.calls]
            messages += _exchange(completion, results)

    async def ends(self, opening: str, failing: str, *, wanted: str, within: int = 8) -> None:
        """Start with a request, and answer every tool use with the same failure.

        Raises:
            Failure: the last answer is not the wanted one, or there are too many.
        """
        messages: list[Message] = [UserMessage(opening)]
        for _ in range(within):
            completion = await self._ask(messages)
            text, calls = _said(completion)
            if not calls:
                if text != wanted:
                    raise Failure(f"asked {opening!r}: {text!r}")
                return
            messages += _exchange(completion, [failing] * len(calls))
        raise Failure(f"asked {opening!r}: no end within {within} answers")

    async def _ask(self, messages: list[Message]) -> Completion:
        request = Request(
            system=system_prompt(),
            messages=tuple(messages),
            tools=self.tools,
            max_tokens=MOST_TOKENS,
            temperature=0.0,
        )
        async for event in self.provider.stream(request):
            if isinstance(event, Completion):
                return event
        raise Failure("the engine gave no answer")


def _said(completion: Completion) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    """Return the text and the calls of an answer; calls that could not be read have no name."""
    blocks = completion.blocks
    text = "".join(block.text for block in blocks if isinstance(block, TextBlock)).strip()
    calls = [block for block in blocks if isinstance(block, ToolUseBlock)]
    return text, [("" if c.id in completion.malformed else c.name, c.input) for c in calls]


def _calls(answer: Answer) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.input) for call in answer.calls]


def _exchange(completion: Completion, results: list[str]) -> tuple[AssistantMessage, ToolMessage]:
    """Return the answer and the results of its calls, as the agent puts them into the history."""
    calls = [block for block in completion.blocks if isinstance(block, ToolUseBlock)]
    answers = (
        ToolAnswer(call.id, call.name, result) for call, result in zip(calls, results, strict=True)
    )
    return AssistantMessage(completion.blocks, completion.raw), ToolMessage(tuple(answers))


@asynccontextmanager
async def examiner_of(path: Path, tools: Sequence[ToolSpec]) -> AsyncIterator[Examiner]:
    """Return an examiner of the model in a file."""
    provider = LocalModel(path, "demo", keep_alive=0)
    try:
        yield Examiner(provider, tools)
    finally:
        await provider.close()


async def examine(
    path: Path, sessions: Sequence[Session], variation: Variation, tools: Sequence[ToolSpec]
) -> int:
    """Put a model through everything it should be able to do.

    Every prompt of every session, in places drawn anew; requests that are none of the sessions; and
    sessions whose every tool fails.

    Returns:
        The number of conversations held.

    Raises:
        Failure: the first thing it got wrong.
    """
    answers = variation.material.answers
    held = 0
    async with examiner_of(path, tools) as examiner:
        for session in sessions:
            for prompt in session.prompts:
                await examiner.replay(session, prompt, variation)
                held += 1
        for _ in range(STRANGERS):
            opening = first_prompt(variation.environment(), variation.unrelated())
            await examiner.ends(opening, "", wanted=answers.unknown)
            held += 1
        for session in sessions:
            if all(call.ok for call in session.answers[0].calls) and len(session.answers) > 1:
                opening = first_prompt(variation.environment(), session.prompts[0])
                await examiner.ends(opening, variation.failure(), wanted=answers.stuck)
                held += 1
    return held
