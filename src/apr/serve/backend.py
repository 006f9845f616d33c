"""The one model that all routes ask: `stream` an answer, or `count` the tokens of a prompt.

What a wire's request means, and how an answer is written, is the business of the routes. What
stands between them and the engine is here: admission, slots, and the exact text of past answers.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
from msgspec import Struct

from apr.agent.events import PrefillProgress
from apr.providers import openai_request
from apr.providers.base import Completion, ModelEvent, Request
from apr.providers.http import Response
from apr.providers.openai_answer import Chunk, Timings
from apr.providers.openai_chat import OpenAIChat
from apr.providers.sse import EventParser
from apr.providers.toolcalls import family_of, reasons
from apr.serve import bounds
from apr.serve.conversation import Answers, Chain, answer_link, chain_of
from apr.serve.engine import Engine, plainly
from apr.serve.metrics import Meter, Watch
from apr.serve.queue import Busy, Client, FairQueue
from apr.serve.reasoning import Reasoning
from apr.serve.slots import Lease, Slots
from apr.serve.volatile import without_headers
from ccpa.trace import ToolUseBlock, Usage

LARGEST_ANSWER = 256 * 1024 * 1024
_LONGEST_END = 16 * 1024
"""Bytes at the end of an answer in which its token counts are looked for."""

__all__ = ["Backend", "Busy", "Client", "Served"]


class Served(Struct, frozen=True, kw_only=True):
    """What is served."""

    model: str
    """Its public name."""
    context: int
    """Tokens that one conversation may have, answer included."""
    template: str | None
    """The model's chat template, in Jinja."""
    vision: bool = False
    """Whether it can be shown images."""
    created: int = 0
    """When it was loaded, in seconds since 1970."""

    def fallback(self, asked: str | None) -> dict[str, str]:
        """Return the header that says which model answers, where another one was asked for."""
        if asked in (None, self.model):
            return {}
        name = self.model.encode("unicode_escape").decode("ascii")  # a header holds no more
        return {"x-apr-model-fallback": name}


class Backend:
    """The model, to the routes. `info` says what it is."""

    def __init__(
        self,
        info: Served,
        engine: Engine,
        *,
        queue: FairQueue,
        slots: Slots,
        answers: Answers,
        meter: Meter,
    ) -> None:
        self.info = info
        self.engine = engine
        self._family = family_of(info.template)
        self._reasoning = Reasoning(engine)
        self._chat = OpenAIChat(
            engine.base_url, info.model, api_key=engine.key, family=self._family, many=True
        )
        self._queue = queue
        self._slots = slots
        self._answers = answers
        self._meter = meter

    async def stream(self, request: Request, client: Client) -> AsyncGenerator[ModelEvent, None]:
        """Ask the model; see `Provider.stream`. Closing the iterator cancels.

        Nothing comes while the request waits for its turn. So a route takes the first event before
        it writes the head of its answer: whatever refuses a request is raised by then. A call that
        was cut off is not among the blocks of the `Completion`: no client could know that it must
        not be run.

        Raises:
            Busy: too many wait already.
            ContextOverflow: the prompt is longer than the context.
            ProviderError: the engine failed, or refused what was asked (`invalid`).
        """
        self._check(request)
        request = msgspec.structs.replace(request, system=without_headers(request.system))
        chain = chain_of(request)
        request = self._answers.restored(request, chain)
        begun = self._family is not None and await self._reasoning.begun(request)
        watch = self._meter.watch()
        async with self._queue.place(client), self._slots.lease(chain, shares=True) as lease:
            options = {**request.options, "id_slot": lease.number, "return_progress": True}
            asked = msgspec.structs.replace(request, options=options, reasoning_begun=begun)
            async with contextlib.aclosing(self._shared(asked, lease)) as events:
                async for event in events:
                    lease.evaluating()
                    if isinstance(event, Completion):
                        event = _without_cut_calls(event)
                        watch.ended(event.usage)
                        link = answer_link(chain, event.blocks)
                        if event.raw is not None:
                            self._answers.remember(link, event.raw)
                        lease.answered(link)
                    elif not isinstance(event, PrefillProgress):
                        watch.token()
                    yield event

    async def count(self, request: Request) -> int:
        """Return the number of tokens that the request's prompt comes to.

        Raises:
            ProviderError: as for `stream`.
        """
        self._check(request)
        request = msgspec.structs.replace(request, system=without_headers(request.system))
        request = self._answers.restored(request, chain_of(request))
        body = openai_request.body_of(request, self.info.model, self._family)
        with plainly():
            counted = await self.engine.call("/v1/chat/completions/input_tokens", body)
        return int(counted["input_tokens"])

    def passage(
        self, path: str, body: dict[str, Any], chain: Chain | None, client: Client
    ) -> "Passage":
        """Return the way of a body that the engine itself is to answer.

        With `chain` None the engine chooses the slots: a request may need several.

        Raises:
            ContextOverflow: a prompt is so long that its tokens need not be counted.
        """
        if not self.info.vision:
            prompts = body.get("prompt") or [body.get("messages")]
            for prompt in prompts if isinstance(prompts, list) else [prompts]:
                bounds.check_part(prompt, self.info.context)
        return Passage(self._open(path, body, chain, client), self._meter.watch())

    @asynccontextmanager
    async def _open(
        self, path: str, body: dict[str, Any], chain: Chain | None, client: Client
    ) -> AsyncIterator[Response]:
        """Hand a body to the engine when its turn has come; yields the engine's answer."""
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._queue.place(client))
            stack.enter_context(plainly())
            if chain is None:
                await self._slots.forget()
                response = await self.engine.open(path, body)
            else:
                lease = await stack.enter_async_context(self._slots.lease(chain))
                response = await self.engine.open(path, {**body, "id_slot": lease.number})
                lease.evaluating()
            stack.callback(response.close)
            yield response

    async def _shared(self, request: Request, lease: Lease) -> AsyncGenerator[ModelEvent, None]:
        """Ask the engine; where others wait for the same beginning, only once they have it.

        It keeps what it has evaluated when it is interrupted.
        """
        async with contextlib.aclosing(self._told(request)) as events:
            async for event in events:
                if not isinstance(event, PrefillProgress):
                    lease.answering()
                elif lease.awaited:
                    remembered = event.cached
                    break
                yield event
            else:
                return
        nothing = {**request.options, "n_predict": 0}  # the engine's own name counts for more
        prompt = msgspec.structs.replace(request, max_tokens=0, options=nothing)
        async with contextlib.aclosing(self._told(prompt)) as events:
            async for event in events:
                if isinstance(event, PrefillProgress):
                    yield event
        await lease.share()
        async with contextlib.aclosing(self._told(request)) as events:
            async for event in events:
                yield _evaluated(event, remembered) if isinstance(event, Completion) else event

    async def _told(self, request: Request) -> AsyncGenerator[ModelEvent, None]:
        """Ask the engine; whatever it refuses is told in its own words."""
        with plainly():
            async with contextlib.aclosing(self._chat.stream(request)) as events:
                async for event in events:
                    yield event

    def _check(self, request: Request) -> None:
        if not self.info.vision:  # images have more bytes than tokens
            bounds.check(request, self.info.context)

    async def close(self) -> None:
        """Give back the connections."""
        await self._chat.close()
        await self.engine.close()


