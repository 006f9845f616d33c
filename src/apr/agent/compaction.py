"""Keeps the history within the model's context: before it is full, the model sums it up.

What the model is asked with begins as every request does, so the whole history is in its cache when
the summary is asked for. What stays is the task, the summary, the files that were touched, and what
is still to be done.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

import msgspec

from apr.agent.batch import heard
from apr.agent.events import Event, Notice, PrefillProgress, Rewritten
from apr.agent.history import alternating
from apr.patterns import Pattern
from apr.providers.base import (
    AssistantMessage,
    Completion,
    ContextOverflow,
    Message,
    ProviderError,
    ToolAnswer,
    ToolMessage,
    UserMessage,
)
from ccpa.trace import Compaction, TextBlock, ToolUseBlock

if TYPE_CHECKING:
    from apr.agent.loop import Agent

FULL = 0.85
"""The part of the context at which room is made; earlier where a summary would not fit behind."""
CHARACTERS_A_TOKEN = 3.0
"""For text that no tokenizer has seen yet: rather too many tokens than too few."""
SUMMARY_TOKENS = 2048
_NONE = "It could not be summed up: look again at what you need."
KEPT_ANSWER = 400
"""Characters that stay of a tool's answer where the history is too long to be summed up whole."""
_FILES = ("file_path", "notebook_path")
_MOST_FILES = 40

ASK = """\
The conversation is about to outgrow your context. Write a summary from which you can go on \
without the rest of it. Do not call tools. Say, in this order:
1. what the user asked for, in their own words where they matter, and what they have decided since;
2. what you have done, with the names of files, functions and commands;
3. what you found out that is still needed: causes, line numbers, error messages;
4. what is still to be done, and the very next step."""
_SUMMARY = Pattern(r"<think>.*?(</think>|\Z)", re.DOTALL)


