"""The agent: what happens in a turn, in order."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from apr.agent.batch import NOT_RUN, Batch, heard
from apr.agent.calls import batches
from apr.agent.endings import CUT_SHORT, FAILURES, INTERRUPTED, Stopped, answered, failed
from apr.agent.events import (
    Event,
    Notice,
    PromptDone,
    Remembered,
    Retracted,
    Rewritten,
    TextDelta,
    ThinkingDelta,
)
from apr.agent.gate import Gate
from apr.agent.history import Answers, alternating
from apr.agent.limits import Limits, alarm, check
from apr.agent.parts import Background, Brakes, Footnotes, Library, Window
from apr.agent.prompt import Asked, Prompt, Rewrite, compact_asked, each
from apr.agent.session import Session
from apr.hooks.base import Fired, HookName
from apr.legible import legible
from apr.providers.base import (
    AssistantMessage,
    Completion,
    ContextOverflow,
    Message,
    Provider,
    ProviderError,
    Request,
    UserMessage,
)
from apr.tools.base import Context, Tool
from ccpa.trace import AssistantTurn, SkillInvocation, TextBlock, ToolUseBlock, UserPrompt

MOST_HELD = 8
"""How often in a row hooks may keep a model from ending that uses no tool meanwhile."""


class Agent:
    """One conversation of one model with one project.

    Args:
        provider: the wire to the model.
        tools: what the model may use.
        gate: when it may use them.
        context: what tools know.
        session: the books.
        request: what every request has in common: system prompt, tool specs, sampling.
        limits: how much it may take.
        stop_event: what hooks call its end: a subagent has an end of its own.
    """

    library: Library | None = None
    window: Window | None = None
    brakes: Brakes | None = None
    footnotes: Footnotes | None = None
    background: Background | None = None

    def __init__(
        self,
        provider: Provider,
        tools: Sequence[Tool[Any]],
        gate: Gate,
        context: Context,
        session: Session,
        request: Request,
        *,
        limits: Limits | None = None,
        stop_event: HookName = "Stop",
    ) -> None:
        self.provider = provider
        self.tools: Mapping[str, Tool[Any]] = {tool.name: tool for tool in tools}
        self.gate = gate
        self.context = context
        self.session = session
        self.request = request
        self.limits = limits or Limits()
        self.stop_event = stop_event
        self.messages: list[Message] = []
        self.inbox: list[str] = []
        """What the model is to read before its next answer, from others than the user."""
        self._working: asyncio.Task[Any] | None = None
        self._cut: str | None = None
        """Why the work on the prompt at hand is being cut short."""

    def interrupt(self) -> None:
        """End the work on the prompt at hand; the conversation goes on with the next one.

        It cancels the task that iterates over the events, which must await nothing else: the
        cancellation would hit that instead.
        """
        self._cut_short(INTERRUPTED)

    def _cut_short(self, why: str) -> None:
        if self._working is not None and self._cut is None:
            self._cut = why
            self._working.cancel()

    async def converse(
        self,
        prompts: Iterable[Asked] | AsyncIterator[Asked],
        *,
        preface: str = "",
        source: str = "startup",
    ) -> AsyncIterator[Event]:
        """Run a whole session: from its start, through the prompts, to its end, whatever happens.

        `preface` is what the model reads before the first prompt of a history, also of one that
        begins anew; it is no part of the trace.
        `source` is what SessionStart hooks are told: startup, resume or clear. A failure ends the
        work on its prompt; the last prompt's is the `error` of the `SessionEnd`. So is a cancelled
        run, which stays cancelled.
        """
        yield self.session.start(await self.session.tree())
        done = PromptDone("end_turn")
        cancelled: asyncio.CancelledError | None = None
        try:
            opening = await self.gate.hooks.fire("SessionStart", subject=source, source=source)
            for event in heard(opening, self.session.turn + 1):
                yield event
            news = hooked = "".join(f"{text}\n\n" for text in opening.context)
            async for prompt in each(prompts):
                before = news if self.messages else preface + hooked
                async for event in self._worked(prompt, before):
                    if isinstance(event, PromptDone):
                        done = event
                    yield event
                news = news if isinstance(prompt, Rewrite) else ""
        except asyncio.CancelledError as error:
            done, cancelled = PromptDone("error", INTERRUPTED), error
        reason = "other" if cancelled else "prompt_input_exit"
        tree: str | None = None
        try:
            if self.background is not None:
                await self.background.close()
                for event in self.background.heard():
                    yield event
            closing = await self.gate.hooks.fire("SessionEnd", subject=reason, reason=reason)
            for event in heard(closing, self.session.turn):
                yield event
            tree = await self.session.tree()
        except asyncio.CancelledError as error:  # whoever asks again will not wait
            cancelled = error
        yield self.session.end(done.stop_reason, done.error, tree)
        if cancelled is not None:
            raise cancelled

    async def _worked(self, prompt: Asked, preface: str) -> AsyncIterator[Event]:
        """Work on a prompt; how that ended is the last event."""
        self._working, self._cut = asyncio.current_task(), None
        quiet = alarm(self.limits, self._cut_short)
        done = PromptDone("end_turn")
        try:
            async for event in self.run(prompt, preface=preface):
                if isinstance(event, AssistantTurn) and event.parent_tool_use_id is None:
                    done = answered(event)
                yield event
        except FAILURES as failure:
            done = failed(failure)
        except asyncio.CancelledError:
            task = self._working
            if self._cut is None or task is None or task.uncancel():  # the run itself is cancelled
                raise
            done = PromptDone("error", self._cut)
        finally:
            self._working = None
            quiet()
        yield done

    async def run(self, prompt: Asked, *, preface: str = "") -> AsyncIterator[Event]:
        """Work on one prompt until the model is done with it. Yields everything that happens.

        Raises:
            ProviderError: the model's server failed.
            LimitReached: more was needed than is allowed.
            GoingInCircles: the model repeats itself.
            Stopped: a hook ended the run.
        """
        if isinstance(prompt, Rewrite):
            for event in self._rewrite(prompt):
                yield event
            return
        taken = False
        given = prompt if isinstance(prompt, Prompt) else Prompt(prompt)
        if self.window is not None and (wishes := compact_asked(given)) is not None:
            yield UserPrompt(v=1, turn=self.session.next_turn(), text=given.text)
            async for event in self.window.compact(self, trigger="manual", instructions=wishes):
                yield event
            return
        async for event in self._take(given, preface):
            taken = isinstance(event, Remembered)
            yield event
        answers, held, continued = 0, 0, False
        while taken:
            check(self.limits, answers, self.session)
            answers += 1
            for event in self.background.heard() if self.background is not None else ():
                yield event
            completion: Completion | None = None
            async for said in self._ask():
                if isinstance(said, Completion):
                    completion = said
                else:
                    yield said
            if completion is None:
                raise ProviderError("the model's server has ended its answer without a word")
            turn = self._answered(completion)
            yield turn
            yield Remembered(self.messages[-1])
            calls = [block for block in turn.blocks if isinstance(block, ToolUseBlock)]
            if calls:
                held = 0
                async for event in self._use_tools(turn, calls, completion.malformed):
                    yield event
                continue
            if self.brakes is not None and (nudge := self.brakes.answer(turn)):
                self.inbox.append(nudge)
                continue
            if self.background is not None:
                async for event in self.background.news():
                    yield event
                if self.inbox:
                    continue
            fired = await self.gate.hooks.fire(self.stop_event, stop_hook_active=continued)
            for event in self._heard(fired):
                yield event
            if fired.behavior != "deny":
                return
            held, continued = held + 1, True
            if held > MOST_HELD:
                yield Notice(
                    f"Hooks have kept the model from ending {MOST_HELD} times in a row, and it has "
                    "used no tool since. It ends now."
                )
                return
            check(self.limits, answers, self.session)
            self.session.next_turn()  # of what stands in the inbox only this is a message
            self.inbox.append(fired.reason or "A hook wants you to go on.")

    def _rewrite(self, asked: Rewrite) -> Iterator[Event]:
        """Go on with another history. The record says that somebody wanted so."""
        yield UserPrompt(v=1, turn=self.session.next_turn(), text=asked.text)
        self.messages = list(asked.messages)
        if self.window is not None:
            self.window.rewritten()
        yield Rewritten(asked.messages, asked.back_to)

    async def _take(self, prompt: Prompt, preface: str) -> AsyncIterator[Event]:
        """Take a prompt into the history, unless a hook refuses it."""
        yield UserPrompt(v=1, turn=self.session.next_turn(), text=prompt.whole)
        self.gate.granted = ()
        if self.brakes is not None:
            self.brakes.begin()
        fired = await self.gate.hooks.fire("UserPromptSubmit", prompt=prompt.whole)
        for event in self._heard(fired):
            yield event
        if fired.behavior == "deny":
            yield Notice(f"A hook refused the prompt: {fired.reason}")
            return
        text = prompt.text
        expand = self.library.expand if self.library is not None and not prompt.verbatim else None
        if expand is not None and (found := await expand(text, prompt.typed)):
            text = found.text
            self.gate.granted = found.allow
            if found.name is not None:
                yield SkillInvocation(
                    v=1,
                    turn=self.session.turn,
                    name=found.name,
                    source="user_invoked",
                    instructions_injected=True,
                )
        attached = [prompt.attached] if prompt.attached else []
        parts = [text, *attached, *fired.context, *self._news()]
        yield self._remember(UserMessage(preface + "\n\n".join(parts), prompt.images))

    async def _ask(self) -> AsyncIterator[Event | Completion]:
        """Ask the model. A history that its server refuses as too long is shortened once."""
        if self.inbox:
            yield self._remember(UserMessage("\n\n".join(self._news())))
        async for event in self._make_room():
            yield event
        shown = False
        try:
            async for said in self._stream():
                shown |= isinstance(said, TextDelta | ThinkingDelta)
                yield said
        except ContextOverflow:
            if self.window is None:
                raise
            if shown:
                yield Retracted()
            async for event in self._make_room(overflowed=True):
                yield event
            async for said in self._stream():
                yield said

    async def _make_room(self, *, overflowed: bool = False) -> AsyncIterator[Event]:
        if self.window is not None:
            async for event in self.window.fit(self, overflowed=overflowed):
                yield event

    async def _stream(self) -> AsyncIterator[Event | Completion]:
        request = msgspec.structs.replace(self.request, messages=alternating(self.messages))
        self._asked = asyncio.get_running_loop().time()
        async with aclosing(self.provider.stream(request)) as events:
            async for event in events:
                yield event

    def _answered(self, completion: Completion) -> AssistantTurn:
        """Take the answer into the history and the books, and return its record."""
        blocks = completion.blocks or (TextBlock(""),)
        self.messages.append(AssistantMessage(blocks, completion.raw))
        usage = completion.usage
        self.session.count(usage)
        if self.window is not None:
            self.window.counted(len(self.messages), usage.input_tokens + usage.output_tokens)
        latency = asyncio.get_running_loop().time() - self._asked
        return AssistantTurn(
            v=1,
            turn=self.session.next_turn(),
            blocks=list(blocks),
            stop_reason=completion.stop_reason,
            usage=usage,
            model=completion.model,
            latency_ms=int(latency * 1000),
        )

    async def _use_tools(
        self, asked: AssistantTurn, calls: list[ToolUseBlock], malformed: dict[str, str]
    ) -> AsyncIterator[Event]:
        """Answer every call of a turn, also of one that is cut short: the history stays whole."""
        answers = Answers(self.session.next_turn(), calls, self.session.root)
        batch: Batch | None = None
        try:
            for some in batches(calls, self.tools):
                batch = Batch(
                    some,
                    malformed,
                    answers=answers,
                    tools=self.tools,
                    gate=self.gate,
                    context=self.context,
                    footnotes=self.footnotes,
                    interrupt=self.interrupt,
                )
                async for event in batch.run():
                    yield event
                self.context = batch.context
                if batch.stop is not None:
                    break
        except (asyncio.CancelledError, Exception):
            for event in batch.cut_short() if batch is not None else ():
                yield event
            for result in answers.rest(CUT_SHORT[self._cut or INTERRUPTED]):
                yield result
            yield self._remember(answers.message())
            raise
        for result in answers.rest(NOT_RUN):
            yield result
        try:
            if self.brakes is not None and (warning := self.brakes.turn(asked, answers.ordered())):
                self.inbox.append(warning)
        finally:
            yield self._remember(answers.message(self._news()))
        if batch is not None and batch.stop is not None:
            raise Stopped(batch.stop)

    def _news(self) -> list[str]:
        """Return what is in the inbox, and empty it."""
        news, self.inbox[:] = [legible(text) for text in self.inbox], []
        return news

    def _remember(self, message: Message) -> Remembered:
        self.messages.append(message)
        return Remembered(message)

    def _heard(self, fired: Fired) -> Iterator[Event]:
        """Yield what hooks have to say at this turn.

        Raises:
            Stopped: one of them ends the run.
        """
        yield from heard(fired, self.session.turn)
        if fired.stop is not None:
            raise Stopped(fired.stop)