class Passage:
    """A request on its way through to the engine, and the engine's answer on its way back."""

    def __init__(self, opened: AbstractAsyncContextManager[Response], watch: Watch) -> None:
        self._opened = opened
        self._watch = watch

    async def whole(self) -> Any:
        """Return the answer's JSON.

        Raises:
            Busy, ContextOverflow, ProviderError: as for `Backend.stream`.
        """
        async with self._opened as response:
            answer = msgspec.json.decode(await response.read(LARGEST_ANSWER))
        self._watch.ended(_usage(answer.get("timings")))
        return answer

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the answer's events as the engine writes them, cut anywhere.

        Raises:
            Busy, ContextOverflow, ProviderError: as for `Backend.stream`, if before the first.
        """
        async with self._opened as response:
            end = b""
            while piece := await response.chunk():
                self._watch.token()
                end = (end + piece)[-_LONGEST_END:]
                yield piece
        self._watch.ended(counts_in(end))


def counts_in(end: bytes) -> Usage:
    """Return the token counts in the last event that has some, of the end of an answer."""
    parser = EventParser()
    for event in reversed([*parser.feed(end), *parser.finish()]):
        if '"timings"' in event.data:
            with contextlib.suppress(msgspec.MsgspecError):
                return _usage(msgspec.json.decode(event.data, type=Chunk).timings)
    return _usage(None)


def _usage(timings: Any) -> Usage:
    """Return the token counts that llama.cpp ends an answer with."""
    counts = msgspec.convert(timings or {}, Timings)
    return Usage(
        input_tokens=counts.cache_n + counts.prompt_n,
        output_tokens=counts.predicted_n,
        cache_read_tokens=counts.cache_n,
    )


def _evaluated(completion: Completion, remembered: int) -> Completion:
    """Return the completion of a request for which all but so many tokens were evaluated."""
    usage = msgspec.structs.replace(completion.usage, cache_read_tokens=remembered)
    return msgspec.structs.replace(completion, usage=usage)


def _without_cut_calls(completion: Completion) -> Completion:
    """Return the completion without the calls that the end of the output cut off."""
    cut = {id_ for id_, reason in completion.malformed.items() if reason == reasons.CUT_OFF}
    if not cut:
        return completion
    kept = tuple(b for b in completion.blocks if not (isinstance(b, ToolUseBlock) and b.id in cut))
    malformed = {id_: why for id_, why in completion.malformed.items() if id_ not in cut}
    return msgspec.structs.replace(completion, blocks=kept, malformed=malformed)