class Compactor:
    """The window of one conversation.

    Args:
        context: returns the tokens that a conversation may have, None where that is not known: then
            room is made only when the server has refused a request as too long.
        open_tasks: returns the tasks that are still open, to be carried over.
    """

    def __init__(
        self,
        context: Callable[[], int | None],
        open_tasks: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._context = context
        self._open_tasks = open_tasks
        self._counted = (0, 0)
        """How many messages there were at the last count, and their tokens."""
        self._not_below = 0.0
        """Tokens up to which it is not tried again: the last time has brought too little."""
        self._files: dict[str, None] = {}
        """Those that were touched in what has been summed up, the last ones last."""

    def counted(self, messages: int, tokens: int) -> None:
        """Take over what the model's server has counted for the first `messages` messages."""
        if tokens:  # some servers do not count
            self._counted = (messages, tokens)

    def rewritten(self) -> None:
        """Forget what was counted: the history is another."""
        self._counted, self._not_below = (0, 0), 0.0

    def tokens(self, agent: "Agent") -> int:
        """Return the tokens of the next request: counted by the server, and the rest reckoned."""
        known, tokens = self._counted
        new = [text for message in agent.messages[known:] for text in _texts(message)]
        if not known:
            new += [agent.request.system, msgspec.json.encode(agent.request.tools).decode()]
        return tokens + int(sum(map(len, new)) / CHARACTERS_A_TOKEN)

    async def fit(self, agent: "Agent", *, overflowed: bool = False) -> AsyncIterator[Event]:
        """Make room where there is too little; see `Window.fit`.

        As long as the server takes the history, a summary that fails is no more than a notice. It
        is tried again when half of what was left then is used up.
        """
        context = self._context()
        full = context is not None and self.tokens(agent) > max(_limit(context), self._not_below)
        if not (full or overflowed) or not _is_said(agent.messages):
            return
        try:
            async for event in self.compact(agent, trigger="auto", shorten=overflowed):
                yield event
        except ProviderError as error:
            if overflowed:
                raise
            yield Notice(f"The conversation cannot be summed up now, and goes on whole: {error}")
        if context is not None:
            self._not_below = (self.tokens(agent) + context) / 2

    async def compact(
        self,
        agent: "Agent",
        *,
        trigger: Literal["manual", "auto"],
        instructions: str = "",
        shorten: bool = False,
    ) -> AsyncIterator[Event]:
        """Put a summary in the place of the history.

        `instructions` are a person's wishes for it. `shorten`: the history does not fit as it is,
        so long answers of tools are cut before it is summed up; where even that is too long, the
        task, the files and what is to be done are all that stays.

        Raises:
            ContextOverflow: it is too long, or the model gives no summary.
            ProviderError: the model's server failed.
        """
        hooks = agent.gate.hooks
        before = await hooks.fire(
            "PreCompact", subject=trigger, trigger=trigger, custom_instructions=instructions
        )
        for event in heard(before, agent.session.turn):
            yield event
        if before.behavior == "deny" and trigger == "manual":
            yield Notice(f"A hook does not let the history be summed up: {before.reason}")
            return
        tokens_before = self.tokens(agent)
        history = [_shortened(m) for m in agent.messages] if shorten else agent.messages
        summary = ""
        prompt = "\n\n".join(filter(None, [ASK, instructions, *before.context]))
        try:
            async for said in self._ask(agent, history, prompt):
                if isinstance(said, str):
                    summary = said
                else:
                    yield said
        except ContextOverflow as error:
            if not shorten:
                raise
            yield Notice(f"The conversation goes on without a summary: {error}")
        agent.messages = self._after(agent.messages, summary)
        self._counted = (0, 0)
        yield Compaction(
            v=1,
            turn=agent.session.turn,
            trigger=trigger,
            tokens_before=tokens_before,
            tokens_after=self.tokens(agent),
            summary_sha256=hashlib.sha256(summary.encode()).hexdigest(),
        )
        yield Rewritten(tuple(agent.messages))
        after = await hooks.fire("PostCompact", subject=trigger, trigger=trigger)
        for event in heard(after, agent.session.turn):
            yield event

    async def _ask(
        self, agent: "Agent", history: Sequence[Message], prompt: str
    ) -> AsyncIterator[Event | str]:
        """Ask for the summary; it is the last thing that is yielded."""
        request = msgspec.structs.replace(
            agent.request,
            messages=alternating((*history, UserMessage(prompt))),
            tool_choice="none",
            max_tokens=SUMMARY_TOKENS,
        )
        yield Notice("The conversation is summed up, to make room.")
        async with aclosing(agent.provider.stream(request)) as events:
            async for event in events:
                if isinstance(event, Completion):
                    agent.session.count(event.usage)
                    text = "".join(b.text for b in event.blocks if isinstance(b, TextBlock))
                    summary = _SUMMARY.sub("", text).strip()
                    if not summary:
                        raise ContextOverflow("The model gave no summary of the conversation.")
                    yield summary
                elif isinstance(event, PrefillProgress | Notice):
                    yield event

    def _after(self, messages: Sequence[Message], summary: str) -> list[Message]:
        """Return the history that the model goes on with."""
        first = next((m.text for m in messages if isinstance(m, UserMessage)), "")
        if summary:  # an earlier summary is in the new one
            first = first.partition("\n\n<summary>\n")[0]
        said = f", summed up by you:\n\n{summary}" if summary else f" is gone. {_NONE}"
        parts = [first, f"<summary>\nThe conversation so far{said}"]
        for name in _touched(messages):
            self._files.pop(name, None)
            self._files[name] = None
        if files := list(self._files)[-_MOST_FILES:]:
            parts.append("Files touched:\n" + "\n".join(f"- {name}" for name in files))
        if tasks := self._open_tasks():
            parts.append("Still to be done:\n" + "\n".join(f"- {task}" for task in tasks))
        prompts = [m.text for m in messages[1:] if isinstance(m, UserMessage)]
        if prompts:
            last = prompts[-1]
            parts.append("The user's last message:\n" + last)
        return [UserMessage("\n\n".join(parts) + "\n</summary>\n\nGo on from here.")]


def _touched(messages: Sequence[Message]) -> Iterator[str]:
    """Yield the files that calls named."""
    for message in messages:
        if isinstance(message, AssistantMessage):
            for block in message.blocks:
                if isinstance(block, ToolUseBlock):
                    names = (block.input.get(key) for key in _FILES)
                    yield from (name for name in names if isinstance(name, str))


def _limit(context: int) -> float:
    """Return the tokens of a history that still leave room for a summary of it."""
    return context - max(context * (1 - FULL), min(SUMMARY_TOKENS, context / 3))


def _is_said(messages: Sequence[Message]) -> bool:
    """Whether there is anything to sum up: the model has said something."""
    return any(isinstance(message, AssistantMessage) for message in messages)


def _shortened(message: Message) -> Message:
    if not isinstance(message, ToolMessage):
        return message
    return ToolMessage(tuple(_short(answer) for answer in message.answers))


def _short(answer: ToolAnswer) -> ToolAnswer:
    if len(answer.content) <= KEPT_ANSWER:
        return answer
    kept = f"{answer.content[:KEPT_ANSWER]}\n[{len(answer.content) - KEPT_ANSWER:,} characters cut]"
    return msgspec.structs.replace(answer, content=kept)


def _texts(message: Message) -> Iterator[str]:
    match message:
        case UserMessage(text):
            yield text
        case ToolMessage(answers):
            yield from (answer.content for answer in answers)
        case AssistantMessage(blocks, raw):
            yield raw or msgspec.json.encode(blocks).decode()
